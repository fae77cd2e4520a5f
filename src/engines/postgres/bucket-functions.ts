// The arithmetic of `core/bucket` in PL/pgSQL, on whole numbers of 64 bits: the same answers to the last unit, which the conformance suite compares.
// Parameters stand in the order of `bucketParameters`, numbers as in `core/bucket`, where they are explained; arrays here begin at 1.
import type { StoredAlgorithm } from '../../core/bucket/algorithm.ts'
import { slicesBehind } from '../../core/bucket/sliding-window.ts'
import type { Migration } from './migrations.ts'

/** Never changed: they stand in rows. */
export const bucketKind: Readonly<Record<StoredAlgorithm['kind'], number>> = {
  'token-bucket': 1,
  log: 2,
  'sliding-window': 3,
  'fixed-window': 4,
  'calendar-window': 5,
  concurrency: 6,
  ban: 7,
}

/** As many for every kind; the first is what a bucket holds that nobody has used. */
export function bucketParameters(algorithm: StoredAlgorithm): readonly [number, number, number, number] {
  switch (algorithm.kind) {
    case 'token-bucket':
      return [algorithm.capacity, algorithm.unit, algorithm.tickUs, algorithm.rate]
    case 'log':
      return [algorithm.limit, algorithm.ring, algorithm.perUs, 0]
    case 'sliding-window':
      return [algorithm.limit, algorithm.sliceUs, 0, 0]
    case 'fixed-window':
      return [algorithm.limit, algorithm.perUs, 0, 0]
    case 'calendar-window':
      return [algorithm.limit, algorithm.endUs, 0, 0]
    case 'concurrency':
      return [algorithm.limit, 0, 0, 0]
    case 'ban':
      return [algorithm.limit, algorithm.withinUs, algorithm.forUs, algorithm.upToUs]
  }
}

const slots = slicesBehind + 1

export const bucketFunctions: Migration = (schema) => `
-- Zeros: a bucket that nobody has used.
create function ${schema}.bucket_numbers(k smallint, p bigint[]) returns bigint[] immutable language sql as $$
  select array_fill(0::bigint, array[case k when 1 then 2 when 2 then p[2]::int + 1 when 3 then ${slots + 2} when 6 then 1 when 7 then 4 else 2 end])
$$;

-- Whether two algorithms count on the same numbers: layoutOf.
create function ${schema}.bucket_same(k smallint, p bigint[], l smallint, q bigint[]) returns boolean immutable language plpgsql as $$
begin
  return k = l and case k when 1 then p[2] = q[2] and p[3] = q[3] when 2 then p[2] = q[2] and p[3] = q[3]
    when 3 then p[2] = q[2] when 4 then p[2] = q[2] else true end;
end $$;

-- How many units of a token bucket are missing at a tick.
create function ${schema}.bucket_missing(p bigint[], n bigint[], p_tick bigint) returns bigint immutable language plpgsql as $$
begin
  if p_tick <= n[2] then
    return n[1];
  end if;
  -- Divided before it is multiplied: years times a rate would be too large.
  return case when p_tick - n[2] > n[1] / p[4] then 0 else n[1] - (p_tick - n[2]) * p[4] end;
end $$;

-- The time by which a log goes: now, or when the last unit was taken by a clock that was ahead.
create function ${schema}.bucket_log_time(p bigint[], n bigint[], p_now bigint) returns bigint immutable language plpgsql as $$
begin
  return greatest(p_now, n[2 + (n[1] + p[2] - 1) % p[2]] - p[3]);
end $$;

-- What still counts in a slice of a sliding window.
create function ${schema}.bucket_slice_count(n bigint[], p_slice bigint) returns bigint immutable language plpgsql as $$
declare
  v_count bigint := n[2];
begin
  if p_slice - n[1] >= ${slots} then
    return 0;
  end if;
  for v_step in 1 .. p_slice - n[1] loop
    v_count := v_count - n[3 + (n[1] + v_step) % ${slots}];
  end loop;
  return v_count;
end $$;

-- Forgets the slices that no longer count.
create function ${schema}.bucket_advance(n bigint[], p_slice bigint) returns bigint[] immutable language plpgsql as $$
declare
  v_from bigint := greatest(n[1] + 1, p_slice - ${slicesBehind});
begin
  if p_slice <> n[1] then
    n[2] := ${schema}.bucket_slice_count(n, p_slice);
    for v_step in 0 .. p_slice - v_from loop
      n[3 + (v_from + v_step) % ${slots}] := 0;
    end loop;
    n[1] := p_slice;
  end if;
  return n;
end $$;

-- The offences that count towards the next ban.
create function ${schema}.bucket_offences(p bigint[], n bigint[], p_time bigint) returns bigint immutable language plpgsql as $$
begin
  return case when p_time < n[2] + p[2] then n[1] else 0 end;
end $$;

-- The length of the last ban, halved for each of its own length that has passed since its end.
create function ${schema}.bucket_ban_length(p bigint[], n bigint[], p_time bigint) returns bigint immutable language plpgsql as $$
declare
  v_length bigint := n[3];
  v_quiet bigint := p_time - n[4];
begin
  while v_length > 0 and v_quiet >= v_length loop
    v_quiet := v_quiet - v_length;
    v_length := case when v_length >= 2 * p[3] then v_length / 2 else 0 end;
  end loop;
  return v_length;
end $$;

create function ${schema}.bucket_available(k smallint, p bigint[], n bigint[], p_now bigint) returns bigint immutable language plpgsql as $$
declare
  v_left bigint;
  v_time bigint;
  v_low bigint;
  v_high bigint;
  v_middle bigint;
begin
  case k
    when 1 then
      v_left := p[1] * p[2] - ${schema}.bucket_missing(p, n, p_now / p[3]);
      -- Rounded down, also below zero.
      return v_left / p[2] - case when v_left % p[2] < 0 then 1 else 0 end;
    when 2 then
      v_time := ${schema}.bucket_log_time(p, n, p_now);
      -- They are in order: how many are back.
      v_low := 0;
      v_high := p[2];
      while v_low < v_high loop
        v_middle := (v_low + v_high) / 2;
        if n[2 + (n[1] + v_middle) % p[2]] <= v_time then
          v_low := v_middle + 1;
        else
          v_high := v_middle;
        end if;
      end loop;
      return p[1] - p[2] + v_low;
    when 3 then
      return p[1] - ${schema}.bucket_slice_count(n, greatest(p_now / p[2], n[1]));
    when 4 then
      return p[1] - case when p_now < n[1] then n[2] else 0 end;
    when 5 then
      return p[1] - case when p[2] <= n[1] then n[2] else 0 end;
    when 6 then
      return p[1] - n[1];
    when 7 then
      v_time := greatest(p_now, n[2]);
      return case when v_time < n[4] then 0 else greatest(1, p[1] - ${schema}.bucket_offences(p, n, v_time)) end;
  end case;
end $$;

-- Takes without asking. Gives the numbers, and the time by which a refund knows what was taken.
create function ${schema}.bucket_take(
  k smallint, p bigint[], inout n bigint[], p_now bigint, p_cost bigint, out taken bigint
) immutable language plpgsql as $$
declare
  v_before bigint;
  v_slot bigint;
begin
  case k
    when 1 then
      taken := greatest(p_now / p[3], n[2]);
      v_before := ${schema}.bucket_missing(p, n, taken);
      n := array[greatest(v_before, least(v_before + least(p_cost, 2 * p[1]) * p[2], 2 * p[1] * p[2])), taken];
      taken := taken * p[3];
    when 2 then
      taken := ${schema}.bucket_log_time(p, n, p_now);
      for v_count in 1 .. least(p_cost, p[2]) loop
        n[2 + n[1]] := taken + p[3];
        n[1] := (n[1] + 1) % p[2];
      end loop;
    when 3 then
      taken := greatest(p_now / p[2], n[1]);
      n := ${schema}.bucket_advance(n, taken);
      v_before := greatest(0, least(p_cost, 2 * p[1] - n[2]));
      v_slot := 3 + taken % ${slots};
      n[2] := n[2] + v_before;
      n[v_slot] := n[v_slot] + v_before;
      taken := taken * p[2];
    when 6 then
      n[1] := n[1] + p_cost;
      taken := p_now;
    when 7 then
      taken := greatest(p_now, n[2]);
      if p_cost > 0 and taken >= n[4] then
        v_before := ${schema}.bucket_offences(p, n, taken);
        if v_before + p_cost >= p[1] then
          v_slot := least(greatest(2 * ${schema}.bucket_ban_length(p, n, taken), p[3]), p[4]);
          n := array[0, 0, v_slot, taken + v_slot];
        else
          n := array[v_before + p_cost, case when v_before = 0 then taken else n[2] end, n[3], n[4]];
        end if;
      end if;
    else
      if p_cost > 0 then
        if k = 4 and p_now < n[1] or k = 5 and p[2] <= n[1] then
          n[2] := greatest(n[2], least(n[2] + p_cost, 2 * p[1]));
        else
          n := array[case k when 4 then p_now + p[2] else p[2] end, least(p_cost, 2 * p[1])];
        end if;
      end if;
      taken := n[1];
  end case;
end $$;

-- From when on there is so much. Null: never.
create function ${schema}.bucket_earliest(k smallint, p bigint[], n bigint[], p_now bigint, p_cost bigint) returns bigint immutable language plpgsql as $$
declare
  v_lacking bigint;
  v_at bigint;
begin
  if p_cost > p[1] then
    return null;
  end if;
  case k
    when 1 then
      v_at := p_now / p[3];
      v_lacking := ${schema}.bucket_missing(p, n, v_at) - (p[1] - p_cost) * p[2];
      return case when v_lacking <= 0 then p_now else (greatest(v_at, n[2]) + (v_lacking + p[4] - 1) / p[4]) * p[3] end;
    when 2 then
      -- All but so many of the last have to be back.
      v_at := p[2] - p[1] + p_cost - 1;
      if v_at < 0 then
        return p_now;
      end if;
      v_at := n[2 + (n[1] + v_at) % p[2]];
      return case when v_at <= ${schema}.bucket_log_time(p, n, p_now) then p_now else v_at end;
    when 3 then
      v_at := greatest(p_now / p[2], n[1]);
      v_lacking := p_cost - p[1] + ${schema}.bucket_slice_count(n, v_at);
      if v_lacking <= 0 then
        return p_now;
      end if;
      v_at := greatest(v_at - ${slicesBehind}, 0);
      while v_at <= n[1] loop
        v_lacking := v_lacking - n[3 + v_at % ${slots}];
        if v_lacking <= 0 then
          return (v_at + ${slots}) * p[2];
        end if;
        v_at := v_at + 1;
      end loop;
      return null;
    when 6 then
      return case when p[1] - n[1] >= p_cost then p_now end;
    when 7 then
      return case when ${schema}.bucket_available(k, p, n, p_now) >= p_cost then p_now
        when greatest(p_now, n[2]) < n[4] then n[4] else n[2] + p[2] end;
    else
      return case when ${schema}.bucket_available(k, p, n, p_now) >= p_cost then p_now else n[1] end;
  end case;
end $$;

-- Gives back what was taken at p_taken, and gives the numbers.
create function ${schema}.bucket_refund(k smallint, p bigint[], n bigint[], p_now bigint, p_cost bigint, p_taken bigint) returns bigint[] immutable language plpgsql as $$
declare
  v_tick bigint;
  v_last bigint;
  v_count bigint := 0;
  v_back bigint;
begin
  case k
    when 1 then
      v_tick := greatest(p_now / p[3], n[2]);
      v_back := least(p_cost, 2 * p[1]) * p[2];
      return array[greatest(${schema}.bucket_missing(p, n, v_tick) - v_back, 0), v_tick];
    when 2 then
      v_back := p_taken + p[3];
      v_last := p[2] - 1;
      while v_last >= 0 and n[2 + (n[1] + v_last) % p[2]] > v_back loop
        v_last := v_last - 1;
      end loop;
      while v_count < p_cost and v_last - v_count >= 0 and n[2 + (n[1] + v_last - v_count) % p[2]] = v_back loop
        v_count := v_count + 1;
      end loop;
      for v_index in reverse v_last .. 0 loop
        n[2 + (n[1] + v_index) % p[2]] :=
          case when v_index >= v_count then n[2 + (n[1] + v_index - v_count) % p[2]] else 0 end;
      end loop;
      return n;
    when 3 then
      v_tick := greatest(p_now / p[2], n[1]);
      n := ${schema}.bucket_advance(n, v_tick);
      v_last := p_taken / p[2];
      if v_last between v_tick - ${slicesBehind} and v_tick then
        v_back := least(p_cost, n[3 + v_last % ${slots}]);
        n[3 + v_last % ${slots}] := n[3 + v_last % ${slots}] - v_back;
        n[2] := n[2] - v_back;
      end if;
      return n;
    when 6 then
      return array[greatest(n[1] - p_cost, 0)];
    when 7 then
      return n;
    else
      if n[1] = p_taken then
        n := case when n[2] > p_cost then array[n[1], n[2] - p_cost] else array[0, 0]::bigint[] end;
      end if;
      return n;
  end case;
end $$;

-- Whether it says the same as one that nobody has used.
create function ${schema}.bucket_idle(k smallint, p bigint[], n bigint[], p_now bigint) returns boolean immutable language plpgsql as $$
begin
  return case k
    when 1 then ${schema}.bucket_missing(p, n, p_now / p[3]) = 0
    when 2 then n[2 + (n[1] + p[2] - 1) % p[2]] <= p_now
    when 3 then ${schema}.bucket_slice_count(n, greatest(p_now / p[2], n[1])) = 0
    when 4 then p_now >= n[1]
    when 5 then p[2] > n[1]
    when 7 then greatest(p_now, n[2]) >= n[4] and ${schema}.bucket_offences(p, n, greatest(p_now, n[2])) = 0
      and ${schema}.bucket_ban_length(p, n, greatest(p_now, n[2])) = 0
    else n[1] = 0
  end;
end $$;
`
