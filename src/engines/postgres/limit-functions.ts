// Buckets of limits that processes share: one act of `exchange` in `core/bucket` for each request, several requests in one call of a function.
import { bucketKind } from './bucket-functions.ts'
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

const dayUs = 86_400_000_000

export function bucketTable(hot: string): Migration {
  return (schema) => `
create table ${schema}.bucket (
  name text collate "C" primary key,
  kind smallint not null,
  parameters bigint[] not null,
  numbers bigint[] not null,
  holders text[] not null default '{}',
  units bigint[] not null default '{}',
  ends bigint[] not null default '{}',
  seen bigint not null default 0
) with (${hot});
comment on column ${schema}.bucket.kind is '${Object.entries(bucketKind)
    .map(([name, number]) => `${number} ${name}`)
    .join(', ')}';
comment on column ${schema}.bucket.holders is 'of leases, with their units and when they end, in microseconds since the epoch';
comment on column ${schema}.bucket.seen is 'the latest time at which it was asked: it is never asked at an earlier one';
`
}

export const limitFunctions: Migration = (schema) => `
-- Of leases that ended without their holders all was used, each at its end.
create function ${schema}.bucket_end_leases(inout b ${schema}.bucket, p_now bigint) language plpgsql as $$
declare
  v_first int;
begin
  loop
    v_first := null;
    for i in 1 .. cardinality(b.ends) loop
      if b.ends[i] <= p_now and (v_first is null or b.ends[i] < b.ends[v_first]) then
        v_first := i;
      end if;
    end loop;
    exit when v_first is null;
    if b.kind <> ${bucketKind.concurrency} then
      b.numbers := (${schema}.bucket_take(b.kind, b.parameters, b.numbers, b.ends[v_first], b.units[v_first])).n;
    end if;
    b := ${schema}.bucket_without_lease(b, v_first);
  end loop;
end $$;

create function ${schema}.bucket_without_lease(inout b ${schema}.bucket, i int) immutable language plpgsql as $$
begin
  b.holders := b.holders[:i - 1] || b.holders[i + 1:];
  b.units := b.units[:i - 1] || b.units[i + 1:];
  b.ends := b.ends[:i - 1] || b.ends[i + 1:];
end $$;

-- What is left when all leases are taken off.
create function ${schema}.bucket_left(b ${schema}.bucket, p_now bigint) returns bigint immutable language plpgsql as $$
declare
  v_left bigint := ${schema}.bucket_available(b.kind, b.parameters, b.numbers, p_now);
begin
  for i in 1 .. cardinality(b.units) loop
    v_left := v_left - b.units[i];
  end loop;
  return v_left;
end $$;

-- Stores all that has happened, and ends the holder's lease. Gives what the holder has in use and keeps.
create function ${schema}.bucket_settle(
  inout b ${schema}.bucket, p_holder text, p_now bigint, p_kind smallint, p_parameters bigint[],
  p_used bigint, p_penalty bigint, p_refund bigint, p_taken bigint, out own bigint
) language plpgsql as $$
declare
  v_missing bigint;
  v_lease int;
  v_units bigint;
begin
  own := 0;
  if cardinality(b.ends) > 0 then
    b := ${schema}.bucket_end_leases(b, p_now);
  end if;
  if not ${schema}.bucket_same(b.kind, b.parameters, p_kind, p_parameters) then
    v_missing := b.parameters[1] - ${schema}.bucket_available(b.kind, b.parameters, b.numbers, p_now);
    b.numbers := ${schema}.bucket_numbers(p_kind, p_parameters);
    if v_missing > 0 and p_kind <> ${bucketKind.concurrency} then
      b.numbers := (${schema}.bucket_take(p_kind, p_parameters, b.numbers, p_now, v_missing)).n;
    end if;
  end if;
  b.kind := p_kind;
  b.parameters := p_parameters;
  v_lease := array_position(b.holders, p_holder);
  if v_lease is not null then
    v_units := b.units[v_lease];
    b := ${schema}.bucket_without_lease(b, v_lease);
  end if;
  -- What is in use goes on; what is not leased of it, as far as there is room.
  if p_kind = ${bucketKind.concurrency} then
    own := least(p_used, greatest(coalesce(v_units, 0), ${schema}.bucket_left(b, p_now)));
    return;
  end if;
  if p_refund is not null then
    b.numbers := ${schema}.bucket_refund(p_kind, p_parameters, b.numbers, p_now, p_refund, p_taken);
  end if;
  v_missing := least(p_used, coalesce(v_units, 0)) + p_penalty;
  if v_missing > 0 then
    b.numbers := (${schema}.bucket_take(p_kind, p_parameters, b.numbers, p_now, v_missing)).n;
  end if;
end $$;

-- Requests: p_holders, p_lease_us and p_counts (how many asks each has). Asks: p_places (which of p_names) and what follows; four parameters for each.
-- p_asks is the first ask of each of p_names. These are different, and in an order that all processes have: so nobody waits for somebody who waits for him. p_latest: no time
-- after that is believed.
create function ${schema}.limit_exchange(
  p_latest bigint, p_names text[], p_asks int[], p_holders text[], p_lease_us bigint[], p_counts int[], p_places int[], p_kinds int[], p_parameters bigint[],
  p_used bigint[], p_costs bigint[], p_holds bigint[], p_penalties bigint[], p_refunds bigint[], p_taken bigint[],
  out allowed boolean[], out nows bigint[], out available bigint[], out held bigint[], out taken bigint[], out earliest bigint[]
) language plpgsql ${functionSettings} as $$
declare
  v_rows ${schema}.bucket[];
  b ${schema}.bucket;
  v_own bigint[];
  v_base int := 0;
  v_now bigint;
  v_allowed boolean;
  v_held bigint;
  v_keeps bigint;
  v_cost bigint;
  v_take record;
  v_settled record;
  v_parameters bigint[];
begin
  -- What was decided in the last moments may be forgotten when the server dies.
  perform set_config('synchronous_commit', 'off', true);
  insert into ${schema}.bucket (name, kind, parameters, numbers)
    select x.name, p_kinds[x.ask]::smallint, q.p, ${schema}.bucket_numbers(p_kinds[x.ask]::smallint, q.p)
    from unnest(p_names, p_asks) with ordinality x(name, ask, place)
    cross join lateral (select p_parameters[x.ask * 4 - 3 : x.ask * 4] as p) q
    where not exists (select from ${schema}.bucket o where o.name = x.name)
    order by x.place on conflict do nothing;
  select array_agg(l.r order by l.place) into v_rows from (
    select r, x.place from unnest(p_names) with ordinality x(name, place) join ${schema}.bucket r on r.name = x.name
    order by x.place for update of r
  ) l;
  -- To make it now, with others locked, would be against the order: the client begins anew.
  if cardinality(v_rows) is distinct from cardinality(p_names) then
    raise serialization_failure using message = 'A bucket was swept away before it was locked.';
  end if;
  for v_request in 1 .. cardinality(p_holders) loop
    v_now := least((extract(epoch from clock_timestamp()) * 1000000)::bigint, p_latest);
    for a in v_base + 1 .. v_base + p_counts[v_request] loop
      v_now := greatest(v_now, (v_rows[p_places[a]]).seen);
    end loop;
    v_allowed := true;
    for a in v_base + 1 .. v_base + p_counts[v_request] loop
      v_parameters := p_parameters[a * 4 - 3 : a * 4];
      v_settled := ${schema}.bucket_settle(v_rows[p_places[a]], p_holders[v_request], v_now, p_kinds[a]::smallint, v_parameters,
        p_used[a], p_penalties[a], p_refunds[a], p_taken[a]);
      b := v_settled.b;
      b.seen := v_now;
      v_rows[p_places[a]] := b;
      v_own[a] := v_settled.own;
      v_allowed := v_allowed and (p_costs[a] = 0 or p_costs[a] <= ${schema}.bucket_left(b, v_now) - v_own[a]);
    end loop;
    for a in v_base + 1 .. v_base + p_counts[v_request] loop
      b := v_rows[p_places[a]];
      v_cost := case when v_allowed and b.kind <> ${bucketKind.ban} then p_costs[a] else 0 end;
      v_keeps := v_own[a];
      if b.kind = ${bucketKind.concurrency} then
        taken[a] := v_now;
        v_keeps := v_keeps + v_cost;
      else
        v_take := ${schema}.bucket_take(b.kind, b.parameters, b.numbers, v_now, v_cost);
        b.numbers := v_take.n;
        taken[a] := v_take.taken;
      end if;
      available[a] := ${schema}.bucket_left(b, v_now);
      v_held := v_keeps + greatest(0, least(p_holds[a], available[a] - v_keeps));
      if v_held > 0 then
        b.holders := b.holders || p_holders[v_request];
        b.units := b.units || v_held;
        b.ends := b.ends || (v_now + p_lease_us[v_request]);
        available[a] := available[a] - v_held;
      end if;
      held[a] := v_held;
      earliest[a] := ${schema}.bucket_earliest(b.kind, b.parameters, b.numbers, v_now, p_costs[a]);
      v_rows[p_places[a]] := b;
    end loop;
    allowed[v_request] := v_allowed;
    nows[v_request] := v_now;
    v_base := v_base + p_counts[v_request];
  end loop;
  update ${schema}.bucket r set kind = n.kind, parameters = n.parameters, numbers = n.numbers, holders = n.holders, units = n.units,
      ends = n.ends, seen = n.seen
    from unnest(v_rows) n where r.name = n.name;
end $$;

-- Looks at p_count buckets from p_after on, and forgets those that say no more than fresh ones; those of a calendar when their window has ended
-- and nobody has asked for long, whatever the clocks of those say who asked. p_latest: no time after that is believed. Gives where the next begins,
-- null when there are no more.
create function ${schema}.limit_sweep(p_after text, p_count int, p_latest bigint, out removed int, out reached text) language plpgsql ${functionSettings} as $$
declare
  b ${schema}.bucket;
  v_name text;
  v_seen int := 0;
  v_now bigint;
begin
  perform set_config('synchronous_commit', 'off', true);
  removed := 0;
  for b in select r.* from ${schema}.bucket r where r.name > p_after order by r.name limit p_count for update skip locked loop
    v_name := b.name;
    v_seen := v_seen + 1;
    v_now := greatest(least((extract(epoch from clock_timestamp()) * 1000000)::bigint, p_latest), b.seen);
    b := ${schema}.bucket_end_leases(b, v_now);
    if cardinality(b.ends) = 0 and (${schema}.bucket_idle(b.kind, b.parameters, b.numbers, v_now)
      or b.kind = ${bucketKind['calendar-window']} and greatest(b.parameters[2], b.seen) + ${dayUs} <= v_now)
    then
      delete from ${schema}.bucket r where r.name = v_name;
      removed := removed + 1;
    end if;
  end loop;
  reached := case when v_seen = p_count then v_name end;
end $$;
`
