// Appending: records go to the lanes of their partitions, where those of several calls share a message.
import { Buffer } from 'node:buffer'
import { SpillwayError } from '../../core/errors.ts'
import type { AppendRecord, AppendResult } from '../../ports/stream.ts'
import type { Api } from './api.ts'
import type { Backlog } from './backlog.ts'
import { Lane, type QueuedRecord } from './lane.ts'
import { requirePartition } from './options.ts'
import { maxBatchBytes } from './record-batch.ts'
import type { KnownStream, Streams } from './streams.ts'
import { WriteCall } from './write-call.ts'

export class StreamAppend {
  readonly #api: Api
  readonly #streams: Streams
  readonly #backlog: Backlog
  readonly #maxBodyBytes: number
  readonly #lanes = new Map<string, Lane>()

  constructor(api: Api, streams: Streams, backlog: Backlog, maxBodyBytes: number) {
    this.#api = api
    this.#streams = streams
    this.#backlog = backlog
    this.#maxBodyBytes = maxBodyBytes
  }

  async append(name: string, records: readonly AppendRecord[]): Promise<AppendResult> {
    // Awaited only when it is news: otherwise the calls of one turn go in the order in which they were made.
    const stream = this.#streams.known(name) ?? (await this.#streams.get(name))
    if (records.length === 0) return { status: 'appended', positions: [] }
    const call = new WriteCall(records.length, performance.now() + this.#api.timeoutMs)
    let bytes = 0
    const queued = records.map((record, index): QueuedRecord => {
      requirePartition(name, record.partition, stream.partitions)
      const { key, body } = record
      const bodyBytes = Buffer.byteLength(body)
      if (bodyBytes > this.#maxBodyBytes) throw tooLarge(name, bodyBytes, this.#maxBodyBytes)
      const keyBytes = key === undefined ? 0 : Buffer.byteLength(key)
      bytes += keyBytes + bodyBytes
      return { key, keyBytes, body, bodyBytes, call, index }
    })
    if (this.#backlog.full) await this.#backlog.admission(bytes)
    else this.#backlog.take(bytes)
    for (let index = 0; index < queued.length; index++)
      this.#lane(stream, records[index]!.partition).push(queued[index]!)
    try {
      await call.done
      return { status: 'appended', positions: call.positions }
    } finally {
      this.#backlog.release(bytes)
    }
  }

  #lane(stream: KnownStream, partition: number): Lane {
    const subject = `${stream.names.base}.${partition}`
    let lane = this.#lanes.get(subject)
    if (lane === undefined) {
      const room = Math.min(maxBatchBytes, this.#maxBodyBytes)
      lane = new Lane(this.#api, stream.name, subject, room, () => this.#streams.check(stream.name))
      this.#lanes.set(subject, lane)
    }
    return lane
  }
}

export function tooLarge(name: string, bytes: number, limit: number): SpillwayError {
  return new SpillwayError(
    'TOO_LARGE',
    `A body of ${bytes} bytes was to be stored in '${name}'; bodies may have ${limit} (the server's max_payload, less what goes with them).`,
    { engine: 'nats', details: { bytes, limit } },
  )
}
