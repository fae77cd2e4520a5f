// Compaction: of each key the last record stays.
import type { Migration } from './migrations.ts'
import { remembering, retentionOf } from './retention-tables.ts'
import { functionSettings } from './session.ts'

export const compactionTables: Migration = (schema) => `
alter table ${schema}.stream add column tombstones_ms bigint;
comment on column ${schema}.stream.tombstones_ms is 'not null: the stream is compacted';
alter table ${schema}.stream_head add column compacted boolean not null default false;
alter table ${schema}.record add column mark smallint;
comment on column ${schema}.record.mark is '0: to be compacted; 1: a tombstone; null: neither';
create index record_key on ${schema}.record (stream, partition, key, position) where mark is not null;
create index record_tombstone on ${schema}.record (stream, partition, position) where mark = 1;

create table ${schema}.stream_clean (
  stream int not null,
  partition int not null,
  below bigint not null,
  trimmed bigint not null,
  primary key (stream, partition)
) with (fillfactor = 50);
comment on column ${schema}.stream_clean.below is 'of what stands below, no key has more than one record';
comment on column ${schema}.stream_clean.trimmed is 'what is gone from there on was taken by compaction';

create function ${schema}.limit_stream(p_stream int, p_age_ms bigint, p_bytes bigint, p_tombstones_ms bigint) returns void
language plpgsql ${functionSettings} as $$
declare
  v_was ${schema}.stream;
begin
  -- A step that goes by the old limits ends before: what is appended after this goes by the new ones only.
  perform pg_advisory_xact_lock(${retentionOf(schema)});
  select s.* into v_was from ${schema}.stream s where s.id = p_stream;
  if (v_was.max_age_ms, v_was.max_bytes, v_was.tombstones_ms) is not distinct from (p_age_ms, p_bytes, p_tombstones_ms) then
    return;
  end if;
  update ${schema}.stream s set max_age_ms = p_age_ms, max_bytes = p_bytes, tombstones_ms = p_tombstones_ms where s.id = p_stream;
  if (v_was.tombstones_ms is null) <> (p_tombstones_ms is null) then
    -- In the order of all who append.
    perform from ${schema}.stream_head h where h.stream = p_stream order by h.partition for update;
    update ${schema}.stream_head h set compacted = p_tombstones_ms is not null where h.stream = p_stream;
    if p_tombstones_ms is not null then
      insert into ${schema}.stream_clean as c (stream, partition, below, trimmed)
        select h.stream, h.partition, 0, coalesce((
          select r.position from ${schema}.record r
          where r.stream = h.stream and r.partition = h.partition order by r.position limit 1
        ), h.floor) from ${schema}.stream_head h where h.stream = p_stream
        on conflict (stream, partition) do update set trimmed = excluded.trimmed;
    end if;
  end if;
  if p_bytes is null then
    delete from ${schema}.stream_size s where s.stream = p_stream;
  end if;
end $$;

-- Before a trim: from where on only compaction takes what goes.
create function ${schema}.note_trim(p_stream int, p_partition int, p_below bigint) returns void
language sql ${functionSettings} as $$
  update ${schema}.stream_clean c set trimmed = greatest(c.trimmed, least(p_below, coalesce((
    select r.position + 1 from ${schema}.record r
    where r.stream = p_stream and r.partition = p_partition order by r.position desc limit 1
  ), c.trimmed))) where c.stream = p_stream and c.partition = p_partition;
$$;

-- One step, by one process at a time; another one gets null. Looks at what came since the last step: of each of its keys all goes that stands
-- below its last record. Then tombstones go that are old enough, whose key is clean. The last record of a partition tells the position of the next, and stays.
create function ${schema}.compact_step(p_stream int, p_partition int, p_limit int, out more boolean)
language plpgsql ${functionSettings} as $$
declare
  v_tombstones_ms bigint;
  v_below bigint;
  v_upto bigint;
  v_last bigint;
  v_seen bigint;
  v_gone bigint;
begin
  if not pg_try_advisory_xact_lock(${retentionOf(schema)}) then return; end if;
  more := false;
  select s.tombstones_ms into v_tombstones_ms from ${schema}.stream s where s.id = p_stream;
  if v_tombstones_ms is null then return; end if;
  select c.below into v_below from ${schema}.stream_clean c where c.stream = p_stream and c.partition = p_partition;
  select r.position into v_last from ${schema}.record r
    where r.stream = p_stream and r.partition = p_partition order by r.position desc limit 1;
  -- What is appended from now on is looked at by the next step: its last must stay.
  if v_last is null then return; end if;
  select max(r.position) + 1, count(*) into v_upto, v_seen from (
    select r.position from ${schema}.record r
    where r.stream = p_stream and r.partition = p_partition and r.position >= v_below order by r.position limit p_limit
  ) r;
  more := v_seen = p_limit;
  if v_seen > 0 then
    -- From before the stream was compacted.
    update ${schema}.record r set mark = 0
      where r.stream = p_stream and r.partition = p_partition and r.position >= v_below and r.position < v_upto and r.mark is null;
    delete from ${schema}.record r using (
      select l.key, max(l.position) as position from ${schema}.record l
      where l.stream = p_stream and l.partition = p_partition and l.position >= v_below and l.position < v_upto and l.key is not null
      group by l.key
    ) l
    where r.stream = p_stream and r.partition = p_partition and r.key = l.key and r.position < l.position and r.mark is not null;
    update ${schema}.stream_clean c set below = v_upto where c.stream = p_stream and c.partition = p_partition;
  end if;
  with deleted as (
    delete from ${schema}.record r where (r.stream, r.partition, r.position) in (
      select t.stream, t.partition, t.position from ${schema}.record t
      where t.stream = p_stream and t.partition = p_partition and t.mark = 1 and t.position < least(v_last, v_upto)
        and t.appended_at < floor(extract(epoch from clock_timestamp()) * 1000) - v_tombstones_ms
      order by t.position limit p_limit
    ) returning r.key, r.version
  ), forgotten as (${remembering(schema)})
  select count(*) into v_gone from deleted;
  more := more or v_gone = p_limit;
end $$;
`
