// How records leave a stream.
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

export const retentionTables: Migration = (schema) => `
create table ${schema}.forgotten_key (
  stream int not null,
  key text collate "C" not null,
  version bigint not null,
  primary key (stream, key)
);
comment on table ${schema}.forgotten_key is 'the version of keys whose last record went: the next one counts on from it';

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
      returning r.key, r.version, octet_length(r.body) as bytes
  ), forgotten as (
    insert into ${schema}.forgotten_key as f (stream, key, version)
      select p_stream, d.key, d.version from deleted d
      where d.version is not null and not exists (
        select from ${schema}.record r where r.stream = p_stream and r.key = d.key and r.version > d.version)
      on conflict (stream, key) do update set version = greatest(f.version, excluded.version)
  )
  select count(*), coalesce(sum(d.bytes), 0) into gone, bytes from deleted d;
  if p_below < reached then reached := p_below; end if;
end $$;
`
