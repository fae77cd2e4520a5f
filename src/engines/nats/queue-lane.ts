// The messages of one queue on their way to the server: what waits goes together, in one batch where the server has
// batches, else one behind the other.
import type { Msg } from '@nats-io/transport-node'
import { sleep, systemClock } from '../../core/clock.ts'
import { newId } from '../../core/id.ts'
import { type Api, readPubAck } from './api.ts'
import { apiCode, Fault, isFault, translate } from './errors.ts'
import { isAbsent } from './link.ts'
import { Pace, type Way } from './pace.ts'
import type { KnownQueue } from './queues.ts'
import { expiring, latest, type WriteCall } from './write-call.ts'

export interface QueuedMessage {
  readonly payload: string
  readonly bytes: number
  readonly call: WriteCall
}

/** The most that a server takes as one. */
const maxMessages = 1_000
const maxBytes = 4 * 1024 * 1024
const attemptMs = 5_000
const eachOfAny: ReturnType<Pace['next']> = { way: 'each', limit: maxMessages }

interface Part {
  readonly messages: readonly QueuedMessage[]
  readonly way: Way
  /** By which the server knows what it has already. */
  readonly id: string
}

export class QueueLane {
  readonly #api: Api
  readonly #queue: KnownQueue
  /** Rejects when the queue is gone from the server. */
  readonly #check: () => Promise<void>
  readonly #pace = new Pace()
  #waiting: QueuedMessage[] = []
  /** How many at the beginning are taken already. */
  #taken = 0
  #active = false

  constructor(api: Api, queue: KnownQueue, check: () => Promise<void>) {
    this.#api = api
    this.#queue = queue
    this.#check = check
  }

  push(message: QueuedMessage): void {
    this.#waiting.push(message)
    if (this.#active) return
    this.#active = true
    // When the promises of this turn have run, so that the calls that they make go together.
    process.nextTick(() => void this.#run())
  }

  /** One part after the other: were a later one stored before an earlier one is tried again, the order would be lost. */
  async #run(): Promise<void> {
    for (let part = this.#next(); part.messages.length > 0; part = this.#next()) await this.#store(part)
    this.#active = false
  }

  #next(): Part {
    const { way, limit } = this.#queue.atomic ? this.#pace.next() : eachOfAny
    const messages: QueuedMessage[] = []
    let bytes = 0
    let at = this.#taken
    for (; at < this.#waiting.length && messages.length < Math.min(limit, maxMessages); at++) {
      const message = this.#waiting[at]!
      // Some of the call failed: the rest of it is not stored.
      if (message.call.settled) continue
      bytes += message.bytes
      if (bytes > maxBytes && messages.length > 0) break
      messages.push(message)
    }
    this.#taken = at
    if (at === this.#waiting.length || at > 20_000) {
      this.#waiting = this.#waiting.slice(at)
      this.#taken = 0
    }
    return { messages, way: messages.length > 1 ? way : 'each', id: newId() }
  }

  async #store(part: Part): Promise<void> {
    const { messages } = part
    const calls = new Set(messages.map(({ call }) => call))
    // Once it may have arrived, no later answer says that it did not; and it may while others of the part still wait for it.
    let unsure = false
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      const startedAt = performance.now()
      const doing = `sending to '${this.#queue.name}'`
      const late = () =>
        translate(new Fault('SILENT', 'no answer came in time'), `${doing} (whether it is stored is unknown)`)
      const settle = expiring(calls, late)
      try {
        await this.#try(part, Math.max(1, Math.min(attemptMs, latest(calls) - startedAt)))
        this.#pace.note(part.way, messages.length, performance.now() - startedAt)
        for (const { call } of messages) call.storedPart()
        return
      } catch (thrown) {
        const failure = await this.#judge(thrown)
        const passing = failure instanceof Fault && failure.passing
        unsure ||= failure instanceof Fault && failure.ambiguous
        const end = performance.now() + pauseMs
        const stored =
          unsure || (passing && latest(calls) > end)
            ? 'whether it is stored is unknown'
            : 'not all of it is stored'
        for (const call of calls)
          if (!passing || call.failAt <= end) call.fail(translate(failure, `${doing} (${stored})`))
        if (messages.every(({ call }) => call.settled)) return
        await sleep(systemClock, pauseMs)
      } finally {
        settle()
      }
    }
  }

  async #judge(thrown: unknown): Promise<unknown> {
    if (!(thrown instanceof Fault && thrown.kind === 'ABSENT')) return thrown
    return await this.#check().then(
      () => thrown,
      (gone) => gone,
    )
  }

  async #try(part: Part, ms: number): Promise<void> {
    await this.#api.link.ready(ms)
    if (part.way === 'each') return await this.#sendEach(part, ms)
    try {
      await this.#sendBatch(part, ms)
    } catch (thrown) {
      // An answer was lost, and it is stored.
      if (!isFault(thrown, apiCode.batchIsDuplicate)) throw thrown
    }
  }

  async #sendBatch({ messages, id }: Part, ms: number): Promise<void> {
    const { work } = this.#queue.names
    const batch = newId()
    const answer = this.#await(1, ms)
    for (const [at, { payload }] of messages.entries()) {
      const headers: Record<string, string> = {
        'Nats-Batch-Id': batch,
        'Nats-Batch-Sequence': String(at + 1),
      }
      if (at === 0) headers['Nats-Msg-Id'] = id
      if (at === messages.length - 1) headers['Nats-Batch-Commit'] = '1'
      const last = at === messages.length - 1
      this.#api.link.publish(work, payload, last ? answer.subject : undefined, headers)
    }
    await answer.outcome
  }

  async #sendEach({ messages, id }: Part, ms: number): Promise<void> {
    const answers = this.#await(messages.length, ms)
    for (const [at, { payload }] of messages.entries())
      this.#api.link.publish(this.#queue.names.work, payload, answers.subject, {
        'Nats-Msg-Id': `${id}${at}`,
      })
    await answers.outcome
  }

  /** Resolves when so many answers came, rejects when one of them says no, or when none comes any more. */
  #await(count: number, ms: number): { readonly subject: string; readonly outcome: Promise<void> } {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let left = count
    let failure: unknown
    const end = (fault: unknown) => {
      cancel()
      forget()
      place.close()
      if (fault === undefined) resolve()
      else reject(fault)
    }
    const place = this.#api.link.inbox.open((answer: Msg) => {
      try {
        if (isAbsent(answer)) throw new Fault('ABSENT', `nothing answers to ${this.#queue.names.work}`)
        readPubAck(answer)
      } catch (thrown) {
        failure ??= thrown
      }
      if (--left === 0) end(failure)
    })
    const forget = this.#api.link.listen({ broken: () => end(new Fault('NETWORK', 'the connection broke')) })
    const cancel = systemClock.after(ms, () =>
      end(new Fault('SILENT', `no answer within ${Math.round(ms)} ms`)),
    )
    return { subject: place.subject, outcome: promise }
  }
}
