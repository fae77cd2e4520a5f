// The relay: moves committed messages from a service's outbox to their destinations, in order, again after a crash.
import { backoff, type RetryPolicy } from '../core/backoff.ts'
import { type Clock, sleep, systemClock } from '../core/clock.ts'
import { numbered } from '../core/envelope.ts'
import { asSpillwayError, type SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import { type Background, background } from '../core/lifecycle.ts'
import type { OnReport } from '../core/report.ts'
import type { Destination, Moved, OutboxPort, OutboxRow } from '../ports/database.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { StreamPort } from '../ports/stream.ts'
import { carriedBy } from '../queue/outgoing.ts'
import { recordOf } from './outgoing-record.ts'
import { Lane } from './relay-lane.ts'

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
  /** For how long a queue or stream may be unknown to its engine before what is for it is set aside. Default an hour. */
  readonly unknownMs?: number
}

/** `stop` sends what is in the outbox by then, as far as the deadline lets it; the rest is sent after the next start. */
export interface Relay extends Background {
  /** Look now: something was committed. `to`: all of it is for these. */
  wake(to?: readonly Destination[]): void
}

/** How many destinations are remembered that somebody named; more, and all are looked for. */
const maxNamed = 1_000
/** How long a relay that dies keeps the others waiting. One that is merely slow is overtaken, which only repeats messages. */
const lockMs = 3_000
const renewMs = lockMs / 3
/** How soon to ask again for a lock that another process holds, while a message of ours may wait for it; then later each time, up to the poll. */
const contendedMs = 20
const failing: RetryPolicy = { attempts: 0, initialMs: 200, maxMs: 5_000 }

export function relay(outbox: OutboxPort, destinations: Destinations, options: RelayOptions): Relay {
  const worker = new Worker(outbox, destinations, options)
  const running = background((signals) => worker.run(signals), options.clock)
  return { ...running, [Symbol.asyncDispose]: running[Symbol.asyncDispose], wake: (to) => worker.wake(to) }
}

class Worker {
  readonly #outbox: OutboxPort
  readonly #destinations: Destinations
  readonly #options: RelayOptions
  readonly #clock: Clock
  readonly #holder: string = newId()
  readonly #lanes = new Map<string, Lane>()
  /** Destinations that are being sent to. */
  readonly #moving = new Map<string, Promise<void>>()
  /** How many of them need the lock. */
  #draining = 0
  /** What was named since it was last moved; undefined: anything may have come. */
  #named: Map<string, Destination> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Until when the lock is surely ours; none is held before it was taken. */
  #renewAt: number | undefined
  #failure: SpillwayError | undefined
  /** How often in a row another relay had the lock since it was woken last. */
  #refusals = 0
  #woken = false
  #wake: (() => void) | undefined
  #stopping = false
  /** At the stop: how many rows were there. A destination that was sent as many has none of them left. */
  #last = 0
  #abandoned = false

  constructor(outbox: OutboxPort, destinations: Destinations, options: RelayOptions) {
    this.#outbox = outbox
    this.#destinations = destinations
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  wake(to?: readonly Destination[]): void {
    if (to === undefined) this.#named = undefined
    for (const destination of to ?? []) this.#named?.set(nameOf(destination), destination)
    if ((this.#named?.size ?? 0) > maxNamed) this.#named = undefined
    this.#refusals = 0
    this.#stir()
  }

  /** Ends soon after `stopping`; at `abandon` at once, whatever is still under way. */
  async run({ stopping, abandon }: Parameters<Parameters<typeof background>[0]>[0]): Promise<void> {
    const abandoned = Promise.withResolvers<void>()
    const onAbandon = () => {
      this.#abandoned = true
      abandoned.resolve()
    }
    const onStop = () => {
      this.#stopping = true
      this.#stir()
    }
    stopping.addEventListener('abort', onStop, { once: true })
    if (stopping.aborted) onStop()
    abandon.addEventListener('abort', onAbandon, { once: true })
    await Promise.race([this.#work(), abandoned.promise])
  }

  async #work(): Promise<void> {
    let failures = 0
    while (!this.#stopping) {
      this.#woken = false
      let waitMs: number
      try {
        const locked = await this.#round()
        waitMs = locked
          ? this.#lookedAt + this.#pollMs - this.#clock.elapsed()
          : Math.min(contendedMs * 2 ** this.#refusals, this.#pollMs)
        this.#refusals = locked ? 0 : this.#refusals + 1
        failures = 0
      } catch (thrown) {
        failures += 1
        waitMs = 50 + backoff(failing, failures)
        this.#named = undefined
        // Told once for a reason; what is away for long is not told of again and again.
        if (failures === 1) this.#report(asSpillwayError(thrown))
      }
      if (!this.#stopping) await this.#wait(Math.min(Math.max(waitMs, 1), renewMs))
    }
    await this.#finish()
  }

  get #pollMs(): number {
    return this.#options.pollMs ?? 500
  }

  #stir(): void {
    this.#woken = true
    this.#wake?.()
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

  /** Sets in motion what waits and is not moving. False when another relay holds the lock. */
  async #round(): Promise<boolean> {
    this.#throwFailure()
    const waiting = (await this.#whatWaits()).filter(
      (to) => !this.#moving.has(nameOf(to)) && !this.#lane(to).rests,
    )
    const locking = waiting.filter((to) => this.#lane(to).needsLock)
    for (const to of waiting) if (!locking.includes(to)) this.#move(to, (lane) => lane.moveAll())
    if (locking.length === 0 && this.#draining === 0) {
      await this.#unlock()
      return true
    }
    if (!(await this.#locked())) {
      // Named again or not, it waits for the lock.
      this.#named = undefined
      return false
    }
    for (const to of locking) this.#drain(to)
    return true
  }

  /** What was named, where that is all that can have come; now and then, and when there is no telling, what the outbox says. */
  async #whatWaits(): Promise<readonly Destination[]> {
    const named = this.#named
    if (named !== undefined && this.#clock.elapsed() - this.#lookedAt < this.#pollMs)
      return [...named.values()]
    this.#lookedAt = this.#clock.elapsed()
    // What is named from now on may be missing from the look.
    this.#named = new Map()
    return await this.#outbox.pending()
  }

  /** Under the lock. */
  #drain(to: Destination): void {
    this.#draining += 1
    this.#move(to, (lane) =>
      lane.drain().finally(() => {
        this.#draining -= 1
      }),
    )
  }

  #move(to: Destination, how: (lane: Lane) => Promise<void>): void {
    const name = nameOf(to)
    const lane = this.#lane(to)
    const needed = lane.needsLock
    this.#named?.delete(name)
    const moved = how(lane)
      .catch((thrown: unknown) => {
        this.#failure ??= asSpillwayError(thrown)
      })
      .finally(() => {
        this.#moving.delete(name)
        if (lane.needsLock && !needed) this.#named?.set(name, to)
        this.#stir()
      })
    this.#moving.set(name, moved)
  }

  #lane(to: Destination): Lane {
    const name = nameOf(to)
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = new Lane(to, {
        outbox: this.#outbox,
        holder: this.#holder,
        clock: this.#clock,
        move: to.kind === 'stream' && this.#outbox.move ? (limit) => this.#moveWithin(to, limit) : undefined,
        send: (destination, rows) => this.#send(destination, rows),
        report: (error, messageId) => this.#report(error, messageId),
        isEnough: (sent) => this.#abandoned || (this.#stopping && sent >= this.#last),
        unknownMs: this.#options.unknownMs ?? 3_600_000,
      })
      this.#lanes.set(name, lane)
    }
    return lane
  }

  /** Takes the lock, or renews it in time. */
  async #locked(): Promise<boolean> {
    const now = this.#clock.elapsed()
    if (this.#renewAt !== undefined && now < this.#renewAt) return true
    const locked = await this.#outbox.lock(this.#holder, lockMs)
    this.#renewAt = locked ? now + renewMs : undefined
    return locked
  }

  async #unlock(): Promise<void> {
    if (this.#renewAt === undefined) return
    this.#renewAt = undefined
    await this.#outbox.unlock(this.#holder)
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure
  }

  /** Others may go on committing: a stop waits for what was there when it came. */
  async #finish(): Promise<void> {
    try {
      await Promise.all(this.#moving.values())
      this.#throwFailure()
      this.#last = (await this.#outbox.count()).waiting
      const waiting = this.#last === 0 ? [] : await this.#outbox.pending()
      if (waiting.length > 0 && (await this.#locked()))
        for (const to of waiting) if (!this.#lane(to).rests) this.#drain(to)
      while (this.#moving.size > 0 && !this.#abandoned) {
        await this.#locked()
        await Promise.race([...this.#moving.values(), sleep(this.#clock, renewMs)])
      }
      await this.#unlock()
      this.#throwFailure()
    } catch (thrown) {
      this.#report(asSpillwayError(thrown))
    }
  }

  /** Undefined where the outbox and the stream are not in one database, and where that is not known now. */
  async #moveWithin(to: Destination, limit: number): Promise<Moved | undefined> {
    // Whoever sends to it hears of what is wrong with it.
    const found = await this.#destinations.stream(to.name).catch(() => undefined)
    const home = found?.port.home
    if (home === undefined) return undefined
    const { partitions } = found!
    return await this.#outbox.move!(this.#holder, to, limit, { home, partitions })
  }

  async #send(destination: Destination, rows: readonly OutboxRow[]): Promise<void> {
    const { producerId } = this.#outbox
    const bodyOf = ({ body, sequence, retriedAt }: OutboxRow) =>
      numbered(body, producerId, sequence, retriedAt)
    if (destination.kind === 'queue') {
      const now = this.#clock.now()
      const messages = rows.map((row) => {
        const { id, key, body } = row
        return { id, key, body: bodyOf(row), ...carriedBy(body, now) }
      })
      // A duplicate of a message that is there already is sent: that one will do the work.
      await this.#destinations.queue(destination.name).send(destination.name, messages)
      return
    }
    const { port, partitions } = await this.#destinations.stream(destination.name)
    const records = rows.map((row) => recordOf({ ...row, body: bodyOf(row) }, partitions))
    await port.append(destination.name, records)
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
