// The tables of queues with rules. A message under rules is a task: a row with all that the rules speak of, in a table and with
// indexes of its own, so that queues without rules pay for none of it.
import type { Migration } from './migrations.ts'

/** How many locks stand for the keys of a queue. */
export const stripes = 32

export function taskTables(hot: string): Migration {
  return (schema) => `
create table ${schema}.task (
  id bigint primary key default nextval('${schema}.message_id_seq'),
  token bigint not null default 0,
  due_at timestamptz,
  queue int not null,
  starts int not null default 0,
  priority smallint not null default 0,
  leased boolean not null default false,
  suspect boolean not null default false,
  cancelled boolean not null default false,
  laned boolean not null default false,
  in_line boolean not null default false,
  turn int not null default 0,
  waits int not null default 0,
  behind boolean not null generated always as (in_line or waits > 0) stored,
  tracked boolean not null default false,
  orphan boolean not null default false,
  message_id text not null,
  key text collate "C",
  grp text collate "C" not null default '',
  dedup text collate "C",
  body text not null,
  history jsonb,
  progress text,
  redriven_at timestamptz
) with (fillfactor = 85, ${hot});
comment on column ${schema}.task.id is 'of the same numbers as those of message: the lower, the older';
comment on column ${schema}.task.due_at is 'null: waits for no time; else when its lease, its delay or the wait for its retry ends';
comment on column ${schema}.task.laned is 'it stands in the line of its key';
comment on column ${schema}.task.in_line is 'another one of its key comes first';
comment on column ${schema}.task.turn is 'in the line of its key: below zero before those that came in their turn';
comment on column ${schema}.task.waits is 'how many others it waits for';
comment on column ${schema}.task.behind is 'it cannot be claimed, whatever due_at says';
comment on column ${schema}.task.tracked is 'others may wait for it, by its message_id';
comment on column ${schema}.task.orphan is 'one that it was to wait for was cancelled or purged';
comment on column ${schema}.task.progress is 'the token of the lease that it belongs to, a space, and what its holder said';
create index task_order on ${schema}.task (queue, id);
-- (id + 0): plans are made once, for a table that may have been empty, and would else take the order of an index over all tasks.
create index task_ready on ${schema}.task (queue, priority desc, grp, (id + 0)) where due_at is null and not behind;
create index task_due on ${schema}.task (queue, leased, due_at) where due_at is not null and not behind;
create index task_group on ${schema}.task (queue, grp, due_at) where leased;
create index task_lane on ${schema}.task (queue, key, turn, (id + 0)) where laned;
create index task_tracked on ${schema}.task (message_id) where tracked;
create index task_waiting on ${schema}.task (queue) where waits > 0;
create index task_cancelled on ${schema}.task (queue, due_at) where cancelled;

create table ${schema}.dedup_key (
  queue int not null,
  name text collate "C" not null,
  message_id text not null,
  task bigint,
  until timestamptz not null,
  primary key (queue, name)
) with (fillfactor = 85, ${hot});
comment on column ${schema}.dedup_key.task is 'who has it; null when that has ended, and only the time keeps the key';
create index dedup_key_over on ${schema}.dedup_key (until) where task is null;

-- Whose turn it is, and the bucket of the rate: the highest step tells. Every step is a row of its own, and the one before
-- goes: a row that is updated with every claim leaves its dead versions behind for as long as any transaction is open.
create table ${schema}.pace (
  queue int not null,
  step bigint not null,
  turns jsonb not null,
  bucket float8 not null,
  counted_at timestamptz not null,
  primary key (queue, step)
) with (${hot});
comment on column ${schema}.pace.turns is 'for each priority the group that was served last';

-- Locks, taken in this order: 0 keeps the rules as they are (shared), 1 is that of claims, from 2 on they are those of keys.
create function ${schema}.queue_lock(p_queue int, p_part int) returns bigint language sql immutable as $$
  select hashtextextended('spillway queue ${schema.replaceAll('"', '')}', p_queue::bigint * 64 + p_part)
$$;

create function ${schema}.key_lock(p_queue int, p_key text) returns bigint language sql immutable as $$
  select hashtextextended('spillway queue ${schema.replaceAll('"', '')}',
    p_queue::bigint * 64 + 2 + (hashtext(p_key) & ${stripes - 1}))
$$;
`
}
