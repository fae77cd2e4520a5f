// Declaring queues, and what an operator does to them.
import { flowEnd } from './flow-functions.ts'
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

/** The SQLSTATE of a change of `keyOrder` while there are messages. */
export const keyOrderFixed = 'SW005'

/** How many messages, or dead letters, one step of a purge removes at most. */
const purgeAtOnce = 2_000
const purgeDeadAtOnce = 5_000

const settings = `language plpgsql ${functionSettings}`

export const controlFunctions: Migration = (schema) => {
  /** The numbers of messages without rules that somebody holds. */
  const leased = (queue: string) =>
    `(select unnest(l.ids) from ${schema}.lease l where l.queue = ${queue} and l.due_at > clock_timestamp())`
  return `
-- Gives the queues that are there now, and whether their rules were changed. p_rules: null keeps what there is.
create function ${schema}.declare_queues(p_names text[], p_rules jsonb)
returns table (name text, id int, rules jsonb, version int, changed boolean) ${settings} as $$
#variable_conflict use_column
declare
  v_id int;
  v_queue ${schema}.queue;
  v_changed int[] := '{}';
begin
  insert into ${schema}.queue (name, rules)
    select n, nullif(p_rules, '{}') from unnest(p_names) n
    where not exists (select from ${schema}.queue q where q.name = n) order by n collate "C"
    on conflict do nothing;
  for v_id in
    select q.id from ${schema}.queue q
    where q.name = any(p_names) and p_rules is not null and coalesce(q.rules, '{}') <> p_rules order by q.id
  loop
    -- Whoever works by the former rules comes to an end first.
    perform pg_advisory_xact_lock(${schema}.queue_lock(v_id, 0));
    perform pg_advisory_xact_lock(${schema}.queue_lock(v_id, 1));
    select q.* into v_queue from ${schema}.queue q where q.id = v_id;
    continue when coalesce(v_queue.rules, '{}') = p_rules;
    if v_queue.rules is null then
      -- Those without rules have no lock of the queue, only that of the table.
      perform set_config('lock_timeout', '5s', true);
      lock table ${schema}.message in share row exclusive mode;
    end if;
    if (coalesce(v_queue.rules, '{}') ? 'keyOrder') <> (p_rules ? 'keyOrder') and (
      exists (select from ${schema}.task t where t.queue = v_id and not (t.cancelled and t.due_at <= clock_timestamp()))
      or exists (select from ${schema}.message m where m.queue = v_id and m.due_at is null
        and (not m.cancelled or m.id in ${leased('v_id')}))
      or exists (select from ${schema}.message m where m.queue = v_id and m.due_at is not null)
    ) then
      raise exception '%', v_queue.name using errcode = '${keyOrderFixed}';
    end if;
    if v_queue.rules ? 'flow' and not p_rules ? 'flow' then
      perform ${schema}.lock_flows();
      delete from ${schema}.flow_wait w
        where w.task in (select t.id from ${schema}.task t where t.queue = v_id and t.waits > 0);
      update ${schema}.task t set waits = 0, due_at = case when t.due_at > clock_timestamp() then t.due_at end
        where t.queue = v_id and t.waits > 0;
    end if;
    if not p_rules ? 'priority' then
      update ${schema}.task t set priority = 0 where t.queue = v_id and t.priority <> 0;
    end if;
    if not p_rules ? 'groups' then
      update ${schema}.task t set grp = '' where t.queue = v_id and t.grp <> '';
    end if;
    if not p_rules ? 'dedup' then
      update ${schema}.task t set dedup = null where t.queue = v_id and t.dedup is not null;
      delete from ${schema}.dedup_key d where d.queue = v_id;
    end if;
    if v_queue.rules->'rate' is distinct from p_rules->'rate' then
      delete from ${schema}.pace p where p.queue = v_id;
    end if;
    update ${schema}.queue q
      set version = q.version + 1, legacy = q.legacy or q.rules is null,
        -- A dead letter for which others may wait comes back as a task: only so its end is told.
        rules = case when p_rules = '{}' and not exists (select from ${schema}.task t where t.queue = v_id)
          and not exists (select from ${schema}.dead_letter d where d.queue = v_id and d.tracked) then null else p_rules end
      where q.id = v_id;
    v_changed := v_changed || v_id;
  end loop;
  return query
    select q.name, q.id, q.rules, q.version, q.id = any(v_changed) from ${schema}.queue q where q.name = any(p_names);
end $$;

-- At the end of the queue, with the token, so that fencing tokens go on rising.
create function ${schema}.redrive(p_queue int, p_handles bigint[]) returns float8 ${settings} as $$
declare
  v_rules jsonb;
  v_keys text[];
  v_count float8;
  v_tracked text[];
  v_first text[] := '{}';
begin
  perform pg_advisory_xact_lock_shared(${schema}.queue_lock(p_queue, 0));
  select q.rules into v_rules from ${schema}.queue q where q.id = p_queue;
  if v_rules ? 'keyOrder' then
    perform pg_advisory_xact_lock(l.lock) from (
      select distinct ${schema}.key_lock(p_queue, d.key) as lock from ${schema}.dead_letter d
      where d.queue = p_queue and d.handle = any(p_handles) and d.key is not null order by 1
    ) l;
  end if;
  v_tracked := array(
    select d.message_id from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(p_handles) and d.tracked
  );
  if cardinality(v_tracked) > 0 and v_rules is not null then
    perform ${schema}.lock_flows();
    delete from ${schema}.flow_end f where f.id = any(v_tracked) and f.how = ${flowEnd.dead};
    if v_rules ? 'keyOrder' then
      v_first := ${schema}.waited_for(v_tracked);
      v_keys := array(select d.key from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(p_handles));
    end if;
  end if;
  if v_rules is null then
    with back as (
      delete from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(p_handles)
      returning d.handle, d.token, d.message_id, d.key, d.body
    )
    insert into ${schema}.message (queue, token, message_id, key, body, redriven_at)
      select p_queue, b.token, b.message_id, b.key, b.body, clock_timestamp() from back b order by b.handle;
  else
    with back as (
      delete from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(p_handles)
      returning d.handle, d.token, d.message_id, d.key, d.body, d.priority, d.grp, d.tracked, v_rules ? 'keyOrder' and d.key is not null as laned
    ), turned as (
      select b.*, case when b.laned and b.message_id = any(v_first) then ${schema}.first_turn(p_queue, b.key) else 0 end as turn from back b
    )
    insert into ${schema}.task (queue, token, message_id, key, body, redriven_at, tracked, priority, grp, laned, turn, in_line)
      select p_queue, b.token, b.message_id, b.key, b.body, clock_timestamp(), b.tracked or v_rules ? 'flow', case when v_rules ? 'priority' then b.priority else 0 end,
        case when v_rules ? 'groups' then b.grp else '' end, b.laned, b.turn,
        b.laned and (row_number() over (partition by b.key order by b.turn, b.handle) > 1
          or coalesce((
            select true from ${schema}.task t where t.queue = p_queue and t.key = b.key and t.laned and not t.in_line
              and (b.turn = 0 or t.waits = 0) limit 1
          ), false))
      from turned b order by b.handle;
  end if;
  get diagnostics v_count = row_count;
  if cardinality(v_first) > 0 then
    perform ${schema}.give_way(p_queue, v_keys);
  end if;
  return v_count;
end $$;

-- A row for each message that had one of the ids: whether somebody holds it.
create function ${schema}.cancel_messages(p_queue int, p_ids text[])
returns table (message_id text, held boolean) ${settings} as $$
#variable_conflict use_column
declare
  v_ids bigint[];
  v_held bigint[];
  v_now timestamptz;
  v_over bigint[];
begin
  perform pg_advisory_xact_lock_shared(${schema}.queue_lock(p_queue, 0));
  -- By one statement: a message that becomes due between two would be found by neither.
  v_ids := array(
    select m.id from ${schema}.message m where m.queue = p_queue and m.due_at is null and m.message_id = any(p_ids)
    union all
    select m.id from ${schema}.message m where m.queue = p_queue and m.due_at is not null and m.message_id = any(p_ids)
  );
  if cardinality(v_ids) > 0 then
    v_ids := array(select m.id from ${schema}.message m where m.id = any(v_ids) order by m.id for update);
    v_held := array(select i from unnest(v_ids) i where (i in ${leased('p_queue')}) is true);
    return query
      with gone as (
        delete from ${schema}.message m where m.id = any(v_ids) and m.id <> all(v_held)
        returning m.message_id, m.cancelled
      )
      select g.message_id, false from gone g where not g.cancelled;
    return query
      update ${schema}.message m set cancelled = true where m.id = any(v_held) returning m.message_id, true;
  end if;
  -- Only now: what comes under rules is taken from there and put here.
  v_ids := array(select t.id from ${schema}.task t where t.queue = p_queue and t.message_id = any(p_ids));
  if cardinality(v_ids) > 0 then
    perform ${schema}.lock_lanes(p_queue, v_ids);
    v_ids := array(select t.id from ${schema}.task t where t.id = any(v_ids) order by t.id for update);
    v_now := clock_timestamp();
    return query
      update ${schema}.task t set cancelled = true
      where t.id = any(v_ids) and t.leased and t.due_at > v_now returning t.message_id, true;
    v_over := array(
      select t.id from ${schema}.task t where t.id = any(v_ids) and not (t.leased and t.due_at > v_now)
    );
    return query
      select t.message_id, false from ${schema}.task t where t.id = any(v_over) and not t.cancelled;
    perform ${schema}.end_tasks(p_queue, v_over, v_now);
  end if;
end $$;

-- One step of removing what nobody holds of the messages with numbers below p_until, the newest first: those that were never
-- claimed, then others without rules, then tasks. Gives where to go on; without a phase nothing is left.
create function ${schema}.purge_waiting(
  p_queue int, p_phase int, p_until bigint, p_below bigint, out removed float8, out phase int, out below bigint
) ${settings} as $$
declare
  v_now timestamptz;
  v_ids bigint[];
  v_cancelled bigint;
begin
  perform pg_advisory_xact_lock_shared(${schema}.queue_lock(p_queue, 0));
  -- Beside no claim under rules, which makes ready what it finds to be due.
  perform pg_advisory_xact_lock(${schema}.queue_lock(p_queue, 1));
  v_now := clock_timestamp();
  removed := 0;
  phase := p_phase;
  if phase = 1 then
    select array_agg(f.id), min(f.id) into v_ids, below from (
      select m.id from ${schema}.message m where m.queue = p_queue and m.due_at is null and m.id < p_below
        and m.id not in ${leased('p_queue')}
      order by m.id desc limit ${purgeAtOnce} for update skip locked
    ) f;
    if v_ids is null then
      phase := 2;
      below := p_until;
      return;
    end if;
    -- Not those that a claim has leased before their locks were had.
    with gone as (
      delete from ${schema}.message m where m.id = any(array(select i from unnest(v_ids) i where i not in ${leased('p_queue')}))
      returning m.cancelled
    )
    select count(*) filter (where not g.cancelled) into removed from gone g;
  elsif phase = 2 then
    with found as materialized (
      select m.id from ${schema}.message m where m.queue = p_queue and m.due_at is not null and m.id < p_until
      limit ${purgeAtOnce} for update skip locked
    ), gone as (
      delete from ${schema}.message m where m.id in (select f.id from found f) returning m.id
    )
    select count(*), case when count(*) = 0 then 3 else 2 end into removed, phase from gone g;
    below := p_until;
  else
    v_ids := array(
      select t.id from ${schema}.task t where t.queue = p_queue and t.id < p_below and not (t.leased and t.due_at > v_now)
      order by t.id desc limit ${purgeAtOnce}
    );
    if cardinality(v_ids) = 0 then
      phase := null;
      return;
    end if;
    perform ${schema}.lock_lanes(p_queue, v_ids);
    select min(i) into below from unnest(v_ids) i;
    v_ids := array(
      select t.id from ${schema}.task t where t.id = any(v_ids) and not (t.leased and t.due_at > v_now)
      for update skip locked
    );
    select count(*) into v_cancelled from ${schema}.task t where t.id = any(v_ids) and t.cancelled;
    removed := cardinality(v_ids) - v_cancelled;
    perform ${schema}.end_tasks(p_queue, v_ids, v_now);
  end if;
end $$;

-- One step of removing dead letters. Gives the last that it has removed.
create function ${schema}.purge_dead(p_queue int, p_after bigint, p_until bigint, out removed float8, out last float8)
${settings} as $$
declare
  v_handles bigint[];
  v_tracked text[];
begin
  v_handles := array(
    select d.handle from ${schema}.dead_letter d where d.queue = p_queue and d.handle > p_after and d.handle <= p_until
    order by d.handle limit ${purgeDeadAtOnce}
  );
  if exists (select from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(v_handles) and d.tracked) then
    perform ${schema}.lock_flows();
  end if;
  with gone as (
    delete from ${schema}.dead_letter d where d.queue = p_queue and d.handle = any(v_handles)
    returning d.handle, d.message_id, d.tracked
  )
  select count(*), max(g.handle), array_agg(g.message_id) filter (where g.tracked) into removed, last, v_tracked from gone g;
  if v_tracked is not null then
    perform ${schema}.end_flows(v_tracked, array_fill(${flowEnd.gone}, array[cardinality(v_tracked)]), clock_timestamp());
  end if;
end $$;
`
}
