// The forwarder of an inbox in the mode `store`: brings messages of a queue from its engine to where their receiver keeps them, and only
// then says that they are done. A crash in between brings them again: with the same id, which the inbox of who handles them knows.
import { backoff, type RetryPolicy } from '../core/backoff.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { asSpillwayError, isFinal, isSpillwayError, SpillwayError } from '../core/errors.ts'
import { type Background, background } from '../core/lifecycle.ts'
import { reasonText } from '../core/outcome.ts'
import type { OnReport } from '../core/report.ts'
import type { ClaimedMessage, OutgoingMessage, QueuePort, Settlement } from '../ports/queue.ts'
import type { QueueRules } from '../ports/queue-rules.ts'
import { carriedBy } from '../queue/outgoing.ts'
import { fireSchedules } from '../queue/schedule-runner.ts'

/** A queue on an engine. */
export interface QueueAt {
  readonly port: QueuePort
  readonly queue: string
}

export interface ForwarderOptions {
  readonly from: QueueAt
  readonly to: QueueAt
  /** Of both. */
  readonly rules: QueueRules
  /** It takes no more while so many wait where they are kept, or are handled; others like it may each bring a batch beyond. */
  readonly most: number
  /** How long a silent process keeps what it has claimed and not saved. */
  readonly leaseMs: number
  readonly clock: Clock
  readonly onReport: OnReport
}

const batch = 100
const claimWaitMs = 30_000
/** How soon to look again whether there is room. */
const fullMs = 100
const pausing: RetryPolicy = { attempts: 0, initialMs: 100, maxMs: 5_000 }

/** Runs until it is stopped. It fires the schedules of the queue too, as a consumer would. */
export function forward(options: ForwarderOptions): Background {
  const { from, clock, onReport } = options
  return background(async ({ stopping }) => {
    const firing = fireSchedules(from.queue, from.port, clock, onReport, stopping)
    try {
      await new Forwarder(options).run(stopping)
    } finally {
      await firing.end()
    }
  }, clock)
}

class Forwarder {
  readonly #options: ForwarderOptions
  /** How many more may be brought before it is looked again how many there are. */
  #room = 0

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  async run(stopping: AbortSignal): Promise<void> {
    const { clock } = this.#options
    let failures = 0
    while (!stopping.aborted) {
      try {
        const full = !(await this.#hasRoom())
        if (full) await sleep(clock, fullMs, stopping).catch(() => {})
        else await this.#bring(stopping)
        failures = 0
      } catch (thrown) {
        if (isFinal(thrown)) throw thrown
        failures += 1
        this.#report(asSpillwayError(thrown))
        await sleep(clock, 20 + backoff(pausing, failures), stopping).catch(() => {})
      }
    }
  }

  async #hasRoom(): Promise<boolean> {
    if (this.#room > 0) return true
    const { to, most } = this.#options
    const { ready, delayed, waiting, leased } = await to.port.count(to.queue)
    this.#room = Math.min(batch, most - ready - delayed - waiting - leased)
    return this.#room > 0
  }

  async #bring(stopping: AbortSignal): Promise<void> {
    const { from } = this.#options
    const leaseMs = Math.max(this.#options.leaseMs, from.port.limits.minLeaseMs)
    const limit = Math.min(batch, this.#room)
    const found = await from.port.claim(from.queue, { limit, leaseMs, waitMs: claimWaitMs, signal: stopping })
    if (found.length === 0) return
    this.#room -= found.length
    let settlements: readonly Settlement[]
    try {
      settlements = await this.#save(found)
    } catch (thrown) {
      // Nothing of it is lost, nor a start counted; should some be saved, they come again, and are known.
      const back = found.map(({ lease }): Settlement => ({ lease, kind: 'release' }))
      await from.port.settle(from.queue, back).catch(() => {})
      throw thrown
    }
    await from.port.settle(from.queue, settlements)
  }

  /** Resolves when they are durable, with what becomes of each where it came from. */
  async #save(found: readonly ClaimedMessage[]): Promise<Settlement[]> {
    const { to } = this.#options
    const done = ({ lease }: ClaimedMessage): Settlement => ({ lease, kind: 'done' })
    try {
      await to.port.send(
        to.queue,
        found.map((message) => this.#outgoing(message)),
      )
      return found.map(done)
    } catch (thrown) {
      if (!isSpillwayError(thrown, 'TOO_LARGE')) throw thrown
      if (found.length > 1) return (await this.#oneByOne(found)).flat()
      const [message] = found as [ClaimedMessage]
      const what = `Message ${message.id} of ${this.#options.from.queue} is larger than its receiver can keep.`
      const error = new SpillwayError('TOO_LARGE', what, { cause: thrown, remedy: 'It is a dead letter.' })
      this.#report(error, message.id)
      return [{ lease: message.lease, kind: 'dead-letter', reason: reasonText(error.message) }]
    }
  }

  async #oneByOne(found: readonly ClaimedMessage[]): Promise<Settlement[][]> {
    const all: Settlement[][] = []
    for (const message of found) all.push(await this.#save([message]))
    return all
  }

  /** The same message, with what it carries for the rules. Its delay has passed: it was claimed. */
  #outgoing({ id, key, body }: ClaimedMessage): OutgoingMessage {
    const { rules, clock } = this.#options
    const { priority, group } = carriedOrNothing(body, clock.now())
    return {
      id,
      key,
      body,
      ...(rules.priority && priority !== undefined ? { priority } : {}),
      ...(rules.groups && group !== undefined ? { group } : {}),
    }
  }

  #report(error: SpillwayError, messageId?: string): void {
    const from = `the forwarder of ${this.#options.from.queue}`
    this.#options.onReport({ from, error, ...(messageId === undefined ? {} : { messageId }) })
  }
}

/** One that cannot be read is kept like the others: who handles it says what is wrong with it. */
function carriedOrNothing(body: string, now: number): ReturnType<typeof carriedBy> {
  try {
    return carriedBy(body, now)
  } catch {
    return {}
  }
}
