// How records leave a stream.
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

/** The advisory lock of who lets go of what a stream has: one process at a time. */
export const retentionOf = (schema: string): string =>
  `hashtextextended('spillway retention ${schema} ' || p_stream, 0)`

/** The versions of the keys that `deleted` had the last record of: the next one counts on from them. */
export const remembering = (schema: string): string => `
    insert into ${schema}.forgotten_key as f (stream, key, version)
      select p_stream, d.key, d.version from deleted d
      where d.version is not null and not exists (
        select from ${schema}.record r where r.stream = p_stream and r.key = d.key and r.version > d.version)
      on conflict (stream, key) do update set version = greatest(f.version, excluded.version)
  `

export const retentionTables: Migration = (schema) => `
create table ${schema}.forgotten_key (
  stream int not null,
  key text collate "C" not null,
  version bigint not null,
  primary key (stream, key)
);
comment on table ${schema}.forgotten_key is 'the version of keys whose last record went: the next one counts on from it';

alter table ${schema}.stream add column max_age_ms bigint, add column max_bytes bigint;
comment on column ${schema}.stream.max_age_ms is 'null: whatever their age, records are kept';

create table ${schema}.stream_size (
  stream int not null,
  partition int not null,
  counted bigint not null,
  bytes bigint not null,
  primary key (stream, partition)
) with (fillfactor = 50);
comment on table ${schema}.stream_size is 'how large the partitions are whose stream has max_bytes';
comment on column ${schema}.stream_size.counted is 'records below this position are counted';

-- One step of forgetting what a partition has from a position on and below another one. Gives how far it came: the next step begins there,
-- and does not look again at what is gone. Who appends waits only when the last record goes, which tells the position of the next.
create function ${schema}.trim_step(
  p_stream int, p_partition int, p_from bigint, p_below bigint, p_limit int, out reached bigint, out gone bigint, out bytes bigint
) language plpgsql ${functionSettings} as $$
declare
  v_first bigint;
  v_last bigint;
begin
  gone := 0;
  bytes := 0;
  reached := p_below;
  -- Not beside a step of retention: each would see what the other one has not stored yet, and the size would be wrong for good.
  perform pg_advisory_xact_lock(${retentionOf(schema)});
  select r.position into v_last from ${schema}.record r
    where r.stream = p_stream and r.partition = p_partition order by r.position desc limit 1;
  select r.position into v_first from ${schema}.record r
    where r.stream = p_stream and r.partition = p_partition and r.position >= p_from order by r.position limit 1;
  -- What is appended from now on is above.
  p_below := least(p_below, v_last + 1);
  if v_first is null or v_first >= p_below then return; end if;
  p_below := least(p_below, v_first + p_limit);
  if p_below > v_last then
    perform from ${schema}.stream_head h where h.stream = p_stream and h.partition = p_partition for update;
    select r.position into v_last from ${schema}.record r
      where r.stream = p_stream and r.partition = p_partition order by r.position desc limit 1;
    update ${schema}.stream_head h set floor = v_last + 1
      where h.stream = p_stream and h.partition = p_partition and h.floor <= v_last;
  end if;
  with deleted as (
    delete from ${schema}.record r
      where r.stream = p_stream and r.partition = p_partition and r.position >= v_first and r.position < p_below
      returning r.key, r.version, r.position, octet_length(r.body) as bytes
  ), forgotten as (${remembering(schema)})
  select count(*), coalesce(sum(d.bytes) filter (where d.position < s.counted), 0) into gone, bytes
    from deleted d left join ${schema}.stream_size s on s.stream = p_stream and s.partition = p_partition;
  if bytes > 0 then
    update ${schema}.stream_size s set bytes = s.bytes - trim_step.bytes where s.stream = p_stream and s.partition = p_partition;
  end if;
  if p_below < reached then reached := p_below; end if;
end $$;

-- One step of what a partition need not keep any longer. One process at a time does it in a stream; another one gets null. Goes by what is
-- declared now, which nobody changes meanwhile. Gives how far it came, and whether there is more.
create function ${schema}.retain_step(
  p_stream int, p_partition int, p_from bigint, p_limit int, out reached bigint, out more boolean
) language plpgsql ${functionSettings} as $$
declare
  v_age_ms bigint;
  v_share bigint;
  v_size ${schema}.stream_size;
  v_fresh record;
  v_below bigint;
  v_step record;
begin
  if not pg_try_advisory_xact_lock(${retentionOf(schema)}) then return; end if;
  reached := p_from;
  more := false;
  select s.max_age_ms, ceil(s.max_bytes::numeric / s.partitions) into v_age_ms, v_share from ${schema}.stream s where s.id = p_stream;
  if v_share is not null then
    select s.* into v_size from ${schema}.stream_size s where s.stream = p_stream and s.partition = p_partition;
    select max(r.position) + 1 as counted, sum(octet_length(r.body)) as bytes, count(*) as count into v_fresh from (
      select r.position, r.body from ${schema}.record r
      where r.stream = p_stream and r.partition = p_partition and r.position >= coalesce(v_size.counted, 0)
      order by r.position limit 5 * p_limit
    ) r;
    if v_fresh.count > 0 then
      insert into ${schema}.stream_size as s values (p_stream, p_partition, v_fresh.counted, v_fresh.bytes)
        on conflict (stream, partition) do update set counted = excluded.counted, bytes = s.bytes + excluded.bytes
        returning s.* into v_size;
      more := v_fresh.count = 5 * p_limit;
    end if;
  end if;
  select max(r.position) + 1 into v_below from (
    select r.position, r.appended_at, sum(octet_length(r.body)) over (order by r.position) as bytes from (
      select r.position, r.appended_at, r.body from ${schema}.record r
      where r.stream = p_stream and r.partition = p_partition and r.position >= p_from order by r.position limit p_limit
    ) r
  ) r
  where r.appended_at < floor(extract(epoch from clock_timestamp()) * 1000) - v_age_ms or v_size.bytes - r.bytes >= v_share;
  if v_below is null then return; end if;
  select * into v_step from ${schema}.trim_step(p_stream, p_partition, p_from, v_below, p_limit);
  reached := v_step.reached;
  more := true;
end $$;
`
