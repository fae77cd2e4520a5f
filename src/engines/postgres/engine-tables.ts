// The engine's tables: queues, streams, consumer groups.
import { bucketFunctions } from './bucket-functions.ts'
import { compactionTables } from './compaction-tables.ts'
import { controlFunctions } from './control-functions.ts'
import { finishedTables } from './finished-functions.ts'
import { flowFunctions, flowTables } from './flow-functions.ts'
import { leaseFunctions, leaseTable } from './lease-functions.ts'
import { bucketTable, limitFunctions } from './limit-functions.ts'
import type { Migration, Part } from './migrations.ts'
import { producerTables } from './producer-tables.ts'
import { storePlain } from './queue-home.ts'
import { retentionTables } from './retention-tables.ts'
import { functionSettings } from './session.ts'
import { claimFunctions } from './task-claim-functions.ts'
import { taskFunctions } from './task-functions.ts'
import { taskTables } from './task-tables.ts'

/** A table whose rows come and go at the pace of the messages: vacuumed by count, not by share, and without pauses. */
const hot =
  'autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0, ' +
  'autovacuum_analyze_scale_factor = 0.5, vacuum_truncate = false'

const queues: Migration = (schema) => `
create table ${schema}.queue (
  id int generated always as identity primary key,
  name text collate "C" not null unique,
  rules jsonb,
  version int not null default 0,
  legacy boolean not null default false,
  paused boolean not null default false
);
comment on column ${schema}.queue.rules is 'null: its messages are in the table message; else they come into the table task';
comment on column ${schema}.queue.version is 'rises with every change of the rules';
comment on column ${schema}.queue.legacy is 'it has rules, and there may still be messages that were sent before it had';

create table ${schema}.message (
  id bigint generated always as identity primary key,
  token bigint not null default 0,
  due_at timestamptz,
  queue int not null,
  starts int not null default 0,
  suspect boolean not null default false,
  cancelled boolean not null default false,
  message_id text not null,
  key text,
  body text not null,
  history jsonb,
  progress text,
  redriven_at timestamptz
) with (${hot});
comment on column ${schema}.message.progress is 'the token of the lease that it belongs to, a space, and what its holder said';
comment on column ${schema}.message.due_at is 'null: claimable, or in a lease; else in no lease, and claimable from then on';
comment on column ${schema}.message.token is 'of the last lease that ended with the message staying';
comment on column ${schema}.message.starts is 'those that have ended; a lease is one more';
create index message_ready on ${schema}.message (queue, id) where due_at is null;
create index message_due on ${schema}.message (queue, due_at) where due_at is not null;
create index message_cancelled on ${schema}.message (queue, id) where cancelled;

create table ${schema}.dead_letter (
  queue int not null,
  handle bigint generated always as identity,
  token bigint not null,
  starts int not null,
  died_at timestamptz not null default now(),
  message_id text not null,
  key text,
  body text not null,
  reason text not null,
  history jsonb,
  priority smallint not null default 0,
  grp text collate "C" not null default '',
  tracked boolean not null default false,
  primary key (queue, handle)
);
`

const streams: Migration = (schema) => `
create table ${schema}.stream (
  id int generated always as identity primary key,
  name text collate "C" not null unique,
  partitions int not null,
  versions boolean not null
);

create table ${schema}.stream_head (
  stream int not null,
  partition int not null,
  versions boolean not null,
  floor bigint not null default 0,
  primary key (stream, partition)
);
comment on table ${schema}.stream_head is 'one row per partition: who appends holds its lock';
comment on column ${schema}.stream_head.floor is 'the next position is at least this: also when no record is left';

create table ${schema}.record (
  stream int not null,
  partition int not null,
  position bigint not null,
  appended_at bigint not null,
  version bigint,
  key text collate "C",
  body text not null,
  primary key (stream, partition, position)
);
comment on column ${schema}.record.appended_at is 'milliseconds since the epoch; never falls within a partition';
create unique index record_version on ${schema}.record (stream, key, version) where version is not null;

-- Positions are given under the lock of the partition's head, which is kept until the commit: whoever sees one sees all below it.
-- The head is locked but not written: a row updated with every append would leave its dead versions behind for as long
-- as any transaction anywhere is open. The last position is the end of the primary key.
-- tombs: which of the records are tombstones, counted from 1. Only streams that are compacted, and tombstones, have marks.
create function ${schema}.append(
  streams int[], partitions int[], slots int[], offsets int[], keys text[], bodies text[], tombs int[]
)
returns bigint[] language plpgsql ${functionSettings} as $$
declare
  firsts bigint[];
  compacted boolean[];
  stamp bigint;
begin
  if (select bool_or(l.versions) or count(*) < cardinality(streams) from (
    select h.versions from unnest(streams, partitions) t(stream, partition)
    join ${schema}.stream_head h on h.stream = t.stream and h.partition = t.partition
    order by h.stream, h.partition for update of h
  ) l) then
    raise exception 'the stream was declared anew' using errcode = 'SW001';
  end if;
  select array_agg(coalesce(last.position + 1, h.floor) order by t.slot), array_agg(h.compacted order by t.slot),
         greatest(max(last.appended_at), floor(extract(epoch from clock_timestamp()) * 1000))
    into firsts, compacted, stamp
    from unnest(streams, partitions) with ordinality t(stream, partition, slot)
    join ${schema}.stream_head h on h.stream = t.stream and h.partition = t.partition
    left join lateral (
      select r.position, r.appended_at from ${schema}.record r
      where r.stream = t.stream and r.partition = t.partition order by r.position desc limit 1
    ) last on true;
  if cardinality(tombs) = 0 and not true = any(compacted) then
    insert into ${schema}.record (stream, partition, position, appended_at, key, body)
      select streams[r.slot], partitions[r.slot], firsts[r.slot] + r.distance, stamp, r.key, r.body
      from unnest(slots, offsets, keys, bodies) r(slot, distance, key, body);
  else
    insert into ${schema}.record (stream, partition, position, appended_at, key, body, mark)
      select streams[r.slot], partitions[r.slot], firsts[r.slot] + r.distance, stamp, r.key, r.body,
        case when r.place = any(tombs) then 1 when compacted[r.slot] then 0 end
      from unnest(slots, offsets, keys, bodies) with ordinality r(slot, distance, key, body, place);
  end if;
  return firsts;
end $$;

-- The same for streams that keep versions. The records of a call stand together; a call that does not find a version
-- that it expects is left out whole, and the first such record reported.
create function ${schema}.append_versions(
  streams int[], partitions int[], key_streams int[], key_names text[],
  calls int[], slots int[], key_slots int[], expected bigint[], keys text[], bodies text[], tombs int[],
  out positions bigint[], out conflicts int[], out actual bigint[]
) language plpgsql ${functionSettings} as $$
declare
  nexts bigint[];
  counts bigint[];
  versions bigint[];
  compacted boolean[];
  stamp bigint;
  first int := 1;
  failed int := 0;
  slot int;
  key_slot int;
begin
  if (select not bool_and(l.versions) or count(*) < cardinality(streams) from (
    select h.versions from unnest(streams, partitions) t(stream, partition)
    join ${schema}.stream_head h on h.stream = t.stream and h.partition = t.partition
    order by h.stream, h.partition for update of h
  ) l) then
    raise exception 'the stream was declared anew' using errcode = 'SW001';
  end if;
  select array_agg(coalesce(last.position + 1, h.floor) order by t.slot), array_agg(h.compacted order by t.slot),
         greatest(max(last.appended_at), floor(extract(epoch from clock_timestamp()) * 1000))
    into nexts, compacted, stamp
    from unnest(streams, partitions) with ordinality t(stream, partition, slot)
    join ${schema}.stream_head h on h.stream = t.stream and h.partition = t.partition
    left join lateral (
      select r.position, r.appended_at from ${schema}.record r
      where r.stream = t.stream and r.partition = t.partition order by r.position desc limit 1
    ) last on true;
  select array_agg(greatest(last.version, f.version, 0) order by k.slot) into counts
    from unnest(key_streams, key_names) with ordinality k(stream, key, slot)
    left join lateral (
      select r.version from ${schema}.record r
      where r.stream = k.stream and r.key = k.key and r.version is not null order by r.version desc limit 1
    ) last on true
    left join ${schema}.forgotten_key f on f.stream = k.stream and f.key = k.key;
  positions := array_fill(null::bigint, array[cardinality(calls)]);
  versions := positions;
  for i in 1..cardinality(calls) loop
    continue when calls[i] = failed;
    if i > 1 and calls[i] <> calls[i - 1] then first := i; end if;
    slot := slots[i];
    key_slot := key_slots[i];
    if expected[i] is not null and expected[i] <> counts[key_slot] then
      failed := calls[i];
      conflicts := conflicts || i;
      for j in first..i - 1 loop
        nexts[slots[j]] := nexts[slots[j]] - 1;
        positions[j] := null;
        if key_slots[j] is not null then
          counts[key_slots[j]] := counts[key_slots[j]] - 1;
        end if;
      end loop;
      actual := actual || counts[key_slot];
      continue;
    end if;
    positions[i] := nexts[slot];
    nexts[slot] := nexts[slot] + 1;
    if key_slot is not null then
      counts[key_slot] := counts[key_slot] + 1;
      versions[i] := counts[key_slot];
    end if;
  end loop;
  insert into ${schema}.record (stream, partition, position, appended_at, version, key, body, mark)
    select streams[r.slot], partitions[r.slot], r.position, stamp, r.version, r.key, r.body,
      case when r.place = any(tombs) then 1 when compacted[r.slot] then 0 end
    from unnest(slots, positions, versions, keys, bodies) with ordinality r(slot, position, version, key, body, place)
    where r.position is not null;
end $$;

`

const groups: Migration = (schema) => `
create table ${schema}.consumer_group (
  id int generated always as identity primary key,
  stream int not null,
  name text collate "C" not null,
  unique (stream, name)
);

create table ${schema}.group_member (
  consumer_group int not null,
  id text collate "C" not null,
  joined bigint generated always as identity,
  session_ms int not null,
  expires_at timestamptz not null,
  primary key (consumer_group, id)
) with (fillfactor = 50);

create table ${schema}.group_partition (
  consumer_group int not null,
  partition int not null,
  member text collate "C",
  generation bigint not null default 0,
  revoke_by timestamptz,
  position bigint,
  primary key (consumer_group, partition)
) with (fillfactor = 50);
comment on column ${schema}.group_partition.generation is 'raised whenever the partition changes hands';
comment on column ${schema}.group_partition.revoke_by is 'when the member must have given the partition back; null while it may keep it';
`

const schedules: Migration = (schema) => `
create table ${schema}.schedule (
  queue int not null,
  name text collate "C" not null,
  version bigint generated always as identity,
  due bigint not null,
  last bigint,
  spec text not null,
  primary key (queue, name)
);
comment on column ${schema}.schedule.due is 'milliseconds since the epoch, as is last: the due time that it fired for last';
comment on column ${schema}.schedule.version is 'another with every change: whoever changes the schedule names the one that he saw';
create index schedule_due on ${schema}.schedule (queue, due);
`

export const engineTables: Part = {
  name: 'engine',
  migrations: [
    queues,
    streams,
    groups,
    taskTables(hot),
    flowTables(hot),
    flowFunctions,
    leaseTable,
    taskFunctions,
    leaseFunctions,
    claimFunctions,
    controlFunctions,
    retentionTables,
    schedules,
    finishedTables(hot),
    producerTables,
    compactionTables,
    storePlain,
    bucketTable(hot),
    bucketFunctions,
    limitFunctions,
  ],
}
