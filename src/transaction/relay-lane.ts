// One destination of a relay: what waits for it is taken, sent and removed, in order. It rests while it is away, with no harm to others.
import { backoff, type RetryPolicy } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { asSpillwayError, type ErrorCode, type SpillwayError } from '../core/errors.ts'
import type { QueueFeature } from '../ports/capability.ts'
import type { Destination, Moved, OutboxPort, OutboxRow } from '../ports/database.ts'

/** How many rows are sent at once; while they are, as many are taken. */
const batch = 1_000
const resting: RetryPolicy = { attempts: 0, initialMs: 200, maxMs: 5_000 }
/** The message itself is to blame: it can never be sent. Everything else is a matter of its destination, and may pass. */
const hopeless: ReadonlySet<ErrorCode> = new Set(['TOO_LARGE', 'INVALID_DATA', 'INVALID_MESSAGE'])
/** There is no such destination. It may come with a deployment; after a while it is not waited for any longer. */
const nowhere: ReadonlySet<ErrorCode> = new Set(['UNKNOWN_QUEUE', 'UNKNOWN_STREAM', 'CAPABILITY_MISSING'])

/** What a message asks for by itself: an engine that lacks one of these takes the others of the queue all the same. */
const asked: ReadonlySet<unknown> = new Set<QueueFeature>(['delay', 'priority', 'dedup', 'groups', 'flow'])

/** Fewer than were asked for come where their bodies are long. */
const longBytes = 1_000_000

function mayBeMore(rows: readonly OutboxRow[]): boolean {
  return rows.length === batch || rows.reduce((sum, { body }) => sum + body.length, 0) >= longBytes
}

export interface LaneOptions {
  readonly outbox: OutboxPort
  readonly holder: string
  readonly clock: Clock
  /** `OutboxPort.move`, where the outbox has it and the destination may be in its database. */
  readonly move: ((limit: number) => Promise<Moved | undefined>) | undefined
  readonly send: (destination: Destination, rows: readonly OutboxRow[]) => Promise<unknown>
  /** Told once when a destination cannot be sent to, and again for another reason; and of every row that is set aside. */
  readonly report: (error: SpillwayError, messageId?: string) => void
  /** Whether it has to end after so many rows. */
  readonly isEnough: (sent: number) => boolean
  /** For how long a destination may be unknown before what is for it is set aside. */
  readonly unknownMs: number
}

export class Lane {
  readonly #destination: Destination
  readonly #options: LaneOptions
  /** Rows could not be moved when that was tried last. */
  #takes = false
  #restsUntil = 0
  #failures = 0
  #reported: ErrorCode | undefined
  #unknownSince: number | undefined

  constructor(destination: Destination, options: LaneOptions) {
    this.#destination = destination
    this.#options = options
  }

  /** It failed a moment ago, and is not tried yet. */
  get rests(): boolean {
    return this.#options.clock.elapsed() < this.#restsUntil
  }

  /** Whether it cannot go on before the relay has the lock. */
  get needsLock(): boolean {
    return this.#options.move === undefined || this.#takes
  }

  /** Moves what can be moved, with the lock or without; `needsLock` says whether anything is left. Rejects with what the outbox fails with. */
  async moveAll(): Promise<void> {
    this.#takes = !(await this.#moved())
  }

  /** Under the lock: sends until less waits than goes at once; what the destination fails with makes it rest. Rejects as `moveAll`. */
  async drain(): Promise<void> {
    if (this.#options.move !== undefined) await this.moveAll()
    if (this.needsLock) await this.#takeAndSend()
  }

  /** False when rows must be taken and sent, which may be others than those that were there. */
  async #moved(): Promise<boolean> {
    const { move, isEnough } = this.#options
    for (let sent = 0; !isEnough(sent); ) {
      const moved = await move!(batch)
      if (moved === undefined) return false
      sent += moved.rows
      if (moved.rows > 0) this.#isWell()
      if (!moved.more) break
    }
    return true
  }

  async #takeAndSend(): Promise<void> {
    const { outbox, holder, isEnough } = this.#options
    const take = (after?: number) => outbox.take(holder, this.#destination, batch, after)
    let removing: Promise<void> = Promise.resolve()
    let taking: Promise<OutboxRow[]> | undefined = take()
    let sent = 0
    try {
      while (taking !== undefined && !isEnough(sent)) {
        const rows: OutboxRow[] = await taking
        taking = undefined
        if (rows.length === 0) break
        if (mayBeMore(rows)) {
          taking = take(rows.at(-1)!.sequence)
          taking.catch(() => {})
        }
        if (!(await this.#sendOrRest(rows, () => removing))) break
        await removing
        removing = outbox.remove(rows)
        removing.catch(() => {})
        sent += rows.length
      }
    } finally {
      // Nothing of it goes on when it has ended.
      await taking?.catch(() => {})
      await removing
    }
  }

  /** False when it rests now. Rows that were set aside are gone from the outbox: removing them again does nothing. */
  async #sendOrRest(rows: readonly OutboxRow[], removed: () => Promise<void>): Promise<boolean> {
    const { send } = this.#options
    try {
      await send(this.#destination, rows)
    } catch (thrown) {
      const error = asSpillwayError(thrown)
      if (!this.#isHopeless(error)) {
        this.#rest(error)
        return false
      }
      // Those before them are out of the way first.
      await removed()
      for (const [at, row] of rows.entries())
        if (!(await this.#sendOrSetAside(row))) {
          await this.#options.outbox.remove(rows.slice(0, at))
          return false
        }
    }
    this.#isWell()
    return true
  }

  #isWell(): void {
    this.#restsUntil = 0
    this.#failures = 0
    this.#reported = undefined
    this.#unknownSince = undefined
  }

  async #sendOrSetAside(row: OutboxRow): Promise<boolean> {
    const { send, outbox, report } = this.#options
    try {
      await send(this.#destination, [row])
    } catch (thrown) {
      const error = asSpillwayError(thrown)
      if (!this.#isHopeless(error)) {
        this.#rest(error)
        return false
      }
      report(error, row.id)
      await outbox.setAside(row, `${error.code}: ${error.message}`)
    }
    return true
  }

  #isHopeless({ code, details }: SpillwayError): boolean {
    if (hopeless.has(code)) return true
    if (code === 'CAPABILITY_MISSING' && asked.has(details?.feature)) return true
    // It carries what its queue has no rule for, or no more: the others of the queue must not wait for a rule to come back.
    if (code === 'INVALID_OPTION' && this.#destination.kind === 'queue') return true
    const { clock, unknownMs } = this.#options
    this.#unknownSince = nowhere.has(code) ? (this.#unknownSince ?? clock.elapsed()) : undefined
    return this.#unknownSince !== undefined && clock.elapsed() - this.#unknownSince >= unknownMs
  }

  #rest(error: SpillwayError): void {
    this.#failures += 1
    this.#restsUntil = this.#options.clock.elapsed() + 50 + backoff(resting, this.#failures)
    if (this.#reported === error.code) return
    this.#reported = error.code
    this.#options.report(error)
  }
}
