// Messages that wait for others, over all queues of the schema. Everything here is done under one lock, which is taken behind those of
// rules and keys and before any row: so nobody sends what waits beside the end of what it waits for. Only queues with the rule take it.
import { flowMemoryMs } from '../../ports/queue-rules.ts'
import type { Migration } from './migrations.ts'

/** The SQLSTATE of a message that waits for one that is not known; its text is the id. */
export const unknownPredecessor = 'SW006'

/** How a message ended, as numbers: a dead letter may come back, one that was cancelled or purged is gone. */
export const flowEnd = { done: 0, dead: 1, gone: 2 } as const
const live = 3

export function flowTables(hot: string): Migration {
  return (schema) => `
create table ${schema}.flow_wait (
  id text collate "C" not null,
  task bigint not null,
  any_end boolean not null,
  primary key (id, task)
) with (${hot});
comment on column ${schema}.flow_wait.id is 'of the message that is waited for, which may be still to come';
create index flow_wait_task on ${schema}.flow_wait (task);

create table ${schema}.flow_end (
  id text collate "C" primary key,
  how smallint not null,
  until timestamptz not null
) with (${hot});
comment on column ${schema}.flow_end.how is '0 done, 1 it is a dead letter, 2 cancelled or purged';
create index flow_end_over on ${schema}.flow_end (until);

create table ${schema}.flow_stand_in (
  id text collate "C" primary key,
  holder text collate "C" not null
);
comment on table ${schema}.flow_stand_in is 'messages that were not stored because another one had their deduplication key';
create index flow_stand_in_holder on ${schema}.flow_stand_in (holder);
`
}

export const flowFunctions: Migration = (schema) => `
create function ${schema}.lock_flows() returns void language sql as $$
  select pg_advisory_xact_lock(${schema}.queue_lock(0, 0))
$$;

-- How a message ended, 3 while it is in a queue, null when nobody knows it.
create function ${schema}.flow_state(p_id text) returns int language plpgsql as $$
declare
  v_how int;
  v_holder text;
begin
  select e.how into v_how from ${schema}.flow_end e where e.id = p_id and e.until > clock_timestamp();
  if v_how is not null then
    return v_how;
  end if;
  if exists (select from ${schema}.task t where t.message_id = p_id and t.tracked) then
    return ${live};
  end if;
  select s.holder into v_holder from ${schema}.flow_stand_in s where s.id = p_id;
  return case when v_holder is not null then ${schema}.flow_state(v_holder) end;
end $$;

-- Refuses the messages of a call when one of them may not wait for what it names. p_after: null, or what it waits for as JSON. Each
-- id is looked for once, however many of the call name it. (No joins, here and below: plans are made without knowing how many there are, and would
-- look through all of them for each.)
create function ${schema}.check_flows(p_ids text[], p_after text[]) returns void language plpgsql as $$
declare
  v_id text;
begin
  select n.id into v_id
    from (
      select e.id, min(e.place) filter (where e.named) as named_at, min(e.place) filter (where not e.named) as stands_at
      from (
        select o.id, m.place, true as named
        from unnest(p_after) with ordinality m(after, place)
        cross join lateral jsonb_array_elements_text(m.after::jsonb->'ids') o(id)
        where m.after is not null and not (m.after::jsonb->>'mayCome')::boolean
        union all
        select b.id, b.place, false from unnest(p_ids) with ordinality b(id, place)
      ) e group by e.id
    ) n
    where n.named_at is not null and not coalesce(n.stands_at < n.named_at, false) and ${schema}.flow_state(n.id) is null
    limit 1;
  if found then
    raise exception '%', v_id using errcode = '${unknownPredecessor}';
  end if;
end $$;

-- Tasks that were just stored begin to wait.
create function ${schema}.begin_waits(p_numbers bigint[], p_after text[]) returns void language plpgsql as $$
begin
  with unfinished as materialized (
    select n.task, n.id, n.any_end, count(*) over w as count, bool_or(coalesce(s.state = ${flowEnd.gone}, false)) over w as orphan
    from (
      select distinct t.id as task, i.id, (m.after::jsonb->>'anyEnd')::boolean as any_end
      from unnest(p_numbers, p_after) m(number, after) join ${schema}.task t on t.id = m.number
      cross join lateral jsonb_array_elements_text(m.after::jsonb->'ids') i(id)
      where m.after is not null
    ) n
    cross join lateral ${schema}.flow_state(n.id) s(state)
    where s.state is null or s.state = ${live} or s.state > ${flowEnd.done} and not n.any_end
    window w as (partition by n.task)
  ), waits as (
    insert into ${schema}.flow_wait (id, task, any_end) select o.id, o.task, o.any_end from unfinished o where not o.orphan
  )
  update ${schema}.task t set orphan = s.orphan, waits = case when s.orphan then 0 else s.count end
    from (select distinct o.task, o.orphan, o.count from unfinished o) s where t.id = s.task;
end $$;

-- Those of these messages that somebody waits for, by themselves or by a message whose end is theirs.
create function ${schema}.waited_for(p_ids text[]) returns text[] language sql as $$
  select coalesce(array_agg(i), '{}') from unnest(p_ids) i
  where exists (select from ${schema}.flow_wait w where w.id = i)
    or exists (select from ${schema}.flow_stand_in s join ${schema}.flow_wait w on w.id = s.id where s.holder = i)
$$;

-- A head that waits for others gives way to one that came before it. The locks of the keys are held.
create function ${schema}.give_way(p_queue int, p_keys text[]) returns void language sql as $$
  update ${schema}.task t set in_line = true
    where t.queue = p_queue and t.key = any(p_keys) and t.laned and not t.in_line and t.waits > 0 and exists (
      select from ${schema}.task o
      where o.queue = p_queue and o.key = t.key and o.laned and not o.in_line and o.turn < t.turn
    )
$$;

-- The place of one that others wait for in the line of its key: before those that came in their turn, and behind those that came so before
-- it, unless they wait too.
create function ${schema}.first_turn(p_queue int, p_key text) returns int language sql as $$
  select coalesce(min(t.turn), 0) - 1 from ${schema}.task t
  where t.queue = p_queue and t.key = p_key and t.laned and t.turn < 0 and t.waits > 0
$$;

-- Messages ended, each in its way. Gives the queues in which others were let go.
create function ${schema}.end_flows(p_ids text[], p_hows int[], p_now timestamptz) returns int[] language plpgsql as $$
declare
  v_ids text[];
  v_hows int[];
  v_tasks bigint[];
  v_orphans bigint[];
  v_queues int[];
begin
  select array_agg(e.id), array_agg(e.how) into v_ids, v_hows from (
    select distinct on (a.id) a.id, a.how from (
      select e.id, e.how from unnest(p_ids, p_hows) e(id, how)
      union all
      select s.id, e.how from unnest(p_ids, p_hows) e(id, how) join ${schema}.flow_stand_in s on s.holder = e.id
    ) a order by a.id, a.how
  ) e;
  delete from ${schema}.flow_stand_in s using unnest(v_ids, v_hows) e(id, how)
    where s.id = e.id and e.how <> ${flowEnd.dead};
  -- What was done stays done, whatever becomes of another message with the same id.
  insert into ${schema}.flow_end as f (id, how, until)
    select e.id, e.how, case e.how when ${flowEnd.dead} then 'infinity' else p_now + interval '${flowMemoryMs} milliseconds' end
    from unnest(v_ids, v_hows) e(id, how)
    on conflict (id) do update set how = excluded.how, until = excluded.until
      where f.how <> ${flowEnd.done} or excluded.how = ${flowEnd.done} or f.until <= p_now;
  with let_go as (
    delete from ${schema}.flow_wait w using unnest(v_ids, v_hows) e(id, how)
    where w.id = e.id and (e.how <> ${flowEnd.dead} or w.any_end)
    returning w.task, e.how = ${flowEnd.gone} and not w.any_end as orphan
  ), sums as (
    select l.task, count(*) as count, bool_or(l.orphan) as orphan from let_go l group by l.task
  ), changed as (
    update ${schema}.task t
    set waits = case when s.orphan then 0 else t.waits - s.count end, orphan = t.orphan or s.orphan,
      due_at = case when t.due_at > p_now then t.due_at end
    from sums s where t.id = s.task returning t.queue, t.id, t.waits, t.orphan
  )
  select array_agg(distinct c.queue) filter (where c.waits = 0), array_agg(c.id) filter (where c.orphan)
    into v_queues, v_orphans from changed c;
  if v_orphans is not null then
    delete from ${schema}.flow_wait w where w.task = any(v_orphans);
  end if;
  delete from ${schema}.flow_end f where f.ctid = any(array(
    select o.ctid from ${schema}.flow_end o where o.until <= p_now order by o.until limit 100 + cardinality(v_ids)
  ));
  return coalesce(v_queues, '{}');
end $$;

-- Messages were not stored because others had their keys: how those end is their end.
create function ${schema}.stand_in(p_ids text[], p_holders text[], p_now timestamptz) returns void language plpgsql as $$
declare
  v_row record;
  v_state int;
begin
  for v_row in select d.id, d.holder from unnest(p_ids, p_holders) d(id, holder) where d.id <> d.holder loop
    v_state := ${schema}.flow_state(v_row.holder);
    if v_state in (${live}, ${flowEnd.dead}) then
      insert into ${schema}.flow_stand_in as s (id, holder) values (v_row.id, v_row.holder)
        on conflict (id) do update set holder = excluded.holder;
    else
      perform ${schema}.end_flows(array[v_row.id], array[coalesce(v_state, ${flowEnd.done})], p_now);
    end if;
  end loop;
end $$;
`
