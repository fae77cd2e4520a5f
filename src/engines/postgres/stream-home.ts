// Streams that are kept in the very database of a service: its relay moves rows of the outbox there in one statement, which takes them, gives them their
// numbers, appends them and forgets them.
import { beforeData, numbering, tombstoneText } from '../../core/envelope.ts'
import type { Statement } from './connection.ts'
import { literal } from './literal.ts'
import type { Home, HomeOptions } from './place.ts'
import { functionSettings } from './session.ts'
import { maxBodyBytes } from './text.ts'

export class StreamHome implements Home {
  readonly place: string
  readonly trial: string
  readonly plain: HomeOptions['plain']
  readonly stored: HomeOptions['stored']
  readonly #schema: string

  constructor({ place, schema, plain, stored }: HomeOptions) {
    this.place = place
    this.trial = `select ${schema}.append('{}', '{}', '{}', '{}', '{}', '{}', '{}')`
    this.plain = plain
    this.stored = stored
    this.#schema = schema
  }

  /** From the outbox of the (quoted) schema: the parameters of `leave`, and the number of the stream. */
  move(outbox: string): Statement {
    return {
      name: 'spillway_outbox_move',
      text: `select l.outcome, coalesce(cardinality(l.bodies), 0) as moved, l.more, coalesce(l.upto, 0)::float8 as upto,
  case when l.bodies is not null then ${this.#schema}.append(
    array_fill($8::int, array[cardinality(l.partitions)]), l.partitions, l.slots, l.offsets, l.keys, l.bodies, l.tombs) end as firsts
from ${outbox}.leave($1, $2, $3, $4, $5, $6, $7) l`,
    }
  }
}

const [producer, number, end, tombstone, data] = [...numbering, tombstoneText, beforeData].map(literal)
/** What numbering adds to a body at most. */
const numberBytes = 200

/** Of the tables of a service. */
export const leaving = (schema: string): string => `
-- The partition of a key: what src/core/partition.ts says, which is MurmurHash2 as Kafka's clients use it.
create function ${schema}.partition_of(p_key text, p_partitions int) returns int language plpgsql immutable as $$
declare
  m constant bigint := x'5bd1e995'::bigint;
  mask constant bigint := x'ffffffff'::bigint;
  data constant bytea := convert_to(p_key, 'UTF8');
  size constant int := length(data);
  h bigint := x'9747b28c'::bigint # size;
  k bigint;
  i int := 0;
begin
  while i + 4 <= size loop
    k := get_byte(data, i) | (get_byte(data, i + 1) << 8) | (get_byte(data, i + 2) << 16) | (get_byte(data, i + 3)::bigint << 24);
    k := (k * m) & mask;
    h := ((h * m) & mask) # (((k # (k >> 24)) * m) & mask);
    i := i + 4;
  end loop;
  if i < size then
    if size - i > 2 then h := h # (get_byte(data, i + 2)::bigint << 16); end if;
    if size - i > 1 then h := h # (get_byte(data, i + 1)::bigint << 8); end if;
    h := ((h # get_byte(data, i)) * m) & mask;
  end if;
  h := ((h # (h >> 13)) * m) & mask;
  return ((h # (h >> 15)) & x'7fffffff'::bigint) % p_partitions;
end $$;

-- Takes the first rows of a destination out of the outbox, as records for a transaction that appends them. 'refused': another has the lock, or
-- they cannot leave in this way. The row of the relay stays locked until the commit: until then nobody else gets the lock, nor gives numbers.
-- p_sequence and p_id: below them no row of the destination is worth a look, numbered or not.
create function ${schema}.leave(
  p_holder text, p_kind text, p_name text, p_limit int, p_sequence bigint, p_id bigint, p_partitions int,
  out outcome text, out partitions int[], out slots int[], out offsets int[], out keys text[], out bodies text[], out tombs int[],
  out more boolean, out upto bigint
) language plpgsql ${functionSettings} as $$
declare
  who text;
  base bigint;
  seen bigint;
  gone bigint;
  given bigint;
  bad boolean;
begin
  outcome := 'refused';
  select r.producer_id::text, greatest(r.next_sequence, (extract(epoch from clock_timestamp()) * 1000)::bigint * 1000)
    into who, base from ${schema}.relay r
    where r.holder is null or r.holder = p_holder or r.expires_at < clock_timestamp() or r.expires_at > clock_timestamp() + interval '10 minutes'
    for update;
  if not found then return; end if;
  -- The records are as durable as those that the engine appends, whatever the service wants for its own rows.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  with waiting as materialized (
    select w.id, row_number() over leaving as place,
      sum(octet_length(w.body)) over (leaving rows unbounded preceding) - octet_length(w.body) as bytes
    from (
      (select o.id, o.sequence, o.body from ${schema}.outbox o
        where o.kind = p_kind and o.name = p_name and o.sequence >= p_sequence order by o.sequence limit p_limit)
      union all
      (select o.id, o.sequence, o.body from ${schema}.outbox o
        where o.kind = p_kind and o.name = p_name and o.sequence is null and o.id >= p_id order by o.sequence, o.id limit p_limit)
    ) w window leaving as (order by w.sequence nulls last, w.id)
  ), gone as (
    delete from ${schema}.outbox o using waiting w where o.id = w.id and w.place <= p_limit and w.bytes < ${maxBodyBytes}
    returning w.place, o.id, o.sequence, o.message_id, o.key, o.body, o.retried_at
  ), placed as (
    select g.*, ${schema}.partition_of(coalesce(g.key, g.message_id), p_partitions) as part,
      count(*) filter (where g.sequence is null) over (order by g.place) as fresh,
      strpos(g.body, ${tombstone}) between 1 and strpos(g.body, ${data}) as tomb
    from gone g
  ), slotted as (
    select p.*, dense_rank() over (order by p.part) as slot, row_number() over (partition by p.part order by p.place) - 1 as distance
    from placed p
  )
  select (select count(*) from waiting), count(*), count(*) filter (where s.sequence is null),
      bool_or(octet_length(s.body) > ${maxBodyBytes - numberBytes} or (s.tomb and s.key is null) or s.retried_at is not null),
      array_agg(distinct s.part order by s.part), array_agg(s.slot order by s.place), array_agg(s.distance order by s.place),
      array_agg(s.key order by s.place),
      array_agg(left(s.body, -1) || ${producer} || who || ${number} || coalesce(s.sequence, base - 1 + s.fresh) || ${end} order by s.place),
      coalesce(array_agg(s.place order by s.place) filter (where s.tomb), '{}'), max(s.id)
    into seen, gone, given, bad, partitions, slots, offsets, keys, bodies, tombs, upto from slotted s;
  -- What is too long with its number, a tombstone of nothing, and what a person put back, which says so in its body.
  if bad then
    raise exception 'a row cannot be moved' using errcode = 'SW004';
  end if;
  outcome := 'moved';
  more := gone = p_limit or gone < seen;
  if given > 0 then
    update ${schema}.relay r set next_sequence = base + given;
  end if;
end $$;
`
