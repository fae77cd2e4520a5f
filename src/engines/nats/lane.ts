// The records of one partition on their way to the server: a queue, and at most one message under way.
import { sleep, systemClock } from '../../core/clock.ts'
import { newId } from '../../core/id.ts'
import type { Api } from './api.ts'
import { Fault, translate } from './errors.ts'
import {
  type BatchRecord,
  batchOverhead,
  positionOf,
  recordOverhead,
  recordsPerMessage,
  writeBatch,
} from './record-batch.ts'
import { expiring, latest, type WriteCall } from './write-call.ts'

export interface QueuedRecord extends BatchRecord {
  readonly call: WriteCall
  /** Its place in the call. */
  readonly index: number
}

const attemptMs = 5_000

export class Lane {
  readonly #api: Api
  readonly #stream: string
  readonly #subject: string
  readonly #maxBytes: number
  /** Rejects when the stream is gone from the server. */
  readonly #check: () => Promise<void>
  #queue: QueuedRecord[] = []
  /** How many at the beginning of the queue are taken already. */
  #taken = 0
  #active = false

  constructor(api: Api, stream: string, subject: string, maxBytes: number, check: () => Promise<void>) {
    this.#api = api
    this.#stream = stream
    this.#subject = subject
    this.#maxBytes = maxBytes
    this.#check = check
  }

  push(record: QueuedRecord): void {
    this.#queue.push(record)
    if (this.#active) return
    this.#active = true
    // When the promises of this turn have run, so that the calls that they make share a message.
    process.nextTick(() => void this.#run())
  }

  async #run(): Promise<void> {
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) await this.#store(batch)
    this.#active = false
  }

  #next(): QueuedRecord[] {
    const batch: QueuedRecord[] = []
    let bytes = batchOverhead
    let at = this.#taken
    for (; at < this.#queue.length && batch.length < recordsPerMessage; at++) {
      const record = this.#queue[at]!
      if (record.call.settled) continue
      bytes += recordOverhead + record.keyBytes + record.bodyBytes
      if (bytes > this.#maxBytes && batch.length > 0) break
      batch.push(record)
    }
    this.#taken = at
    if (at === this.#queue.length || at > 20_000) {
      this.#queue = this.#queue.slice(at)
      this.#taken = 0
    }
    return batch
  }

  async #store(batch: readonly QueuedRecord[]): Promise<void> {
    const payload = writeBatch(batch)
    const headers = { 'Nats-Msg-Id': newId() }
    const calls = new Set(batch.map(({ call }) => call))
    // Once it may have arrived, no later answer says that it did not; and it may while others of the batch still wait for it.
    let unsure = false
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      const late = () => translate(new Fault('SILENT', 'no answer came in time'), this.#doing(true, true))
      const settle = expiring(calls, late)
      try {
        const ms = Math.max(1, Math.min(attemptMs, latest(calls) - performance.now()))
        const { seq } = await this.#api.store(this.#subject, payload, headers, ms)
        const base = positionOf(seq)
        for (let at = 0; at < batch.length; at++) batch[at]!.call.stored(batch[at]!.index, base + at)
        return
      } catch (thrown) {
        const failure = await this.#judge(thrown)
        const passing = failure instanceof Fault && failure.passing
        unsure ||= failure instanceof Fault && failure.ambiguous
        const end = performance.now() + pauseMs
        const goesOn = passing && latest(calls) > end
        for (const call of calls)
          if (!passing || call.failAt <= end)
            call.fail(translate(failure, this.#doing(unsure || goesOn, passing)))
        if (batch.every(({ call }) => call.settled)) return
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

  #doing(unsure: boolean, passing: boolean): string {
    const stored = unsure ? ' (whether it is stored is unknown)' : passing ? ' (it is not stored)' : ''
    return `appending to '${this.#stream}'${stored}`
  }
}
