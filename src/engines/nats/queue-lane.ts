// The messages of one queue on their way to the server: what waits goes together, in one batch where the server has
// batches, else one behind the other.
import type { Msg } from '@nats-io/transport-node'
import { sleep, systemClock } from '../../core/clock.ts'
import { newId } from '../../core/id.ts'
import { type Api, readPubAck } from './api.ts'
import { Fault, translate } from './errors.ts'
import { isAbsent } from './link.ts'
import type { KnownQueue } from './queues.ts'
import type { WriteCall } from './write-call.ts'

export interface QueuedMessage {
  readonly payload: string
  readonly bytes: number
  readonly call: WriteCall
}

interface Failed {
  readonly failure: unknown
  readonly stored: 'it is not stored' | 'some of it is stored' | 'whether it is stored is unknown'
}

/** The most that a server takes as one. */
const maxMessages = 1_000
const maxBytes = 4 * 1024 * 1024
/** While one is being stored the next is on its way. */
const maxUnderWay = 2

export class QueueLane {
  readonly #api: Api
  readonly #queue: KnownQueue
  /** Rejects when the queue is gone from the server. */
  readonly #check: () => Promise<void>
  #waiting: QueuedMessage[] = []
  #taken = 0
  #underWay = 0
  #scheduled = false

  constructor(api: Api, queue: KnownQueue, check: () => Promise<void>) {
    this.#api = api
    this.#queue = queue
    this.#check = check
  }

  push(message: QueuedMessage): void {
    this.#waiting.push(message)
    if (this.#scheduled || this.#underWay >= maxUnderWay) return
    this.#scheduled = true
    // When the promises of this turn have run, so that the calls that they make go together.
    process.nextTick(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#underWay < maxUnderWay) {
      const part = this.#next()
      if (part.length === 0) return
      this.#underWay += 1
      void this.#send(part).finally(() => {
        this.#underWay -= 1
        this.#pump()
      })
    }
  }

  #next(): QueuedMessage[] {
    const part: QueuedMessage[] = []
    let bytes = 0
    let at = this.#taken
    for (; at < this.#waiting.length && part.length < maxMessages; at++) {
      const message = this.#waiting[at]!
      // Some of the call failed: the rest of it is not stored.
      if (message.call.settled) continue
      bytes += message.bytes
      if (bytes > maxBytes && part.length > 0) break
      part.push(message)
    }
    this.#taken = at
    if (at === this.#waiting.length || at > 20_000) {
      this.#waiting = this.#waiting.slice(at)
      this.#taken = 0
    }
    return part
  }

  /** Tries again only what is certainly not stored: there is no id by which the server would know it. */
  async #send(part: readonly QueuedMessage[]): Promise<void> {
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      const failed = await this.#try(part)
      if (failed === undefined) {
        for (const { call } of part) call.storedPart()
        return
      }
      const failure = await this.#judge(failed.failure)
      const again = failure instanceof Fault && failure.passing && failed.stored === 'it is not stored'
      if (!again || part[0]!.call.failAt <= performance.now() + pauseMs) {
        const error = translate(failure, `sending to '${this.#queue.name}' (${failed.stored})`)
        for (const { call } of part) call.fail(error)
        return
      }
      await sleep(systemClock, pauseMs)
    }
  }

  async #try(part: readonly QueuedMessage[]): Promise<Failed | undefined> {
    const ms = Math.max(1, part[0]!.call.failAt - performance.now())
    try {
      await this.#api.link.ready(ms)
    } catch (failure) {
      return { failure, stored: 'it is not stored' }
    }
    const inBatch = part.length > 1 && this.#queue.atomic
    return await (inBatch ? this.#sendBatch(part, ms) : this.#sendEach(part, ms))
  }

  async #judge(thrown: unknown): Promise<unknown> {
    if (!(thrown instanceof Fault && thrown.kind === 'ABSENT')) return thrown
    return await this.#check().then(
      () => thrown,
      (gone) => gone,
    )
  }

  async #sendBatch(part: readonly QueuedMessage[], ms: number): Promise<Failed | undefined> {
    const id = newId()
    const { work } = this.#queue.names
    const answer = this.#await(1, ms)
    for (const [at, { payload }] of part.entries()) {
      const headers = { 'Nats-Batch-Id': id, 'Nats-Batch-Sequence': String(at + 1) }
      if (at < part.length - 1) this.#api.link.publish(work, payload, undefined, headers)
      else this.#api.link.publish(work, payload, answer.subject, { ...headers, 'Nats-Batch-Commit': '1' })
    }
    return await answer.outcome
  }

  async #sendEach(part: readonly QueuedMessage[], ms: number): Promise<Failed | undefined> {
    const answers = this.#await(part.length, ms)
    for (const { payload } of part) this.#api.link.publish(this.#queue.names.work, payload, answers.subject)
    return await answers.outcome
  }

  /** Resolves when so many answers came, or none comes any more: with what failed. */
  #await(
    count: number,
    ms: number,
  ): { readonly subject: string; readonly outcome: Promise<Failed | undefined> } {
    const { promise, resolve } = Promise.withResolvers<Failed | undefined>()
    let left = count
    let failure: unknown
    let stored = 0
    const end = (fault?: Fault) => {
      cancel()
      forget()
      place.close()
      if (fault !== undefined) resolve({ failure: fault, stored: 'whether it is stored is unknown' })
      else if (failure === undefined) resolve(undefined)
      else resolve({ failure, stored: stored > 0 ? 'some of it is stored' : 'it is not stored' })
    }
    const place = this.#api.link.inbox.open((answer: Msg) => {
      try {
        if (isAbsent(answer)) throw new Fault('ABSENT', `nothing answers to ${this.#queue.names.work}`)
        readPubAck(answer)
        stored += 1
      } catch (thrown) {
        failure ??= thrown
      }
      if (--left === 0) end()
    })
    const forget = this.#api.link.listen({ broken: () => end(new Fault('NETWORK', 'the connection broke')) })
    const cancel = systemClock.after(ms, () =>
      end(new Fault('SILENT', `no answer within ${Math.round(ms)} ms`)),
    )
    return { subject: place.subject, outcome: promise }
  }
}
