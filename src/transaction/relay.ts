// The relay: moves committed messages from a service's outbox to their destinations, in order, again after a crash.
import { backoff, type RetryPolicy } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { asSpillwayError, type ErrorCode, type SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import { type Background, background } from '../core/lifecycle.ts'
import type { OnReport } from '../core/report.ts'
import type { Destination, OutboxPort, OutboxRow } from '../ports/database.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { StreamPort } from '../ports/stream.ts'
import { carriedBy } from '../queue/outgoing.ts'
import { recordOf } from './outgoing-record.ts'

/** Finds where messages go. Throws UNKNOWN_QUEUE or UNKNOWN_STREAM for what does not exist. */
export interface Destinations {
  queue(name: string): QueuePort
  stream(name: string): Promise<{ readonly port: StreamPort; readonly partitions: number }>
}

export interface RelayOptions {
  readonly service: string
  readonly onReport?: OnReport
  readonly clock?: Clock
  /** How often to look when nobody wakes it. Default 500 ms. */
  readonly pollMs?: number
}

/** `stop` sends what is in the outbox by then, as far as the deadline lets it; the rest is sent after the next start. */
export interface Relay extends Background {
  /** Look now: something was committed. */
  wake(): void
}

const batch = 500
/** How long a relay that dies keeps the others waiting. One that is merely slow is overtaken, which only repeats messages. */
const lockMs = 3_000
/** How soon to ask again for a lock that another process holds, while a message of ours may wait for it. */
const contendedMs = 20
const pausing: RetryPolicy = { attempts: 0, initialMs: 200, maxMs: 5_000 }
/** The message itself is to blame: it can never be sent. Everything else is a matter of its destination, and may pass. */
const hopeless: ReadonlySet<ErrorCode> = new Set(['TOO_LARGE', 'INVALID_DATA', 'INVALID_MESSAGE'])

export function relay(outbox: OutboxPort, destinations: Destinations, options: RelayOptions): Relay {
  const worker = new Worker(outbox, destinations, options)
  const running = background((signals) => worker.run(signals), options.clock)
  return { ...running, [Symbol.asyncDispose]: running[Symbol.asyncDispose], wake: () => worker.wake() }
}

class Worker {
  readonly #outbox: OutboxPort
  readonly #destinations: Destinations
  readonly #options: RelayOptions
  readonly #clock: Clock
  readonly #holder: string = newId()
  /** Destinations that failed: when to try them again, and how often they failed in a row. */
  readonly #paused = new Map<string, { readonly until: number; readonly failures: number }>()
  #woken = false
  #wake: (() => void) | undefined
  /** At the stop: how many rows were there. A destination that was sent as many has none of them left. */
  #last: number | undefined
  #abandoned = false

  constructor(outbox: OutboxPort, destinations: Destinations, options: RelayOptions) {
    this.#outbox = outbox
    this.#destinations = destinations
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Ends soon after `stopping`; at `abandon` at once, whatever is still under way. */
  async run({ stopping, abandon }: Parameters<Parameters<typeof background>[0]>[0]): Promise<void> {
    const abandoned = Promise.withResolvers<void>()
    const onAbandon = () => {
      this.#abandoned = true
      abandoned.resolve()
    }
    stopping.addEventListener('abort', () => this.#wake?.(), { once: true })
    abandon.addEventListener('abort', onAbandon, { once: true })
    await Promise.race([this.#work(stopping), abandoned.promise])
  }

  async #work(stopping: AbortSignal): Promise<void> {
    let failures = 0
    while (!stopping.aborted) {
      this.#woken = false
      let contended = false
      try {
        contended = !(await this.#drain(stopping))
        failures = 0
      } catch (thrown) {
        failures += 1
        this.#report(asSpillwayError(thrown))
      }
      const retryMs = 50 + backoff(pausing, failures)
      const pollMs = contended ? contendedMs : (this.#options.pollMs ?? 500)
      if (!stopping.aborted) await this.#wait(failures > 0 ? retryMs : pollMs)
    }
    try {
      this.#last = (await this.#outbox.count()).waiting
      await this.#drain(stopping)
    } catch (thrown) {
      this.#report(asSpillwayError(thrown))
    }
  }

  async #wait(ms: number): Promise<void> {
    if (this.#woken) return
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(ms, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** Sends what waits: until nothing does, or once when the stop came. False when another relay holds the lock. */
  async #drain(stopping: AbortSignal): Promise<boolean> {
    let pending = await this.#outbox.pending()
    if (pending.length === 0) return true
    if (!(await this.#outbox.lock(this.#holder, lockMs))) return false
    try {
      // What was said to have rows is always taken from: another look may find less.
      for (; ; pending = await this.#outbox.pending()) {
        const now = this.#clock.elapsed()
        pending = pending.filter((to) => (this.#paused.get(nameOf(to))?.until ?? 0) <= now)
        if (pending.length === 0) return true
        await Promise.all(pending.map((destination) => this.#drainTo(destination, stopping)))
        if (stopping.aborted) return true
        if (!(await this.#outbox.lock(this.#holder, lockMs))) return false
      }
    } finally {
      await this.#outbox.unlock(this.#holder)
    }
  }

  async #drainTo(destination: Destination, stopping: AbortSignal): Promise<void> {
    let lockedAt = this.#clock.elapsed()
    for (let sent = 0; !this.#isEnough(sent, stopping); ) {
      const rows = await this.#outbox.take(this.#holder, destination, batch)
      if (rows.length === 0) return
      try {
        await this.#sendOrSetAside(destination, rows)
        this.#paused.delete(nameOf(destination))
      } catch (thrown) {
        this.#pause(destination, asSpillwayError(thrown))
        return
      }
      sent += rows.length
      // A destination that is never empty would keep one that was empty so far waiting: that is looked for between rounds.
      if (rows.length < batch && !stopping.aborted) return
      if (this.#clock.elapsed() - lockedAt > lockMs / 3) {
        if (!(await this.#outbox.lock(this.#holder, lockMs))) return
        lockedAt = this.#clock.elapsed()
      }
    }
  }

  /** Others may go on committing: a stop waits for what was there when it came. */
  #isEnough(sent: number, stopping: AbortSignal): boolean {
    return this.#abandoned || (stopping.aborted && sent >= (this.#last ?? 0))
  }

  /** A batch that can never be sent is sent row by row, and the rows to blame are set aside. */
  async #sendOrSetAside(destination: Destination, rows: readonly OutboxRow[]): Promise<void> {
    try {
      await this.#send(destination, rows)
      await this.#outbox.remove(rows)
      return
    } catch (thrown) {
      const error = asSpillwayError(thrown)
      if (!hopeless.has(error.code)) throw error
      if (rows.length === 1) {
        this.#report(error, rows[0]!.id)
        await this.#outbox.setAside(rows[0]!, error.message)
        return
      }
    }
    for (const row of rows) await this.#sendOrSetAside(destination, [row])
  }

  async #send(destination: Destination, rows: readonly OutboxRow[]): Promise<void> {
    if (destination.kind === 'queue') {
      const now = this.#clock.now()
      const messages = rows.map((row) => {
        const { id, key, body } = row
        return { id, key, body: this.#numbered(row), ...carriedBy(body, now) }
      })
      // A duplicate of a message that is there already is sent: that one will do the work.
      await this.#destinations.queue(destination.name).send(destination.name, messages)
      return
    }
    const { port, partitions } = await this.#destinations.stream(destination.name)
    const records = rows.map((row) => recordOf({ ...row, body: this.#numbered(row) }, partitions))
    await port.append(destination.name, records)
  }

  /** The envelope with the attributes that let a receiver recognise a message sent twice. It is a JSON object that we wrote. */
  #numbered(row: OutboxRow): string {
    return `${row.body.slice(0, -1)},"producerid":"${this.#outbox.producerId}","sequence":"${row.sequence}"}`
  }

  #pause(destination: Destination, error: SpillwayError): void {
    const failures = (this.#paused.get(nameOf(destination))?.failures ?? 0) + 1
    const until = this.#clock.elapsed() + 50 + backoff(pausing, failures)
    this.#paused.set(nameOf(destination), { until, failures })
    this.#report(error)
  }

  #report(error: SpillwayError, messageId?: string): void {
    // What fails after that was given up already.
    if (this.#abandoned) return
    this.#options.onReport?.({ from: `the relay of ${this.#options.service}`, error, messageId })
  }
}

function nameOf(destination: Destination): string {
  return `${destination.kind} ${destination.name}`
}
