// The limit port on PostgreSQL: calls that come while a statement is under way go together in the next, which decides all of them.
import { monotonicUs, ServerClock } from '../../core/server-clock.ts'
import { checkExchange, type LimitExchange, type LimitPort, type LimitVerdict } from '../../ports/limit.ts'
import type { Connection, Statement } from './connection.ts'
import { closed } from './errors.ts'
import { GroupCommit } from './group-commit.ts'
import { type ExchangeRow, exchangeText, exchangeValues, verdictsOf } from './limit-call.ts'

/** Buckets that one sweep looks at. */
const sweptAtOnce = 500
/** One that forgets so many is followed by another at once. */
const worthMore = sweptAtOnce / 10
const sweepEveryMs = 10_000

export class PostgresLimit implements LimitPort {
  readonly statement: string =
    "In the database: what was taken survives all processes and, but for the last moments, a crash of the server (synchronous_commit=off for these transactions). The clock is the server's."
  readonly #connection: Connection
  readonly #exchange: Statement
  readonly #sweep: Statement
  readonly #calls: GroupCommit<readonly LimitExchange[], LimitVerdict[]>
  readonly #clock = new ServerClock()
  #swept = ''
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> | undefined
  #closed = false

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#exchange = { name: 'spillway_limit_exchange', text: exchangeText(schema) }
    this.#sweep = {
      name: 'spillway_limit_sweep',
      text: `select removed, reached from ${schema}.limit_sweep($1, ${sweptAtOnce}, $2)`,
    }
    this.#calls = new GroupCommit({ run: (calls) => this.#decide(calls), weigh })
  }

  async exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    if (this.#closed) throw closed()
    checkExchange('postgres', requests)
    if (requests.length === 0) return []
    // Who asks for no bucket has none to sweep.
    this.#timer ??= setInterval(() => this.#tidy(), sweepEveryMs).unref()
    return await this.#calls.submit(requests)
  }

  async sweep(): Promise<number> {
    if (this.#closed) throw closed()
    const [row] = await this.#connection.run<{ removed: number; reached: string | null }>(this.#sweep, [
      this.#swept,
      this.#clock.latestUs(),
    ])
    this.#swept = row!.reached ?? ''
    return row!.removed
  }

  /** Resolves when what was asked is answered. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await Promise.all([this.#calls.close(), this.#sweeping])
  }

  async #decide(calls: readonly (readonly LimitExchange[])[]): Promise<LimitVerdict[][]> {
    const requests = calls.flat()
    const sentUs = monotonicUs()
    const values = exchangeValues(requests, this.#clock.latestUs(sentUs))
    const [row] = await this.#connection.run<ExchangeRow>(this.#exchange, values)
    const verdicts = verdictsOf(requests, row!)
    // Not as arguments of one call: there may be more than fit.
    const latestUs = row!.nows.reduce((latest, now) => Math.max(latest, now), 0)
    this.#clock.heard(row!.server, latestUs, sentUs)
    let at = 0
    return calls.map(({ length }) => {
      at += length
      return verdicts.slice(at - length, at)
    })
  }

  /** Nobody asked for it: what fails is tried again at the next turn. */
  #tidy(): void {
    this.#sweeping ??= (async () => {
      while (!this.#closed && (await this.sweep()) >= worthMore);
    })()
      .catch(() => {})
      .finally(() => {
        this.#sweeping = undefined
      })
  }
}

function weigh(requests: readonly LimitExchange[]): number {
  return requests.reduce(
    (sum, { asks }) => sum + 100 + asks.reduce((bytes, { bucket }) => bytes + 150 + bucket.length * 3, 0),
    0,
  )
}
