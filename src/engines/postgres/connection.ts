// One engine's access to its server: statements prepared once per connection, native errors translated, deadlocks and
// serialization failures tried again within a bound.
import { checkOut, type OwnPool, type PgLink, type PgPool, type PgResult, queryTimeoutMs } from './client.ts'
import { closed, isConflict, sqlState, translate } from './errors.ts'

export interface Statement {
  /** Unique among the statements of an engine. */
  readonly name: string
  readonly text: string
}

/** Parameters: plain values, or arrays in binary format. */
export type Value = string | number | boolean | null | Buffer

export type Run = <Row = never>(statement: Statement, values: readonly Value[]) => Promise<Row[]>

const attempts = 5

/** Bounded by the server as well: a process that freezes in the middle must not hold the locks. */
const begin = 'begin isolation level read committed; set local idle_in_transaction_session_timeout = 3000'

export class Connection {
  readonly #pool: PgPool
  readonly #own: OwnPool | undefined
  readonly #prepare: boolean
  #active = 0
  #idle = (): void => {}
  #ended = false

  /**
   * `prepare`: whether a session belongs to this connection for as long as it lasts, so that statements can be prepared in it.
   * Its settings must then make the plans independent of the tables' size (`session.ts`).
   */
  constructor(pool: PgPool, options: { readonly own?: OwnPool | undefined; readonly prepare: boolean }) {
    this.#pool = pool
    this.#own = options.own
    this.#prepare = options.prepare
  }

  /** Runs one statement in a transaction of its own. */
  run<Row = never>(statement: Statement, values: readonly Value[]): Promise<Row[]> {
    return this.#attempt(() => this.#send<Row>(this.#pool, statement, values))
  }

  /** Runs several statements in one transaction. `body` is run again after a deadlock: it may only use the given `run`. */
  transaction<Result>(body: (run: Run) => Promise<Result>): Promise<Result> {
    return this.#attempt(async () => {
      const client = await checkOut(this.#pool)
      let broken = false
      try {
        await client.query({ text: begin, query_timeout: queryTimeoutMs })
        const result = await body((statement, values) => this.#send(client, statement, values))
        await client.query({ text: 'commit', query_timeout: queryTimeoutMs })
        return result
      } catch (thrown) {
        // Without an answer from the server nothing more can be said on this connection.
        broken = sqlState(thrown) === undefined || !(await rolledBack(client))
        throw thrown
      } finally {
        client.release(broken)
      }
    })
  }

  /** Refuses further calls, and ends the pool if it is one of our own, when all that is under way is done. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    // A pool that ends forgets who waits for a connection.
    if (this.#active > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    await this.#own?.end()
  }

  async #attempt<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#ended) throw closed()
    this.#active += 1
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await act()
        } catch (thrown) {
          if (!isConflict(thrown) || attempt === attempts) throw translate(thrown)
        }
      }
    } finally {
      this.#active -= 1
      if (this.#active === 0) this.#idle()
    }
  }

  async #send<Row>(link: PgLink, statement: Statement, values: readonly Value[]): Promise<Row[]> {
    const query = { text: statement.text, values: values as Value[], query_timeout: queryTimeoutMs }
    const result = await link.query(this.#prepare ? { ...query, name: statement.name } : query)
    return (result as PgResult<Row>).rows
  }
}

async function rolledBack(link: PgLink): Promise<boolean> {
  return await link.query({ text: 'rollback', query_timeout: queryTimeoutMs }).then(
    () => true,
    () => false,
  )
}
