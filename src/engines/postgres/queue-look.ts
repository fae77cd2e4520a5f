// What can be claimed of a queue without rules.
import type { ClaimedMessage } from '../../ports/queue.ts'
import type { Connection, Statement } from './connection.ts'
import { leaseOf } from './leases.ts'
import type { Look } from './queue-claim.ts'
import { ScanBound } from './scan-bound.ts'

/** What is as it mostly is, is null: no key, the first start, not suspect, never due, never redriven. */
interface Row {
  readonly id: string
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  readonly starts: number | null
  readonly suspect: true | null
  /** Of a message that was due again or later: when. Those come first. */
  readonly due: number | null
  readonly redriven: number | null
}

/** The first row tells of all. */
interface Head {
  /** The fencing token of all; null: nothing was claimed, and `due` is the time in milliseconds until something may be. */
  readonly id: string | null
  readonly starts: number
  readonly due: number | null
}

/** `starts` of the first row, when there was nothing for another reason than that. */
const states = { ruled: -1, paused: -2, lookAgain: -3 }

/** For a look at all that is due, however long. */
const foreverMs = 1e12

/** By the database's clock. Not flushed: a claim that is forgotten in a power failure is made again. */
export function claimStatement(schema: string): Statement {
  return { name: 'spillway_claim', text: `select * from ${schema}.claim_messages($1, $2, $3, $4, $5, $6)` }
}

export class PlainLook {
  readonly #connection: Connection
  readonly #statement: Statement
  readonly #queue: number
  readonly #aheadMs: number
  readonly #fresh = new ScanBound()
  /** When the last look began that left nothing behind that was due. */
  #dueSeenAt = 0

  /** `aheadMs`: whoever waits looks again after that. */
  constructor(connection: Connection, statement: Statement, queue: number, aheadMs: number) {
    this.#connection = connection
    this.#statement = statement
    this.#queue = queue
    this.#aheadMs = aheadMs
  }

  /** 'outdated' when the queue has rules by now. */
  async claim(limit: number, leaseMs: number): Promise<Look | 'outdated'> {
    const from = this.#fresh.begin()
    const startedAt = performance.now()
    const lookBackMs = from === 0 ? foreverMs : ScanBound.lookBack(startedAt - this.#dueSeenAt)
    const parameters = [this.#queue, limit, leaseMs, from, lookBackMs, this.#aheadMs]
    const [first, ...rows] = await this.#connection.run<Row | Head>(this.#statement, parameters)
    const head = first as Head
    if (head.starts === states.ruled) return 'outdated'
    if (head.starts === states.paused) return { messages: [], dueMs: undefined }
    if (head.starts === states.lookAgain) return { messages: [], dueMs: 0, again: true }
    const messages = (rows as Row[]).sort(byAge)
    const due = messages.findIndex((row) => row.due === null)
    const dueCount = due === -1 ? messages.length : due
    const newest = dueCount < messages.length ? Number(messages.at(-1)!.id) : 0
    this.#fresh.done(from, performance.now() - startedAt, newest)
    if (dueCount < limit) this.#dueSeenAt = startedAt
    if (head.id === null) return { messages: [], dueMs: head.due ?? undefined }
    const token = head.id
    return { messages: messages.map((row) => toMessage(this.#queue, token, row)), dueMs: undefined }
  }
}

function byAge(a: Row, b: Row): number {
  const never = Number.POSITIVE_INFINITY
  const [first, second] = [a.due ?? never, b.due ?? never]
  return first === second ? Number(a.id) - Number(b.id) : first - second
}

function toMessage(queue: number, token: string, row: Row): ClaimedMessage {
  return {
    id: row.message_id,
    key: row.key ?? undefined,
    body: row.body,
    starts: row.starts ?? 1,
    suspect: row.suspect ?? false,
    lease: leaseOf(queue, row.id, token),
    fencingToken: Number(token),
    ...(row.redriven === null ? undefined : { redrivenAt: row.redriven }),
  }
}
