// Claiming from one queue. Concurrent claims of this process go together as one statement; who finds nothing waits
// for a wake-up, the next due time, or the poll, and one look serves all.
import type { ClaimedMessage, ClaimOptions } from '../../ports/queue.ts'
import type { Connection, Statement } from './connection.ts'
import { ScanBound } from './scan-bound.ts'
import type { Wake } from './wake.ts'

interface Request {
  readonly limit: number
  readonly leaseMs: number
  /** By the monotonic clock. */
  readonly deadline: number
  readonly resolve: (messages: ClaimedMessage[]) => void
  readonly reject: (reason: unknown) => void
  looked: boolean
  over: boolean
}

interface Row {
  /** null: nothing was claimed, and `due` is the time in milliseconds until something may be. */
  readonly id: string | null
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly starts: number
  readonly token: string
  /** Of a message that was due again or later: when. Those come first. */
  readonly due: number | null
}

/** What one statement claims at most, whoever asks. */
const maxClaim = 2_000
/** A message that is due but being claimed by another process would else be asked for without a pause. */
const minSleepMs = 10

/** For a look at all that is due, however long. */
const foreverMs = 1e12

/**
 * `now()` throughout: the database's clock. Not flushed: a claim that is forgotten in a power failure is made again. $4 and
 * $5 bound the scans (`scan-bound.ts`), $6 is how far ahead it is worth to look.
 */
export function claimStatement(schema: string): Statement {
  return {
    name: 'spillway_claim',
    text: `with due as materialized (
  select m.id, m.due_at from ${schema}.message m where m.queue = $1 and m.due_at <= now()
    and m.due_at >= now() - $5::float8 * interval '1 millisecond'
  order by m.due_at limit $2 for update skip locked
), ready as materialized (
  select m.id from ${schema}.message m where m.queue = $1 and m.due_at is null and m.id >= $4::bigint
  order by m.id limit $2::int - (select count(*) from due) for update skip locked
), claimed as (
  update ${schema}.message m
  set due_at = now() + $3::float8 * interval '1 millisecond', leased = true, starts = m.starts + 1,
    token = greatest(m.token + 1, (extract(epoch from now()) * 1000000)::bigint)
  from (select id, due_at from due union all select id, null from ready) c
  where m.id = c.id and (select set_config('synchronous_commit', 'off', true)) is not null
  returning m.id, m.message_id, m.key, m.body, m.starts, m.token, extract(epoch from c.due_at)::float8 as due
)
select * from claimed
union all
select null, null, null, null, null, null, (
  select extract(epoch from m.due_at - now())::float8 * 1000 from ${schema}.message m
  where m.queue = $1 and m.due_at >= now() - $5::float8 * interval '1 millisecond'
    and m.due_at < now() + $6::float8 * interval '1 millisecond'
  order by m.due_at limit 1
) where not exists (select from claimed)`,
  }
}

export interface ClaimsOptions {
  readonly connection: Connection
  readonly statement: Statement
  readonly wake: Wake
  readonly topic: string
  readonly queue: number
  /** Gives back what was leased for nobody. */
  readonly release: (leases: readonly string[]) => Promise<void>
}

export class Claims {
  readonly #options: ClaimsOptions
  #requests: Request[] = []
  #working: Promise<void> | undefined
  #sleep: AbortController | undefined
  readonly #fresh = new ScanBound()
  /** When the last look began that left nothing behind that was due. */
  #dueSeenAt = 0
  #closed = false

  constructor(options: ClaimsOptions) {
    this.#options = options
  }

  claim(options: ClaimOptions): Promise<ClaimedMessage[]> {
    const { signal } = options
    if (this.#closed || signal?.aborted) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        request.over = true
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => request.resolve([])
      const request: Request = {
        limit: options.limit,
        leaseMs: options.leaseMs,
        deadline: performance.now() + options.waitMs,
        resolve: (messages) => {
          settle()
          resolve(messages)
        },
        reject: (reason) => {
          settle()
          reject(reason)
        },
        looked: false,
        over: false,
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#requests.push(request)
      this.#sleep?.abort()
      this.#working ??= this.#work()
    })
  }

  /** Ends the waits; what a statement under way leases is still delivered. */
  async close(): Promise<void> {
    this.#closed = true
    this.#sleep?.abort()
    await this.#working
  }

  async #work(): Promise<void> {
    for (;;) {
      // One turn of the event loop, for the claims that follow from the last results.
      await new Promise((resolve) => setImmediate(resolve))
      const turn = this.#options.wake.turn(this.#options.topic)
      const dueMs = await this.#look()
      this.#end()
      if (this.#requests.length === 0) break
      if (dueMs !== undefined && this.#requests.every((request) => request.looked))
        await this.#wait(turn, dueMs)
    }
    this.#working = undefined
  }

  /** Claims for everyone who asks; gives the time until more may be due when something was left wanting. */
  async #look(): Promise<number | undefined> {
    let dueMs: number | undefined
    for (const leaseMs of new Set(this.#requests.map((request) => request.leaseMs))) {
      const asking = this.#requests.filter((request) => !request.over && request.leaseMs === leaseMs)
      const wanted = asking.reduce((sum, request) => sum + request.limit, 0)
      if (wanted === 0 || this.#closed) continue
      try {
        const rows = await this.#claim(Math.min(wanted, maxClaim), leaseMs)
        const idle = rows[0]?.id === null ? rows[0] : undefined
        if (idle !== undefined)
          dueMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, idle.due ?? Number.POSITIVE_INFINITY)
        await this.#deliver(asking, idle === undefined ? rows : [])
      } catch (thrown) {
        for (const request of asking) request.reject(thrown)
      }
    }
    return dueMs
  }

  async #claim(limit: number, leaseMs: number): Promise<Row[]> {
    const { connection, statement, queue, wake } = this.#options
    const from = this.#fresh.begin()
    const startedAt = performance.now()
    const lookBackMs = from === 0 ? foreverMs : ScanBound.lookBack(startedAt - this.#dueSeenAt)
    const rows = await connection.run<Row>(statement, [queue, limit, leaseMs, from, lookBackMs, wake.pollMs])
    const fresh = rows.filter((row) => row.id !== null && row.due === null)
    this.#fresh.done(from, performance.now() - startedAt, Math.max(0, ...fresh.map((row) => Number(row.id))))
    if (rows.length - fresh.length < limit) this.#dueSeenAt = startedAt
    return rows
  }

  async #deliver(asking: readonly Request[], rows: Row[]): Promise<void> {
    const messages = rows.sort(byAge).map((row) => toMessage(this.#options.queue, row))
    let at = 0
    for (const request of asking) {
      request.looked = true
      if (request.over || at === messages.length) continue
      request.resolve(messages.slice(at, at + request.limit))
      at += request.limit
    }
    // Somebody went away while the statement ran.
    const left = messages.slice(at)
    if (left.length > 0) await this.#options.release(left.map((message) => message.lease))
  }

  #end(): void {
    const now = performance.now()
    for (const request of this.#requests)
      if (!request.over && (this.#closed || (request.looked && request.deadline <= now))) request.resolve([])
    this.#requests = this.#requests.filter((request) => !request.over)
  }

  async #wait(turn: number, dueMs: number): Promise<void> {
    this.#sleep = new AbortController()
    const deadline = Math.min(...this.#requests.map((request) => request.deadline)) - performance.now()
    const ms = Math.max(Math.min(deadline, dueMs), minSleepMs)
    await this.#options.wake.wait(this.#options.topic, turn, ms, this.#sleep.signal)
    this.#sleep = undefined
  }
}

function byAge(a: Row, b: Row): number {
  const never = Number.POSITIVE_INFINITY
  const [first, second] = [a.due ?? never, b.due ?? never]
  return first === second ? Number(a.id) - Number(b.id) : first - second
}

function toMessage(queue: number, row: Row): ClaimedMessage {
  const fencingToken = Number(row.token)
  return {
    id: row.message_id,
    key: row.key ?? undefined,
    body: row.body,
    starts: row.starts,
    suspect: row.starts > 1,
    lease: `${queue}.${row.id}.${fencingToken}`,
    fencingToken,
  }
}

/** What a lease of the queue stands for; undefined for what is none. */
export function readLease(
  queue: number,
  lease: string,
): { readonly id: number; readonly token: number } | undefined {
  const parts = /^(\d{1,10})\.(\d{1,15})\.(\d{1,16})$/.exec(lease)
  if (parts === null || Number(parts[1]) !== queue) return undefined
  return { id: Number(parts[2]), token: Number(parts[3]) }
}
