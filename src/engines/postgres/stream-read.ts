// The statements that read a stream.
import type { PartitionBounds, StreamRecord } from '../../ports/stream.ts'
import type { Statement } from './connection.ts'

export interface RecordRow {
  readonly partition: number
  readonly position: number
  readonly key: string | null
  readonly body: string
  readonly appended_at: number
  readonly version: number | null
}

export function toRecord(row: RecordRow): StreamRecord {
  return {
    partition: row.partition,
    position: row.position,
    key: row.key ?? undefined,
    body: row.body,
    appendedAt: row.appended_at,
    version: row.version ?? undefined,
  }
}

const columns = 'r.partition, r.position::float8, r.key, r.body, r.appended_at::float8, r.version::float8'

/**
 * Partition by partition in the order of the arguments, each by its primary key, until the limit: the join is a nested
 * loop, there is no other for a lateral subquery, and stops there. Bodies beyond the bytes are not even unpacked.
 */
export function readStatement(schema: string): Statement {
  return {
    name: 'spillway_read',
    text: `select ${columns} from (
  select l.*, sum(octet_length(l.body)) over (rows unbounded preceding) as bytes, row_number() over () as place
  from (
    select r.* from unnest($2::int[], $3::bigint[]) f(partition, position)
    cross join lateral (
      select * from ${schema}.record
      where stream = $1 and partition = f.partition and position >= f.position
      order by position limit $4
    ) r limit $4
  ) l
) r where r.bytes <= $5 or r.place = 1`,
  }
}

export function readKeyStatement(schema: string): Statement {
  return {
    name: 'spillway_read_key',
    text: `select ${columns} from ${schema}.record r
where r.stream = $1 and r.key = $2 and r.version >= $3 and r.version is not null order by r.version limit $4`,
  }
}

export interface BoundsRow {
  readonly partition: number
  readonly earliest: number
  readonly next: number
  readonly trimmed: number | null
}

export function toBounds({ partition, earliest, next, trimmed }: BoundsRow): PartitionBounds {
  return trimmed !== null && trimmed < earliest
    ? { partition, earliest, next, completeFrom: trimmed }
    : { partition, earliest, next }
}

export function boundsStatement(schema: string): Statement {
  return {
    name: 'spillway_bounds',
    text: `select h.partition,
  coalesce((select r.position from ${schema}.record r
    where r.stream = h.stream and r.partition = h.partition order by r.position limit 1), h.floor)::float8 as earliest,
  coalesce((select r.position + 1 from ${schema}.record r
    where r.stream = h.stream and r.partition = h.partition order by r.position desc limit 1), h.floor)::float8 as next,
  case when h.compacted then c.trimmed end::float8 as trimmed
from ${schema}.stream_head h left join ${schema}.stream_clean c on c.stream = h.stream and c.partition = h.partition
where h.stream = $1 order by h.partition`,
  }
}

/** By halving: the times of a partition never fall. `low` is at or below the answer, `high` at or above it. */
export function positionsAtStatement(schema: string): Statement {
  return {
    name: 'spillway_positions_at',
    text: `with recursive bounds as (
  ${boundsStatement(schema).text}
), halving (partition, low, high) as (
  select partition, earliest::bigint, next::bigint from bounds
  union all
  select h.partition, case when later then h.low else middle.position + 1 end, case when later then half else h.high end
  from halving h
  cross join lateral (select (h.low + h.high) / 2 as half) half
  cross join lateral (
    select r.position, r.appended_at >= $2::float8 as later from ${schema}.record r
    where r.stream = $1 and r.partition = h.partition and r.position >= half order by r.position limit 1
  ) middle
  where h.low < h.high
)
select partition, max(low)::float8 as position from halving group by partition order by partition`,
  }
}
