// What becomes of tasks: sent, settled, extended. Each function is one transaction of one queue. It waits for its locks first and
// looks then, statement by statement with a view of its own, so that it sees all that whoever had the locks has done.
import { flowEnd } from './flow-functions.ts'
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

const settings = `language plpgsql ${functionSettings}`

export const taskFunctions: Migration = (schema) => `
-- Stores messages, each unless another one has its deduplication key. A row for each that was not stored: its place, from 0, and
-- who has the key. A single row with the place -1 when the rules are not those of p_version; then nothing was stored.
create function ${schema}.send_tasks(
  p_queue int, p_version int, p_ids text[], p_keys text[], p_bodies text[], p_delays float8[], p_priorities int[],
  p_groups text[], p_dedups text[], p_for float8[], p_after text[]
) returns table (place int, holder text) ${settings} as $$
#variable_conflict use_column
declare
  v_rules jsonb;
  v_lanes boolean;
  v_now timestamptz;
  v_numbers bigint[];
  v_dedup boolean := exists (select from unnest(p_dedups) d where d is not null);
  v_after boolean := exists (select from unnest(p_after) a where a is not null);
  v_duplicates text[];
  v_holders text[];
  v_places int[];
  v_first text[] := '{}';
begin
  perform pg_advisory_xact_lock_shared(${schema}.queue_lock(p_queue, 0));
  select q.rules into v_rules from ${schema}.queue q where q.id = p_queue and q.version = p_version;
  if v_rules is null then
    return query select -1, null::text;
    return;
  end if;
  v_lanes := v_rules ? 'keyOrder';
  if v_lanes then
    perform pg_advisory_xact_lock(l.lock) from (
      select distinct ${schema}.key_lock(p_queue, k) as lock from unnest(p_keys) k where k is not null order by 1
    ) l;
  end if;
  if v_lanes and v_rules ? 'flow' then
    v_first := ${schema}.waited_for(p_ids);
  end if;
  if v_after or v_dedup and v_rules ? 'flow' or cardinality(v_first) > 0 then
    perform ${schema}.lock_flows();
  end if;
  if v_after then
    perform ${schema}.check_flows(p_ids, p_after);
  end if;
  v_now := clock_timestamp();
  -- The order of the numbers is that in which they become claimable.
  v_numbers := array(select nextval('${schema}.message_id_seq') from generate_series(1, cardinality(p_ids)));
  if v_dedup then
    delete from ${schema}.dedup_key d where d.ctid = any(array(
      select o.ctid from ${schema}.dedup_key o where o.task is null and o.until <= v_now
      order by o.until limit 100 for update skip locked
    ));
    insert into ${schema}.dedup_key as d (queue, name, message_id, task, until)
      select p_queue, f.name, f.message_id, v_numbers[f.place], coalesce(v_now + f.ms * interval '1 millisecond', '-infinity')
      from (
        select distinct on (m.name) m.name, m.message_id, m.ms, m.place::int
        from unnest(p_dedups, p_ids, p_for) with ordinality m(name, message_id, ms, place)
        where m.name is not null order by m.name, m.place
      ) f order by f.name collate "C"
      on conflict on constraint dedup_key_pkey do update
        set message_id = excluded.message_id, task = excluded.task, until = excluded.until
        -- One that was cancelled while it was held is gone with its lease, though nobody may have looked since.
        where d.until <= v_now and (d.task is null or exists (
          select from ${schema}.task t where t.id = d.task and t.cancelled and t.due_at <= v_now
        ));
  end if;
  insert into ${schema}.task (id, queue, due_at, priority, laned, turn, in_line, tracked, message_id, key, grp, dedup, body)
    select v_numbers[m.place], p_queue, case when m.delay > 0 then v_now + m.delay * interval '1 millisecond' end,
      m.priority, m.laned, m.turn,
      m.laned and (
        row_number() over (partition by m.key order by m.turn, m.place) > 1 or coalesce((
          select true from ${schema}.task t where t.queue = p_queue and t.key = m.key and t.laned and not t.in_line
            and (m.turn = 0 or t.waits = 0) limit 1
        ), false)
      ), v_rules ? 'flow', m.message_id, m.key, m.grp, m.dedup, m.body
    from (
      select u.*, v_lanes and u.key is not null as laned,
        case when u.key is not null and u.message_id = any(v_first) then ${schema}.first_turn(p_queue, u.key) else 0 end as turn
      from unnest(p_ids, p_keys, p_bodies, p_delays, p_priorities, p_groups, p_dedups) with ordinality
        u(message_id, key, body, delay, priority, grp, dedup, place)
    ) m
    where not v_dedup or m.dedup is null or v_numbers[m.place] = (
      select d.task from ${schema}.dedup_key d where d.queue = p_queue and d.name = m.dedup
    )
    order by m.place;
  if cardinality(v_first) > 0 then
    perform ${schema}.give_way(p_queue, p_keys);
  end if;
  if v_after then
    perform ${schema}.begin_waits(v_numbers, p_after);
  end if;
  if v_dedup then
    select array_agg(m.place::int - 1 order by m.place), array_agg(p_ids[m.place] order by m.place),
        array_agg(d.message_id order by m.place)
      into v_places, v_duplicates, v_holders
      from unnest(p_dedups) with ordinality m(name, place)
      cross join lateral (
        select o.message_id, o.task from ${schema}.dedup_key o where o.queue = p_queue and o.name = m.name limit 1
      ) d
      where d.task is distinct from v_numbers[m.place];
    if v_rules ? 'flow' then
      perform ${schema}.stand_in(v_duplicates, v_holders, v_now);
    end if;
    return query select d.place, d.holder from unnest(v_places, v_holders) d(place, holder);
  end if;
end $$;

-- The locks of the keys of tasks: under them a line has one head, whoever sends to it or takes from it. And that of flows, where others
-- may wait for one of them.
create function ${schema}.lock_lanes(p_queue int, p_ids bigint[]) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(l.lock) from (
    select distinct ${schema}.key_lock(t.queue, t.key) as lock from ${schema}.task t
    where t.id = any(p_ids) and t.laned order by 1
  ) l;
  if exists (select from ${schema}.task t where t.id = any(p_ids) and t.tracked) then
    perform ${schema}.lock_flows();
  end if;
end $$;

-- Removes tasks whose rows and lanes are locked: their keys are free, and the next ones of their lines can be claimed; so can those that wait
-- for them. Those that are neither done nor dead are gone. Gives the queues in which others were let go.
create function ${schema}.end_tasks(
  p_queue int, p_ids bigint[], p_now timestamptz, p_done bigint[] default '{}', p_dead bigint[] default '{}'
) returns int[] language plpgsql as $$
declare
  v_tracked text[];
  v_hows int[];
  v_waited boolean;
  v_lanes text[];
  v_names text[];
  v_holders bigint[];
begin
  with gone as (
    delete from ${schema}.task t where t.id = any(p_ids)
    returning t.id, t.key, t.laned and not t.in_line as head, t.dedup, t.tracked, t.waits > 0 as waited, t.message_id
  )
  select array_agg(distinct g.key) filter (where g.head), array_agg(g.dedup) filter (where g.dedup is not null),
      array_agg(g.id) filter (where g.dedup is not null), array_agg(g.message_id) filter (where g.tracked),
      array_agg(case when g.id = any(p_done) then ${flowEnd.done} when g.id = any(p_dead) then ${flowEnd.dead} else ${flowEnd.gone} end)
        filter (where g.tracked),
      bool_or(g.waited)
    into v_lanes, v_names, v_holders, v_tracked, v_hows, v_waited from gone g;
  if v_waited then
    delete from ${schema}.flow_wait w where w.task = any(p_ids);
  end if;
  if v_names is not null then
    perform from ${schema}.dedup_key d where d.queue = p_queue and d.name = any(v_names) order by d.name for update;
    delete from ${schema}.dedup_key d
      where d.queue = p_queue and d.name = any(v_names) and d.task = any(v_holders) and d.until <= p_now;
    update ${schema}.dedup_key d set task = null
      where d.queue = p_queue and d.name = any(v_names) and d.task = any(v_holders);
  end if;
  if v_lanes is not null then
    update ${schema}.task t set in_line = false, due_at = case when t.due_at > p_now then t.due_at end
      from unnest(v_lanes) l(key) cross join lateral (
        select n.id from ${schema}.task n where n.queue = p_queue and n.key = l.key and n.laned order by n.turn, n.id + 0 limit 1
      ) head
      where t.id = head.id and t.in_line;
  end if;
  return case when v_tracked is null then '{}' else ${schema}.end_flows(v_tracked, v_hows, p_now) end;
end $$;

create function ${schema}.with_failure(p_history jsonb, p_start int, p_reason text) returns jsonb language sql as $$
  select case when p_reason is null then p_history else
    case when jsonb_array_length(p_history) >= 10 then p_history - 0 else coalesce(p_history, '[]') end
    || jsonb_build_array(jsonb_build_object(
      'start', p_start, 'at', floor(extract(epoch from clock_timestamp()) * 1000), 'reason', p_reason)) end
$$;

-- Gives the numbers of those whose lease was not stale, and, below zero, those of other queues in which something was let go.
create function ${schema}.settle_tasks(
  p_queue int, p_ids bigint[], p_tokens bigint[], p_kinds text[], p_delays float8[], p_reasons text[]
) returns setof bigint ${settings} as $$
declare
  v_now timestamptz;
  v_ids bigint[];
  v_done bigint[];
  v_dead bigint[];
  v_ended bigint[];
  v_woken int[];
begin
  perform pg_advisory_xact_lock_shared(${schema}.queue_lock(p_queue, 0));
  perform ${schema}.lock_lanes(p_queue, p_ids);
  v_ids := array(
    select s.id from unnest(p_ids, p_tokens) s(id, token)
    join ${schema}.task t on t.id = s.id and t.token = s.token
    where not (t.cancelled and t.due_at <= clock_timestamp()) order by s.id for update of t
  );
  v_now := clock_timestamp();
  insert into ${schema}.dead_letter (queue, token, starts, message_id, key, body, reason, history, priority, grp, tracked)
    select p_queue, t.token, t.starts, t.message_id, t.key, t.body, s.reason, t.history, t.priority, t.grp, t.tracked
    from unnest(p_ids, p_kinds, p_reasons) s(id, kind, reason)
    join ${schema}.task t on t.id = s.id
    where s.kind = 'dead-letter' and s.id = any(v_ids) and not t.cancelled order by t.id;
  select array_agg(t.id), coalesce(array_agg(t.id) filter (where s.kind = 'done' and not t.cancelled), '{}'),
      coalesce(array_agg(t.id) filter (where s.kind = 'dead-letter' and not t.cancelled), '{}')
    into v_ended, v_done, v_dead
    from unnest(p_ids, p_kinds) s(id, kind) join ${schema}.task t on t.id = s.id
    where s.id = any(v_ids) and (s.kind in ('done', 'dead-letter') or t.cancelled);
  if v_ended is not null then
    if cardinality(v_done) > 0 and (select q.rules ? 'finished' from ${schema}.queue q where q.id = p_queue) then
      insert into ${schema}.finished (queue, starts, finished_at, message_id, key, body)
        select p_queue, t.starts, v_now, t.message_id, t.key, t.body from ${schema}.task t where t.id = any(v_done) order by t.id;
    end if;
    v_woken := ${schema}.end_tasks(p_queue, v_ended, v_now, v_done, v_dead);
  end if;
  if coalesce(cardinality(v_ended), 0) < cardinality(v_ids) then
    update ${schema}.task t
      set due_at = case when s.delay > 0 then v_now + s.delay * interval '1 millisecond' end, leased = false,
        token = t.token + 1, suspect = t.suspect and s.kind = 'release' and t.starts > 1,
        starts = t.starts - case s.kind when 'release' then 1 else 0 end,
        history = case when s.kind = 'retry' then ${schema}.with_failure(t.history, t.starts, s.reason) else t.history end
      from unnest(p_ids, p_kinds, p_delays, p_reasons) s(id, kind, delay, reason)
      where t.id = s.id and s.kind in ('retry', 'release') and s.id = any(v_ids);
  end if;
  return query select unnest(v_ids) union all select -w from unnest(v_woken) w where w <> p_queue;
end $$;

-- Not beside a claim: it may just be giving away the place of a lease that has ended.
create function ${schema}.extend_tasks(p_queue int, p_ids bigint[], p_tokens bigint[], p_leases float8[], p_progress text[])
returns table (id bigint, cancelled boolean) ${settings} as $$
#variable_conflict use_column
declare
  v_now timestamptz;
begin
  perform set_config('synchronous_commit', 'off', true);
  perform pg_advisory_xact_lock(${schema}.queue_lock(p_queue, 1));
  v_now := clock_timestamp();
  return query
    update ${schema}.task t
    set due_at = v_now + s.lease * interval '1 millisecond', progress = coalesce(t.token || ' ' || s.progress, t.progress)
    from unnest(p_ids, p_tokens, p_leases, p_progress) s(id, token, lease, progress)
    where t.id = s.id and t.token = s.token and t.leased and t.due_at > v_now
    returning t.id, t.cancelled;
end $$;
`
