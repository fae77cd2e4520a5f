// The records of one partition on their way to its leader: a queue, and at most one batch under way.
import type { Buffer } from 'node:buffer'
import type { QueuedRecord } from './append-call.ts'
import { batchOverhead, recordOverhead, type Sequence } from './batch-writer.ts'
import type { Fault } from './errors.ts'

export interface LaneBatch {
  readonly records: readonly QueuedRecord[]
  readonly bytes: Buffer
  /** Whether an attempt ended so that the batch may be stored: then only the same numbers may be sent again. */
  ambiguous: boolean
}

const largestSequence = 0x7fffffff

export class Lane {
  readonly stream: string
  readonly partition: number
  /** Undefined when the next batch is to be numbered anew under a fresh id. */
  producerId: bigint | undefined
  /** The id that was given up for that. */
  staleProducerId: bigint | undefined
  /** Failed attempts since the last batch that was stored. */
  tries = 0
  readonly #maxBytes: () => number
  readonly #kick: (lane: Lane) => void
  #queue: QueuedRecord[] = []
  #batch: LaneBatch | undefined
  #sequence = 0
  #splitBytes = Number.POSITIVE_INFINITY
  /** From the kick until the lane is idle again: there is only one attempt at a time. */
  #active = false

  constructor(stream: string, partition: number, maxBytes: () => number, kick: (lane: Lane) => void) {
    this.stream = stream
    this.partition = partition
    this.#maxBytes = maxBytes
    this.#kick = kick
  }

  /** About how many bytes the next batch has. */
  get readyBytes(): number {
    return this.#batch?.bytes.length ?? Math.min(this.#maxBytes(), this.#queue.length * 1024)
  }

  push(record: QueuedRecord): void {
    this.#queue.push(record)
    if (this.#active) return
    this.#active = true
    this.#kick(this)
  }

  /** The batch to send: the one whose fate is open, or a new one from the queue; undefined when there is nothing. */
  nextBatch(write: (records: readonly QueuedRecord[], sequence: Sequence) => Buffer): LaneBatch | undefined {
    if (this.#batch !== undefined) return this.#batch
    const limit = Math.min(this.#maxBytes(), this.#splitBytes)
    const records: QueuedRecord[] = []
    let bytes = batchOverhead
    let taken = 0
    for (const record of this.#queue) {
      if (!record.call.settled) {
        bytes += recordOverhead + record.keyBytes + record.bodyBytes
        if (bytes > limit && records.length > 0) break
        records.push(record)
      }
      taken++
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    if (records.length === 0) return undefined
    const sequence = { producerId: this.producerId!, epoch: 0, first: this.#sequence }
    this.#batch = { records, bytes: write(records, sequence), ambiguous: false }
    return this.#batch
  }

  stored(batch: LaneBatch, base: number): void {
    const next = this.#sequence + batch.records.length
    this.#sequence = next > largestSequence ? next - largestSequence - 1 : next
    this.#batch = undefined
    this.tries = 0
    for (const [index, record] of batch.records.entries()) record.call.stored(record.index, base + index)
    this.resume()
  }

  /** The batch was refused and is not stored: its records go back, to come in smaller batches. */
  split(batch: LaneBatch): void {
    this.#splitBytes = Math.ceil(batch.bytes.length / 2)
    this.#requeue(batch)
    this.resume()
  }

  /** The broker refused the batch for some of its records, and stored none: their calls fail, and the others come again. */
  refuse(batch: LaneBatch, isTo: (record: QueuedRecord) => boolean, error: unknown): void {
    for (const record of batch.records) if (isTo(record)) record.call.fail(error)
    this.#requeue(batch)
    this.resume()
  }

  /** The broker does not know our numbering any more, and did not store the batch: once more under a fresh id. */
  renumber(batch: LaneBatch): void {
    this.#renew()
    this.#requeue(batch)
  }

  failed(batch: LaneBatch, error: unknown): void {
    if (batch.ambiguous) this.#renew()
    this.#batch = undefined
    for (const { call } of batch.records) call.fail(error)
    this.resume()
  }

  /** Remembers why those who wait have to wait. */
  note(fault: Fault): void {
    for (const { call } of [...(this.#batch?.records ?? []), ...this.#queue]) call.fault = fault
  }

  failAll(error: unknown): void {
    for (const { call } of [...(this.#batch?.records ?? []), ...this.#queue]) call.fail(error)
    this.abandonIfUnwanted()
  }

  /** Forgets what nobody waits for any more. True when nothing is left and the lane rests. */
  abandonIfUnwanted(): boolean {
    const batch = this.#batch
    if (batch?.records.every(({ call }) => call.settled)) {
      if (batch.ambiguous) this.#renew()
      this.#batch = undefined
    }
    this.#queue = this.#queue.filter(({ call }) => !call.settled)
    if (this.#batch !== undefined || this.#queue.length > 0) return false
    this.idle()
    return true
  }

  /** Goes on with what is left, or rests. */
  resume(): void {
    if (this.#batch === undefined && this.#queue.length === 0) this.idle()
    else this.#kick(this)
  }

  idle(): void {
    this.#active = this.#queue.length > 0
    if (this.#active) this.#kick(this)
  }

  #requeue(batch: LaneBatch): void {
    this.#batch = undefined
    this.#queue = [...batch.records, ...this.#queue]
  }

  #renew(): void {
    this.staleProducerId = this.producerId
    this.producerId = undefined
    this.#sequence = 0
  }
}
