// The tables that Spillway keeps beside those of a service, and the functions that make its transactions few round trips.
import type { Migration, Part } from './migrations.ts'
import { functionSettings } from './session.ts'
import { leaving } from './stream-home.ts'
import { maxBodyBytes } from './text.ts'

const hot =
  'autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = false'

const tables: Migration = (schema) => `
create table ${schema}.outbox (
  id bigint generated always as identity primary key,
  kind text collate "C" not null,
  name text collate "C" not null,
  sequence bigint,
  message_id text not null,
  key text,
  body text not null
) with (fillfactor = 85, ${hot});
comment on column ${schema}.outbox.sequence is 'given when a relay takes the row: rows become visible in another order than that of their ids';
create index outbox_order on ${schema}.outbox (kind, name, sequence, id);

create table ${schema}.outbox_aside (
  sequence bigint primary key,
  kind text not null,
  name text not null,
  message_id text not null,
  key text,
  body text not null,
  reason text not null,
  set_aside_at timestamptz not null default now()
);

-- One row: who this outbox is, who relays it, how far its numbers are.
create table ${schema}.relay (
  only_row boolean primary key default true check (only_row),
  producer_id uuid not null default gen_random_uuid(),
  holder text,
  expires_at timestamptz,
  next_sequence bigint not null default 1
) with (fillfactor = 50);
insert into ${schema}.relay default values;

create table ${schema}.inbox (
  consumer text collate "C" not null,
  id text collate "C" not null,
  handled_at timestamptz not null default now(),
  primary key (consumer, id)
);
create index inbox_age on ${schema}.inbox (handled_at);

create table ${schema}.progress (
  stream text collate "C" not null,
  consumer_group text collate "C" not null,
  partition int not null,
  generation bigint not null,
  primary key (stream, consumer_group, partition)
) with (fillfactor = 50);
comment on table ${schema}.progress is 'one row per partition that was ever acquired: who finishes a record holds its lock';

-- How far partitions are: the highest row tells. Every step is a row of its own, and the one before goes: a row that is
-- updated with every unit leaves its dead versions behind for as long as any transaction anywhere is open, and who looks
-- for it walks over all of them.
create table ${schema}.low (
  stream text collate "C" not null,
  consumer_group text collate "C" not null,
  partition int not null,
  low bigint not null,
  sequences jsonb not null,
  primary key (stream, consumer_group, partition, low)
) with (${hot});

create table ${schema}.finished (
  stream text collate "C" not null,
  consumer_group text collate "C" not null,
  partition int not null,
  position bigint not null,
  primary key (stream, consumer_group, partition, position)
) with (${hot});
`

/** `redriven`: as it is since rows tell when they were put back. */
const takeRows = (schema: string, redriven: boolean): string => `create function ${schema}.take(
  p_holder text, p_kind text, p_name text, p_limit int, p_sequence bigint, p_id bigint
) returns table (id bigint, sequence bigint, message_id text, key text, body text${redriven ? ', retried_at timestamptz' : ''}) language plpgsql ${functionSettings} as $$
declare
  base bigint;
  given bigint;
begin
  select greatest(r.next_sequence, (extract(epoch from clock_timestamp()) * 1000)::bigint * 1000) into base from ${schema}.relay r
    where r.holder = p_holder and r.expires_at > clock_timestamp() for update;
  if not found then return; end if;
  with numbered as (
    select 1 from ${schema}.outbox o
    where o.kind = p_kind and o.name = p_name and o.sequence >= p_sequence order by o.sequence limit p_limit
  ), unnumbered as (
    select u.id, base - 1 + row_number() over (order by u.id) as number from (
      select o.id from ${schema}.outbox o
      where o.kind = p_kind and o.name = p_name and o.sequence is null and o.id >= p_id
      -- As the index has them: by the id alone all would be sorted, however many wait.
      order by o.sequence, o.id limit p_limit - (select count(*) from numbered)
    ) u
  ), written as (
    update ${schema}.outbox o set sequence = u.number from unnumbered u where o.id = u.id returning 1
  )
  select count(*) into given from written;
  if given > 0 then
    update ${schema}.relay r set next_sequence = base + given;
  end if;
  return query select t.id, t.sequence, t.message_id, t.key, t.body${redriven ? ', t.retried_at' : ''} from (
    select o.*, sum(octet_length(o.body)) over (order by o.sequence rows unbounded preceding) as bytes
    from ${schema}.outbox o
    where o.kind = p_kind and o.name = p_name and o.sequence >= p_sequence order by o.sequence limit p_limit
  ) t where t.bytes - octet_length(t.body) < ${maxBodyBytes};
end $$;
`

const functions: Migration = (schema) => `
-- Waits for an open unit that finishes the same position. Always before the row of the progress is locked: the open one
-- locks that at its end.
create function ${schema}.alone(p_stream text, p_group text, p_partition int, p_finished bigint)
returns void language plpgsql ${functionSettings} as $$
begin
  if p_finished is not null then
    perform pg_advisory_xact_lock(hashtextextended(
      jsonb_build_array('spillway unit ${schema.replaceAll('"', '')}', p_stream, p_group, p_partition, p_finished)::text, 0));
  end if;
end $$;

-- Whether a position is finished, in a partition that has come to p_low.
create function ${schema}.is_finished(
  p_stream text, p_group text, p_partition int, p_finished bigint, p_low bigint
) returns boolean language plpgsql ${functionSettings} as $$
begin
  return p_finished is not null and (coalesce(p_finished < p_low, false) or exists (
    select from ${schema}.finished f where f.stream = p_stream and f.consumer_group = p_group
      and f.partition = p_partition and f.position = p_finished));
end $$;

-- All of these messages, or none when the inbox has one of them. Everybody enters them in the same order.
create function ${schema}.enter(p_consumer text, p_ids text[]) returns boolean language plpgsql ${functionSettings} as $$
begin
  if cardinality(p_ids) = 1 then
    insert into ${schema}.inbox (consumer, id) values (p_consumer, p_ids[1]) on conflict do nothing;
    return found;
  end if;
  begin
    insert into ${schema}.inbox (consumer, id) select p_consumer, i from unnest(p_ids) i order by i collate "C";
    return true;
  exception when unique_violation then
    return false;
  end;
end $$;

-- The start of a unit: whether it is worth its effects. The insert waits for an open unit with the same entry.
create function ${schema}.begin_unit(
  p_consumer text, p_ids text[], p_stream text, p_group text, p_partition int, p_generation bigint, p_finished bigint
) returns text language plpgsql ${functionSettings} as $$
declare
  stored bigint;
begin
  if p_stream is not null then
    perform ${schema}.alone(p_stream, p_group, p_partition, p_finished);
    select (
      select l.low from ${schema}.low l
      where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition order by l.low desc limit 1
    ) into stored from ${schema}.progress p where p.stream = p_stream and p.consumer_group = p_group
      and p.partition = p_partition and p.generation = p_generation;
    if not found then return 'stale'; end if;
    if ${schema}.is_finished(p_stream, p_group, p_partition, p_finished, stored) then return 'duplicate'; end if;
  end if;
  if p_consumer is not null and not ${schema}.enter(p_consumer, p_ids) then return 'duplicate'; end if;
  return 'ok';
end $$;

-- The end of a unit that finishes a record. The row's lock, kept until the commit, is the fence: who raises the generation
-- waits for it and then sees this progress, or was first and makes this unit stale.
create function ${schema}.finish(
  p_stream text, p_group text, p_partition int, p_generation bigint, p_finished bigint, p_low bigint, p_sequences jsonb
) returns boolean language plpgsql ${functionSettings} as $$
declare
  stored bigint;
begin
  perform from ${schema}.progress p where p.stream = p_stream and p.consumer_group = p_group
    and p.partition = p_partition and p.generation = p_generation for update;
  if not found then return false; end if;
  -- A statement of its own: it sees what was committed while the lock was waited for.
  select l.low into stored from ${schema}.low l
    where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition order by l.low desc limit 1;
  if stored is null or p_low > stored then
    delete from ${schema}.low l
      where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition and l.low = stored;
    insert into ${schema}.low (stream, consumer_group, partition, low, sequences)
      values (p_stream, p_group, p_partition, p_low, p_sequences);
    delete from ${schema}.finished f where f.stream = p_stream and f.consumer_group = p_group
      and f.partition = p_partition and f.position >= coalesce(stored, 0) and f.position < p_low;
    stored := p_low;
  end if;
  if p_finished >= stored then
    insert into ${schema}.finished (stream, consumer_group, partition, position)
      values (p_stream, p_group, p_partition, p_finished) on conflict do nothing;
  end if;
  return true;
end $$;

-- The same as the last statement before the commit, where a stale unit must end as an error.
create function ${schema}.finish_or_fail(
  p_stream text, p_group text, p_partition int, p_generation bigint, p_finished bigint, p_low bigint, p_sequences jsonb
) returns void language plpgsql as $$
begin
  if not ${schema}.finish(p_stream, p_group, p_partition, p_generation, p_finished, p_low, p_sequences) then
    raise exception 'the generation of the partition was raised' using errcode = 'SW002';
  end if;
end $$;

-- What a unit's guard runs at a commit that is not the unit's own (transaction-guard.ts).
create function ${schema}.refuse_commit() returns void language plpgsql as $$
begin
  raise exception 'the transaction of the unit was ended by its effects' using errcode = 'SW003';
end $$;

-- A whole unit without effects.
create function ${schema}.commit_unit(
  p_consumer text, p_ids text[], p_stream text, p_group text, p_partition int, p_generation bigint,
  p_finished bigint, p_low bigint, p_sequences jsonb,
  kinds text[], names text[], ids text[], keys text[], bodies text[]
) returns text language plpgsql ${functionSettings} as $$
declare
  stored bigint;
begin
  if p_stream is not null then
    perform ${schema}.alone(p_stream, p_group, p_partition, p_finished);
    perform from ${schema}.progress p where p.stream = p_stream and p.consumer_group = p_group
      and p.partition = p_partition and p.generation = p_generation for update;
    if not found then return 'stale'; end if;
    select l.low into stored from ${schema}.low l
      where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition order by l.low desc limit 1;
    if ${schema}.is_finished(p_stream, p_group, p_partition, p_finished, stored) then return 'duplicate'; end if;
  end if;
  if p_consumer is not null and not ${schema}.enter(p_consumer, p_ids) then return 'duplicate'; end if;
  insert into ${schema}.outbox (kind, name, message_id, key, body)
    select o.kind, o.name, o.id, o.key, o.body
    from unnest(kinds, names, ids, keys, bodies) with ordinality o(kind, name, id, key, body, place) order by o.place;
  if p_stream is not null then
    perform ${schema}.finish(p_stream, p_group, p_partition, p_generation, p_finished, p_low, p_sequences);
  end if;
  return 'committed';
end $$;

create function ${schema}.acquire(
  p_stream text, p_group text, p_partition int,
  out generation bigint, out low bigint, out sequences text, out finished bigint[]
) language plpgsql ${functionSettings} as $$
begin
  insert into ${schema}.progress as p (stream, consumer_group, partition, generation)
    values (p_stream, p_group, p_partition, 1)
    on conflict (stream, consumer_group, partition) do update set generation = p.generation + 1
    returning p.generation into generation;
  select l.low, l.sequences::text into low, sequences from ${schema}.low l
    where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition order by l.low desc limit 1;
  sequences := coalesce(sequences, '{}');
  select coalesce(array_agg(f.position order by f.position), '{}') into finished
    from ${schema}.finished f
    where f.stream = p_stream and f.consumer_group = p_group and f.partition = p_partition and f.position >= coalesce(acquire.low, 0);
end $$;

-- Numbers are given in the order of insertion among what is visible now. A row that is committed later gets a later one.
-- They are not below the microseconds of the clock: past what a newer copy of this database could have given.
-- No row is given beyond the one with which their bodies are as long as a body may be: a relay must hold them all.
-- p_sequence and p_id: below them no row of the destination is worth a look, numbered or not.
${takeRows(schema, false)}`

const parking: Migration = (schema) => `
create table ${schema}.parked (
  stream text collate "C" not null,
  consumer_group text collate "C" not null,
  partition int not null,
  position bigint not null,
  key text collate "C",
  body text not null,
  appended_at bigint not null,
  reason text not null,
  attempts int not null,
  primary key (stream, consumer_group, partition, position)
);
create index parked_keys on ${schema}.parked (stream, consumer_group, partition, key, position);

-- The start of a unit that lets go of a parked event. The lock waits for an open unit that does so too.
create function ${schema}.begin_unparking(
  p_outcome text, p_stream text, p_group text, p_partition int, p_position bigint
) returns text language plpgsql ${functionSettings} as $$
begin
  if p_outcome <> 'ok' then return p_outcome; end if;
  perform from ${schema}.parked k where k.stream = p_stream and k.consumer_group = p_group
    and k.partition = p_partition and k.position = p_position for update;
  return case when found then 'ok' else 'duplicate' end;
end $$;

-- A partition goes back, and the order that said so is done.
create function ${schema}.go_back(
  o_stream text, o_group text, o_partition int, o_generation bigint, o_finished bigint, o_low bigint, o_sequences jsonb,
  p_stream text, p_group text, p_partition int, p_generation bigint, p_position bigint, p_low bigint
) returns text language plpgsql ${functionSettings} as $$
declare
  ordered bigint;
  stored bigint;
begin
  perform ${schema}.alone(o_stream, o_group, o_partition, o_finished);
  perform from ${schema}.progress p where p.stream = o_stream and p.consumer_group = o_group
    and p.partition = o_partition and p.generation = o_generation for update;
  if not found then return 'stale'; end if;
  perform from ${schema}.progress p where p.stream = p_stream and p.consumer_group = p_group
    and p.partition = p_partition and p.generation = p_generation for update;
  if not found then return 'stale'; end if;
  select l.low into ordered from ${schema}.low l
    where l.stream = o_stream and l.consumer_group = o_group and l.partition = o_partition order by l.low desc limit 1;
  if ${schema}.is_finished(o_stream, o_group, o_partition, o_finished, ordered) then return 'duplicate'; end if;
  select l.low into stored from ${schema}.low l
    where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition order by l.low desc limit 1;
  update ${schema}.progress p set generation = p.generation + 1
    where p.stream = p_stream and p.consumer_group = p_group and p.partition = p_partition;
  if stored is null or p_position < stored then
    delete from ${schema}.low l
      where l.stream = p_stream and l.consumer_group = p_group and l.partition = p_partition;
    insert into ${schema}.low (stream, consumer_group, partition, low, sequences)
      values (p_stream, p_group, p_partition, least(p_position, coalesce(stored, p_low)), '{}');
  end if;
  delete from ${schema}.finished f where f.stream = p_stream and f.consumer_group = p_group
    and f.partition = p_partition and f.position >= p_position;
  delete from ${schema}.parked k where k.stream = p_stream and k.consumer_group = p_group
    and k.partition = p_partition and k.position >= p_position;
  perform ${schema}.finish(o_stream, o_group, o_partition, o_generation, o_finished, o_low, o_sequences);
  return 'committed';
end $$;
`

const joining: Migration = (schema) => `
-- Messages of a transaction that the user has open: 'stored', or 'ended' when this is another transaction.
create function ${schema}.join_outbox(p_transaction text, p_messages text)
returns text language plpgsql ${functionSettings} as $$
begin
  if pg_current_xact_id()::text <> p_transaction then return 'ended'; end if;
  insert into ${schema}.outbox (kind, name, message_id, key, body)
    select m.message->>0, m.message->>1, m.message->>2, m.message->>3, m.message->>4
    from json_array_elements(p_messages::json) with ordinality m(message, place) order by m.place;
  return 'stored';
end $$;
`

const answers: Migration = (schema) => `
alter table ${schema}.inbox add column answer text;
comment on column ${schema}.inbox.answer is 'of a call: what it was answered';

-- The same as the last statement but the commit, of a unit whose entry it made at its start.
create function ${schema}.store_answer(p_consumer text, p_id text, p_answer text)
returns void language plpgsql ${functionSettings} as $$
begin
  update ${schema}.inbox i set answer = p_answer where i.consumer = p_consumer and i.id = p_id;
end $$;

-- A whole unit without effects that answers a call.
create function ${schema}.commit_answer(
  p_consumer text, p_id text, p_answer text, kinds text[], names text[], ids text[], keys text[], bodies text[]
) returns text language plpgsql ${functionSettings} as $$
begin
  insert into ${schema}.inbox (consumer, id, answer) values (p_consumer, p_id, p_answer) on conflict do nothing;
  if not found then return 'duplicate'; end if;
  insert into ${schema}.outbox (kind, name, message_id, key, body)
    select o.kind, o.name, o.id, o.key, o.body
    from unnest(kinds, names, ids, keys, bodies) with ordinality o(kind, name, id, key, body, place) order by o.place;
  return 'committed';
end $$;
`

const sagas: Migration = (schema) => `
create table ${schema}.saga (
  saga text collate "C" not null,
  id text collate "C" not null,
  version bigint not null,
  body text,
  changed_at timestamptz not null,
  primary key (saga, id)
) with (fillfactor = 70);
comment on column ${schema}.saga.body is 'null: it has ended';
create index saga_ended on ${schema}.saga (changed_at) where body is null;
`

const pruning: Migration = (schema) => `
-- One row: the time of the latest entry of the inbox that was removed.
create table ${schema}.inbox_pruned (
  only_row boolean primary key default true check (only_row),
  up_to timestamptz
);
insert into ${schema}.inbox_pruned default values;

create function ${schema}.prune_inbox(p_before float8, p_limit int) returns bigint language plpgsql ${functionSettings} as $$
declare
  removed bigint;
  latest timestamptz;
begin
  with gone as (
    delete from ${schema}.inbox i where i.ctid = any(array(
      select o.ctid from ${schema}.inbox o where o.handled_at < to_timestamp(p_before / 1000)
      order by o.handled_at limit p_limit
    )) returning i.handled_at
  ) select count(*), max(handled_at) into removed, latest from gone;
  if removed > 0 then update ${schema}.inbox_pruned set up_to = greatest(up_to, latest); end if;
  return removed;
end $$;
`

const retrying: Migration = (schema) => `
alter table ${schema}.outbox add column retried_at timestamptz;
comment on column ${schema}.outbox.retried_at is 'when a person put it back that had been set aside';
drop function ${schema}.take(text, text, text, int, bigint, bigint);
${takeRows(schema, true)}`

export const serviceTables: Part = {
  name: 'service',
  migrations: [tables, functions, parking, joining, answers, sagas, pruning, retrying, leaving],
}
