// The state of sagas in a service's database: for looking, and for letting go of what has ended; and how a unit writes it.
import type { SagaInstance, SagaPort, SagaWrite } from '../../ports/saga.ts'
import type { PgResult } from './client.ts'
import type { Connection, Statement } from './connection.ts'
import { literal } from './literal.ts'

const columns =
  'saga, id, version::float8 as version, body, floor(extract(epoch from changed_at) * 1000)::float8 as "changedAt"'

export class PostgresSagas implements SagaPort {
  readonly #connection: Connection
  readonly #get: Statement
  readonly #list: Statement
  readonly #prune: Statement

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#get = {
      name: 'spillway_saga',
      text: `select ${columns} from ${schema}.saga where saga = $1 and id = $2`,
    }
    this.#list = {
      name: 'spillway_sagas',
      text: `select ${columns} from ${schema}.saga where saga = $1 and id > $2 order by id limit $3`,
    }
    this.#prune = {
      name: 'spillway_prune_sagas',
      text: `with gone as (delete from ${schema}.saga s where s.ctid = any(array(
  select o.ctid from ${schema}.saga o where o.body is null and o.changed_at < to_timestamp($1::float8 / 1000)
  order by o.changed_at limit 1000 for update skip locked
)) returning 1) select count(*)::float8 as count from gone`,
    }
  }

  async get(saga: string, id: string): Promise<SagaInstance | undefined> {
    return (await this.#connection.run<SagaInstance>(this.#get, [saga, id]))[0]
  }

  list(
    saga: string,
    { limit, after = '' }: { readonly limit: number; readonly after?: string },
  ): Promise<SagaInstance[]> {
    return this.#connection.run<SagaInstance>(this.#list, [saga, after, limit])
  }

  async prune(before: number): Promise<number> {
    return (await this.#connection.run<{ count: number }>(this.#prune, [before]))[0]!.count
  }
}

/** Waits for an open unit that writes the same instance; false when it has another version then. */
export async function writeSaga(
  query: (text: string) => Promise<PgResult>,
  schema: string,
  { saga, id, expected, body }: SagaWrite,
): Promise<boolean> {
  const [name, instance, text] = [saga, id, body ?? undefined].map(literal)
  const statement =
    expected === 0
      ? `insert into ${schema}.saga (saga, id, version, body, changed_at)
values (${name}, ${instance}, 1, ${text}, clock_timestamp()) on conflict do nothing returning 1`
      : `update ${schema}.saga set version = version + 1, body = ${text}, changed_at = clock_timestamp()
where saga = ${name} and id = ${instance} and version = ${expected} and body is not null returning 1`
  return (await query(statement)).rows.length > 0
}
