// What is parked in a service's database: for looking, and what a unit stores of it.
import type { ListParked, ParkedEvent, ParkingPort, PartitionOfGroup } from '../../ports/parking.ts'
import type { Connection, Statement } from './connection.ts'
import { literal } from './literal.ts'

interface Row extends Omit<ParkedEvent, 'key'> {
  readonly key: string | null
}

interface SummaryRow {
  readonly count: number
  readonly keys: string[] | null
}

const partitionIs = 'stream = $1 and consumer_group = $2 and partition = $3'
const columns = 'position::float8, key, body, appended_at::float8 as "appendedAt", reason, attempts'

export class PostgresParking implements ParkingPort {
  readonly #connection: Connection
  readonly #all: Statement
  readonly #keyed: Statement
  readonly #keyless: Statement
  readonly #summary: Statement

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    const list = (name: string, where: string): Statement => ({
      name: `spillway_parked_${name}`,
      text: `select ${columns} from ${schema}.parked where ${partitionIs} and position > $4 ${where} order by position limit $5`,
    })
    this.#all = list('all', '')
    this.#keyed = list('keyed', 'and key = $6')
    this.#keyless = list('keyless', 'and key is null')
    this.#summary = {
      name: 'spillway_parked_summary',
      text: `select count(*)::float8 as count, array_agg(distinct key) filter (where key is not null) as keys from ${schema}.parked where ${partitionIs}`,
    }
  }

  async list(of: PartitionOfGroup, { after = -1, key, limit }: ListParked): Promise<ParkedEvent[]> {
    const values = [of.stream, of.group, of.partition, after, limit]
    const rows =
      typeof key === 'string'
        ? await this.#connection.run<Row>(this.#keyed, [...values, key])
        : await this.#connection.run<Row>(key === null ? this.#keyless : this.#all, values)
    return rows.map((row) => ({ ...row, key: row.key ?? undefined }))
  }

  async summary(of: PartitionOfGroup): Promise<{ readonly count: number; readonly keys: readonly string[] }> {
    const values = [of.stream, of.group, of.partition]
    const [row] = await this.#connection.run<SummaryRow>(this.#summary, values)
    return { count: row!.count, keys: row!.keys ?? [] }
  }
}

/** The statement that parks an event, or says anew why it is parked. */
export function parks(schema: string, of: PartitionOfGroup, event: ParkedEvent): string {
  const { position, key, body, appendedAt, reason, attempts } = event
  const values = [
    of.stream,
    of.group,
    of.partition,
    position,
    key,
    body,
    Math.trunc(appendedAt),
    reason,
    attempts,
  ]
  return `insert into ${schema}.parked (stream, consumer_group, partition, position, key, body, appended_at, reason, attempts)
values (${values.map(literal).join(', ')})
on conflict (stream, consumer_group, partition, position) do update set reason = excluded.reason, attempts = excluded.attempts`
}

/** The statement that lets go of a parked event whose row is locked. */
export function unparks(schema: string, of: PartitionOfGroup, position: number): string {
  const [stream, group, partition, at] = [of.stream, of.group, of.partition, position].map(literal)
  return `delete from ${schema}.parked where stream = ${stream} and consumer_group = ${group} and partition = ${partition} and position = ${at}`
}
