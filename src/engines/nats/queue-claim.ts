// Claiming: requests on the server are waited for, and taken over by the next claim when the one that made them was ended.
import { sleep, systemClock } from '../../core/clock.ts'
import type { ClaimedMessage, ClaimOptions } from '../../ports/queue.ts'
import type { Api } from './api.ts'
import type { Leases } from './leases.ts'
import type { Mailbox } from './mailbox.ts'
import type { Mark, Marks } from './marks.ts'
import { type Arrival, Pull } from './pull.ts'
import { readMessage } from './queue-message.ts'
import type { KnownQueue, Queues } from './queues.ts'

/** A request is made anew after that: the server may have lost it in silence. */
const maxPullMs = 20_000
const pauseMs = 100
const nanoseconds = 1_000_000

export class QueueClaim {
  readonly #api: Api
  readonly #queues: Queues
  readonly #leases: Leases
  readonly #marks: Marks
  /** For requests to be made. */
  readonly #free: Mailbox[] = []
  readonly #mailboxes = new Set<Mailbox>()
  readonly #closing = new AbortController()
  /** Requests whose claims were ended: what they bring is for the next, or given back. */
  readonly #abandoned = new Set<Pull>()
  readonly #givingBack = new Set<Promise<void>>()

  constructor(api: Api, queues: Queues, leases: Leases, marks: Marks) {
    this.#api = api
    this.#queues = queues
    this.#leases = leases
    this.#marks = marks
  }

  async claim(name: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    const queue = await this.#queues.get(name)
    const end = performance.now() + options.waitMs
    while (!this.#ended(options.signal)) {
      await this.#api.link.ready(this.#api.timeoutMs)
      const restMs = Math.max(0, end - performance.now())
      const pull =
        this.#adopt(queue, options) ??
        new Pull(this.#api, this.#mailbox(), queue, options.limit, Math.min(restMs, maxPullMs))
      await this.#settled(pull, options.waitMs === 0 ? this.#api.timeoutMs : restMs, options.signal)
      const arrivals = pull.take()
      if (pull.end === undefined) this.#abandon(pull)
      else this.#free.push(pull.mailbox)
      if (arrivals.length > 0) return await this.#lease(queue, arrivals, options)
      if (pull.end === 'absent') await this.#queues.check(name)
      if (performance.now() >= end) return []
      if (pull.end === 'refused' || pull.end === 'absent') await sleep(systemClock, 50)
    }
    return []
  }

  /** Ends the claims; what came for them and was not taken is given back. */
  async close(): Promise<void> {
    this.#closing.abort()
    if (this.#api.link.up) await Promise.all([...this.#mailboxes].map((mailbox) => mailbox.drain()))
    await Promise.all(this.#givingBack)
  }

  /**
   * Resolves when the request has ended; when it brought something, and then nothing for a pause; when it brought nothing in
   * `ms`; or when nobody wants it any more.
   */
  async #settled(pull: Pull, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const end = () => resolve()
    let cancelPause: (() => void) | undefined
    // The server says so at once when there is no more; unless it died meanwhile.
    const pause = () => {
      const seen = pull.arrivals.length
      cancelPause = systemClock.after(pauseMs, () => (pull.arrivals.length > seen ? pause() : end()))
    }
    pull.changed = () => {
      if (pull.end !== undefined) end()
      else if (pull.arrivals.length > 0 && cancelPause === undefined) pause()
    }
    pull.changed()
    // What is bringing something is let finish: the server ends it in its time.
    const cancel = systemClock.after(Math.ceil(ms), () => {
      if (cancelPause === undefined) end()
    })
    const { signal: closing } = this.#closing
    signal?.addEventListener('abort', end, { once: true })
    closing.addEventListener('abort', end, { once: true })
    if (this.#ended(signal)) end()
    await promise
    signal?.removeEventListener('abort', end)
    closing.removeEventListener('abort', end)
    cancel()
    cancelPause?.()
    pull.changed = () => {}
  }

  #mailbox(): Mailbox {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const mailbox = this.#api.link.openMailbox()
    this.#mailboxes.add(mailbox)
    return mailbox
  }

  #ended(signal: AbortSignal | undefined): boolean {
    return signal?.aborted === true || this.#closing.signal.aborted
  }

  #adopt(queue: KnownQueue, { limit, waitMs }: ClaimOptions): Pull | undefined {
    if (waitMs === 0) return undefined
    for (const pull of this.#abandoned) {
      if (pull.queue !== queue || pull.left > limit) continue
      this.#abandoned.delete(pull)
      return pull
    }
    return undefined
  }

  #abandon(pull: Pull): void {
    this.#abandoned.add(pull)
    pull.changed = () => {
      if (pull.end !== undefined && this.#abandoned.delete(pull)) this.#free.push(pull.mailbox)
      const arrivals = pull.take()
      if (arrivals.length === 0) return
      const work = this.#giveBack(pull.queue, arrivals)
      this.#givingBack.add(work)
      void work.finally(() => this.#givingBack.delete(work))
    }
    pull.changed()
  }

  async #lease(
    queue: KnownQueue,
    arrivals: readonly Arrival[],
    { leaseMs }: ClaimOptions,
  ): Promise<ClaimedMessage[]> {
    const until = performance.now() + leaseMs
    if (leaseMs !== queue.ackWaitMs) {
      const delay = `-NAK {"delay": ${Math.round(leaseMs * nanoseconds)}}`
      for (const { ackSubject } of arrivals) this.#api.link.publish(ackSubject, delay)
    }
    const marks = await this.#marksOf(queue, arrivals).catch(async (thrown) => {
      await this.#giveBack(queue, arrivals)
      throw thrown
    })
    return arrivals.map((arrival) => {
      const { sequence, delivery, ackSubject } = arrival
      const message = readMessage(arrival.data, sequence)
      const found = marks.get(sequence)
      const releases = found?.releases ?? 0
      const mark = found === undefined ? undefined : this.#leaseMark(queue, found)
      const lease = this.#leases.add({ ackSubject, sequence, delivery, message, releases, mark, until })
      return {
        id: message.id,
        key: message.key,
        body: message.body,
        starts: delivery - releases,
        // The server counts deliveries, and not how each of them ended.
        suspect: delivery - releases > 1,
        lease,
        fencingToken: message.token + delivery,
        ...(message.redrivenAt === undefined ? undefined : { redrivenAt: message.redrivenAt }),
      }
    })
  }

  /** Only what was delivered before can have one. */
  async #marksOf(queue: KnownQueue, arrivals: readonly Arrival[]): Promise<ReadonlyMap<number, Mark>> {
    const again = arrivals.filter(({ delivery }) => delivery > 1)
    const marks = await Promise.all(again.map(({ sequence }) => this.#marks.find(queue, sequence)))
    return new Map(marks.filter((mark) => mark !== undefined).map((mark) => [mark.sequence, mark]))
  }

  /** The message waits no more; how often it was given back is still to be known. */
  #leaseMark(queue: KnownQueue, found: Mark): Mark | undefined {
    if (found.dueAt === undefined) return found
    const mark = { ...found, dueAt: undefined }
    const kept = found.releases > 0 ? this.#marks.put(queue, mark) : Promise.resolve()
    void kept.then(
      () => this.#marks.remove(queue, found),
      () => {},
    )
    return found.releases > 0 ? mark : undefined
  }

  /** For nobody: a delivery that does not count. */
  async #giveBack(queue: KnownQueue, arrivals: readonly Arrival[]): Promise<void> {
    try {
      const marks = await this.#marksOf(queue, arrivals)
      await Promise.all(
        arrivals.map(async ({ sequence, delivery, ackSubject }) => {
          const found = marks.get(sequence)
          await this.#marks.put(queue, { sequence, delivery, releases: (found?.releases ?? 0) + 1, dueAt: 0 })
          this.#api.link.publish(ackSubject, '-NAK')
          if (found !== undefined) this.#marks.remove(queue, found)
        }),
      )
    } catch {
      // They come again when their leases end; a start too many is counted.
    }
  }
}
