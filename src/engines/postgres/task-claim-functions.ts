// Which tasks a claim gets. Claims of one queue follow one another, and each sees all that the one before it has leased: that is why
// limits hold exactly. They do not wait for the disk, and never for a row.
import { redriven } from './lease-functions.ts'
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

/** How many tasks whose time has come one claim makes ready at most, of each kind. */
const dueAtOnce = 2_000

export const claimFunctions: Migration = (schema) => `
-- What was sent before the queue had rules comes under them, as much as a claim may take; the numbers keep it before the others.
create function ${schema}.take_under_rules(p_queue int, p_limit int, p_now timestamptz) returns void language plpgsql as $$
begin
  perform ${schema}.end_leases(p_queue, ${dueAtOnce}, p_now, 1e12);
  -- Only a crash, which forgets the leases, leaves such behind.
  delete from ${schema}.message m where m.queue = p_queue and m.cancelled
    and m.id not in (select unnest(l.ids) from ${schema}.lease l where l.queue = p_queue);
  with moved as (
    delete from ${schema}.message m where m.id in (
      select d.id from ${schema}.message d where d.queue = p_queue and d.due_at <= p_now
      order by d.due_at limit ${dueAtOnce} for update skip locked
    ) returning m.*
  )
  insert into ${schema}.task (id, token, queue, starts, suspect, message_id, key, body, history, redriven_at)
    select m.id, m.token, m.queue, m.starts, m.suspect, m.message_id, m.key, m.body, m.history, m.redriven_at from moved m;
  with moved as (
    delete from ${schema}.message m where m.id in (
      select f.id from ${schema}.message f where f.queue = p_queue and f.due_at is null
        and f.id not in (select unnest(l.ids) from ${schema}.lease l where l.queue = p_queue)
      order by f.id limit p_limit for update skip locked
    ) returning m.*
  )
  insert into ${schema}.task (id, token, queue, starts, suspect, message_id, key, body, history, redriven_at)
    select m.id, m.token, m.queue, m.starts, m.suspect, m.message_id, m.key, m.body, m.history, m.redriven_at from moved m;
  if not exists (select from ${schema}.message m where m.queue = p_queue and m.due_at is null)
    and not exists (select from ${schema}.message m where m.queue = p_queue and m.due_at is not null)
  then
    update ${schema}.queue q set legacy = false where q.id = p_queue;
  end if;
end $$;

-- Cancelled ones whose lease has ended go; others whose lease, delay or wait has ended become ready.
create function ${schema}.promote_due(p_queue int, p_now timestamptz) returns void language plpgsql as $$
declare
  v_over bigint[];
begin
  v_over := array(
    select t.id from ${schema}.task t where t.queue = p_queue and t.cancelled and t.due_at <= p_now limit ${dueAtOnce}
  );
  if cardinality(v_over) > 0 then
    -- Before their rows: whoever settles has the lanes and waits for rows.
    perform ${schema}.lock_lanes(p_queue, v_over);
    v_over := array(
      select t.id from ${schema}.task t where t.id = any(v_over) and t.due_at <= p_now
      for update skip locked
    );
    perform ${schema}.end_tasks(p_queue, v_over, p_now);
  end if;
  update ${schema}.task t set due_at = null, leased = false, suspect = true
    where t.id in (
      select d.id from ${schema}.task d
      where d.queue = p_queue and d.leased and d.due_at <= p_now and not d.behind and not d.cancelled
      order by d.due_at limit ${dueAtOnce} for update skip locked
    );
  update ${schema}.task t set due_at = null
    where t.id in (
      select d.id from ${schema}.task d where d.queue = p_queue and not d.leased and d.due_at <= p_now and not d.behind
      order by d.due_at limit ${dueAtOnce} for update skip locked
    );
end $$;

-- Ready tasks, the highest priority first, by turns between the groups of each: from the one after that in p_turns on, and round again.
create function ${schema}.pick_in_turns(
  p_queue int, p_limit int, p_turns jsonb, p_most int, p_legacy boolean, p_now timestamptz, out ids bigint[], out turns jsonb
) language plpgsql as $$
declare
  v_top int := 100;
  v_level int;
  v_turn text;
  v_at text;
  v_end text;
  v_group text;
  v_room int;
  v_left int := p_limit;
  v_share int;
  v_before int;
  v_groups text[];
  v_rooms int[];
  v_lasts bigint[];
  v_taken int[];
  v_row record;
  v_more boolean;
begin
  ids := '{}';
  turns := p_turns;
  loop
    exit when v_left <= 0;
    select t.priority into v_level from ${schema}.task t
      where t.queue = p_queue and t.due_at is null and not t.behind and t.priority <= v_top
      order by t.priority desc limit 1;
    exit when not found;
    v_groups := '{}';
    v_rooms := '{}';
    -- No text sorts between one and the same with this character behind it.
    v_turn := coalesce(turns->>v_level::text, '');
    v_end := v_turn || e'\\x01';
    v_at := v_end;
    for half in 1..2 loop
      loop
        exit when cardinality(v_groups) >= v_left;
        if half = 1 then
          select t.grp into v_group from ${schema}.task t
            where t.queue = p_queue and t.due_at is null and not t.behind and t.priority = v_level and t.grp >= v_at
            order by t.grp limit 1;
        else
          select t.grp into v_group from ${schema}.task t
            where t.queue = p_queue and t.due_at is null and not t.behind and t.priority = v_level
              and t.grp >= v_at and t.grp < v_end
            order by t.grp limit 1;
        end if;
        exit when not found;
        v_at := v_group || e'\\x01';
        v_room := p_limit;
        if p_most is not null then
          -- With what this claim has taken of it on a higher level.
          v_room := p_most - (select count(*) from (
            select from ${schema}.task t where t.queue = p_queue and t.grp = v_group and t.leased and t.due_at > p_now limit p_most
          ) l) - (select count(*) from ${schema}.task t where t.id = any(ids) and t.grp = v_group);
          if p_legacy and v_group = '' then
            v_room := v_room - (select coalesce(sum(l.held), 0) from ${schema}.lease l where l.queue = p_queue and l.due_at > p_now);
          end if;
        end if;
        if v_room > 0 then
          v_groups := v_groups || v_group;
          v_rooms := v_rooms || v_room;
        end if;
      end loop;
      v_at := '';
    end loop;
    v_lasts := array_fill(0::bigint, array[cardinality(v_groups)]);
    v_taken := array_fill(0, array[cardinality(v_groups)]);
    loop
      exit when v_left <= 0 or cardinality(v_groups) = 0;
      v_share := ceil(v_left::numeric / cardinality(v_groups));
      v_before := v_left;
      for v_row in
        select g.grp, g.place, c.id from unnest(v_groups, v_rooms, v_lasts) with ordinality g(grp, room, last, place)
        cross join lateral (
          select n.id, row_number() over (order by n.id) as round from (
            select t.id from ${schema}.task t
            where t.queue = p_queue and t.due_at is null and not t.behind and t.priority = v_level and t.grp = g.grp
              and t.id + 0 > g.last
            order by t.id + 0 limit least(v_share, g.room)
          ) n
        ) c
        order by c.round, g.place limit v_left
      loop
        ids := ids || v_row.id;
        v_turn := v_row.grp;
        v_lasts[v_row.place] := v_row.id;
        v_rooms[v_row.place] := v_rooms[v_row.place] - 1;
        v_taken[v_row.place] := v_taken[v_row.place] + 1;
        v_left := v_left - 1;
      end loop;
      exit when v_left = v_before or v_left <= 0;
      -- Those that gave their share may have more.
      select array_agg(g.grp order by g.place), array_agg(g.room order by g.place), array_agg(g.last order by g.place)
        into v_groups, v_rooms, v_lasts
        from unnest(v_groups, v_rooms, v_lasts, v_taken) with ordinality g(grp, room, last, taken, place)
        where g.taken = v_share and g.room > 0;
      exit when v_groups is null;
      v_taken := array_fill(0, array[cardinality(v_groups)]);
    end loop;
    turns := turns || jsonb_build_object(v_level, v_turn);
    v_top := v_level - 1;
  end loop;
end $$;

-- Leases up to p_limit. Without groups, p_levels are priorities, from the highest down, of which nothing is looked at below p_froms. When there is nothing, a single row without a number: starts is -1 when the rules are not those of p_version,
-- else wait_ms is the time until there may be something, null when only somebody's act can help.
create function ${schema}.claim_tasks(
  p_queue int, p_version int, p_limit int, p_lease float8, p_levels int[], p_froms bigint[]
)
returns table (
  id bigint, message_id text, key text, body text, starts int, token bigint, suspect boolean, level int, wait_ms float8,
  scan_ms float8, orphan boolean, redriven float8
) language plpgsql ${functionSettings} as $$
#variable_conflict use_column
declare
  v_queue ${schema}.queue;
  v_pace ${schema}.pace;
  v_now timestamptz;
  v_count float8;
  v_bucket float8;
  v_turns jsonb;
  v_wait float8;
  v_room bigint := p_limit;
  v_ids bigint[] := '{}';
  v_top int := 100;
  v_bottom int;
  v_begun timestamptz;
  v_scan float8;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform pg_advisory_xact_lock(${schema}.queue_lock(p_queue, 1));
  select q.* into v_queue from ${schema}.queue q where q.id = p_queue;
  if v_queue.rules is null or v_queue.version <> p_version then
    return query select null::bigint, null, null, null, -1, null::bigint, null::boolean, null::int, null::float8, null::float8, null::boolean, null::float8;
    return;
  end if;
  if v_queue.paused then
    return query select null::bigint, null, null, null, 0, null::bigint, null::boolean, null::int, null::float8, null::float8, null::boolean, null::float8;
    return;
  end if;
  v_now := clock_timestamp();
  if v_queue.legacy then
    perform ${schema}.take_under_rules(p_queue, p_limit, v_now);
  end if;
  perform ${schema}.promote_due(p_queue, v_now);

  if v_queue.rules ? 'concurrency' then
    v_room := (v_queue.rules->>'concurrency')::bigint - (select count(*) from (
      select from ${schema}.task t where t.queue = p_queue and t.leased and t.due_at > v_now and not t.behind
      limit (v_queue.rules->>'concurrency')::bigint
    ) l);
    if v_queue.legacy then
      v_room := v_room - (select coalesce(sum(l.held), 0) from ${schema}.lease l where l.queue = p_queue and l.due_at > v_now);
    end if;
  end if;
  if v_queue.rules ?| array['rate', 'groups'] then
    select p.* into v_pace from ${schema}.pace p where p.queue = p_queue order by p.step desc limit 1;
    v_turns := coalesce(v_pace.turns, '{}');
    v_bucket := 0;
    if v_queue.rules ? 'rate' then
      v_count := (v_queue.rules->'rate'->>'count')::float8;
      -- A clock that was set back fills nothing, and takes nothing away; from now on its time is what counts.
      if v_pace.counted_at > v_now then
        update ${schema}.pace p set counted_at = v_now where p.queue = p_queue and p.step = v_pace.step;
        v_pace.counted_at := v_now;
      end if;
      v_bucket := least(v_count, coalesce(v_pace.bucket, v_count)
        + greatest(0, extract(epoch from v_now - coalesce(v_pace.counted_at, v_now))::float8 * 1000)
          * v_count / (v_queue.rules->'rate'->>'perMs')::float8);
      -- Sums of parts of starts end a hair below whole numbers.
      v_room := least(v_room, floor(v_bucket + 1e-9)::bigint);
      if v_bucket + 1e-9 < 1 then
        v_wait := (1 - v_bucket) * (v_queue.rules->'rate'->>'perMs')::float8 / v_count;
      end if;
    end if;
  end if;

  v_room := least(v_room, p_limit);
  if v_room > 0 then
    v_begun := clock_timestamp();
    if v_queue.rules ? 'groups' then
      select p.ids, p.turns into v_ids, v_turns from ${schema}.pick_in_turns(p_queue, v_room::int, v_turns,
        (v_queue.rules->'groups'->>'concurrency')::int, v_queue.legacy, v_now) p;
      v_ids := array(
        select c.id from unnest(v_ids) with ordinality c(id, place)
        join ${schema}.task t on t.id = c.id and t.due_at is null and not t.behind
        order by c.place for update of t skip locked
      );
    else
      -- The levels that the caller names from where it says, those between them whole.
      for place in 1..cardinality(p_levels) + 1 loop
        v_bottom := coalesce(p_levels[place], -101);
        if v_top > v_bottom then
          v_ids := v_ids || array(
            select t.id from ${schema}.task t where t.queue = p_queue and t.due_at is null and not t.behind
              and t.priority > v_bottom and t.priority <= v_top
            order by t.priority desc, t.grp, t.id + 0 limit v_room - cardinality(v_ids) for update skip locked
          );
        end if;
        exit when cardinality(v_ids) >= v_room or place > cardinality(p_levels);
        v_ids := v_ids || array(
          select t.id from ${schema}.task t where t.queue = p_queue and t.due_at is null and not t.behind
            and t.priority = v_bottom and t.grp = '' and t.id + 0 >= p_froms[place]
          order by t.id + 0 limit v_room - cardinality(v_ids) for update skip locked
        );
        exit when cardinality(v_ids) >= v_room;
        v_top := v_bottom - 1;
      end loop;
    end if;
    v_scan := extract(epoch from clock_timestamp() - v_begun)::float8 * 1000;
  end if;
  if cardinality(v_ids) > 0 then
    if v_turns is not null then
      delete from ${schema}.pace p where p.queue = p_queue and p.step = v_pace.step;
      insert into ${schema}.pace (queue, step, turns, bucket, counted_at)
        values (p_queue, coalesce(v_pace.step, 0) + 1, v_turns, v_bucket - cardinality(v_ids), v_now);
    end if;
    return query
      with taken as (
        update ${schema}.task t
        set leased = true, due_at = v_now + p_lease * interval '1 millisecond', starts = t.starts + 1,
          token = greatest(t.token + 1, (extract(epoch from v_now) * 1000000)::bigint)
        from unnest(v_ids) with ordinality c(id, place)
        where t.id = c.id
        returning t.id, t.message_id, t.key, t.body, t.starts, t.token, t.suspect, t.priority, t.orphan, t.redriven_at, c.place
      )
      select k.id, k.message_id, k.key, k.body, k.starts, k.token, k.suspect, k.priority::int, null::float8, v_scan, k.orphan, ${redriven('k')}
      from taken k order by k.place;
    return;
  end if;
  return query select null::bigint, null, null, null, 0, null::bigint, null::boolean, null::int, least(v_wait, (
    select extract(epoch from min(d.due_at) - v_now)::float8 * 1000 from (
      (select t.due_at from ${schema}.task t where t.queue = p_queue and t.leased and t.due_at is not null and not t.behind
        order by t.due_at limit 1)
      union all
      (select t.due_at from ${schema}.task t where t.queue = p_queue and not t.leased and t.due_at is not null and not t.behind
        order by t.due_at limit 1)
      union all
      (select m.due_at from ${schema}.message m where v_queue.legacy and m.queue = p_queue and m.due_at is not null
        order by m.due_at limit 1)
      union all
      (select l.due_at from ${schema}.lease l where v_queue.legacy and l.queue = p_queue order by l.due_at limit 1)
    ) d
  )), v_scan, null::boolean, null::float8;
end $$;
`
