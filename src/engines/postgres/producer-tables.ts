// Appends that may be repeated: the last sequence of each producer, in the transaction of its records.
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

const plain =
  'streams int[], partitions int[], slots int[], offsets int[], keys text[], bodies text[], tombs int[]'
const versioned =
  'streams int[], partitions int[], key_streams int[], key_names text[], calls int[], slots int[], key_slots int[], expected bigint[], keys text[], bodies text[], tombs int[]'

const namesOf = (parameters: string) => parameters.replaceAll(/(\w+) \w+\[\]/g, '$1')

export const producerTables: Migration = (schema) => `
create table ${schema}.producer (
  stream int not null,
  id text collate "C" not null,
  sequence bigint not null,
  at timestamptz not null default now(),
  primary key (stream, id)
) with (fillfactor = 50);
create index producer_at on ${schema}.producer (at);

-- The last sequence that is stored, when it is not below this one; else null. Calls of one producer come one after the other.
create function ${schema}.stored_sequence(p_stream int, p_producer text, p_sequence bigint) returns bigint
language plpgsql ${functionSettings} as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('spillway producer ${schema} ' || p_stream || ' ' || p_producer, 0));
  return (select p.sequence from ${schema}.producer p
    where p.stream = p_stream and p.id = p_producer and p.sequence >= p_sequence);
end $$;

create function ${schema}.store_sequence(p_stream int, p_producer text, p_sequence bigint) returns void
language plpgsql ${functionSettings} as $$
begin
  insert into ${schema}.producer (stream, id, sequence) values (p_stream, p_producer, p_sequence)
    on conflict (stream, id) do update set sequence = excluded.sequence, at = now();
end $$;

create function ${schema}.append_once(p_stream int, p_producer text, p_sequence bigint, ${plain}, out stored bigint, out firsts bigint[])
language plpgsql ${functionSettings} as $$
begin
  stored := ${schema}.stored_sequence(p_stream, p_producer, p_sequence);
  if stored is not null then return; end if;
  firsts := ${schema}.append(${namesOf(plain)});
  perform ${schema}.store_sequence(p_stream, p_producer, p_sequence);
end $$;

create function ${schema}.append_versions_once(
  p_stream int, p_producer text, p_sequence bigint, ${versioned},
  out stored bigint, out positions bigint[], out conflicts int[], out actual bigint[]
) language plpgsql ${functionSettings} as $$
begin
  stored := ${schema}.stored_sequence(p_stream, p_producer, p_sequence);
  if stored is not null then return; end if;
  select r.positions, r.conflicts, r.actual into positions, conflicts, actual from ${schema}.append_versions(${namesOf(versioned)}) r;
  if conflicts is null then
    perform ${schema}.store_sequence(p_stream, p_producer, p_sequence);
  end if;
end $$;

-- Forgets who has been silent for too long.
create function ${schema}.forget_producers(p_kept_ms bigint) returns void language sql as $$
  delete from ${schema}.producer p where (p.stream, p.id) in (
    select stream, id from ${schema}.producer where at < now() - p_kept_ms * interval '1 millisecond' limit 2000
    for update skip locked);
$$;
`
