// Where the records of a partition end. The marker that ends a transaction, and what an aborted one had written, take
// positions that no reader is ever given: who reads up to the end of such a partition would wait there for ever.
import type { PartitionBounds } from '../../ports/stream.ts'
import { type Codecs, codecsOf, RecordCursor } from './batch-reader.ts'
import type { Cluster } from './cluster.ts'
import { Fault } from './errors.ts'
import { type Fetch, type FetchedPart, fetchRequest } from './fetch-request.ts'

const maxBytes = 1024 * 1024

export class LastRecord {
  readonly #cluster: Cluster
  readonly #fetch: Fetch
  readonly #codecs: Codecs

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#fetch = fetchRequest(cluster.client)
    this.#codecs = codecsOf(cluster.client)
  }

  /** The position behind the last record; `earliest` when there is none. Nearly always one small request. */
  async end(stream: string, { partition, earliest, next }: PartitionBounds): Promise<number> {
    for (let back = 1; next > earliest; back *= 2) {
      const start = Math.max(earliest, next - back)
      const last = await this.#lastIn(stream, partition, start, next)
      if (last !== undefined) return last + 1
      if (start === earliest) break
    }
    return earliest
  }

  /** The position of the last record from `start` on, as far as `end`. */
  async #lastIn(stream: string, partition: number, start: number, end: number): Promise<number | undefined> {
    let last: number | undefined
    for (let next = start; next < end; ) {
      // At the end itself the one batch that holds it is enough.
      const part = await this.#ask(stream, partition, next, end - start === 1 ? 1 : maxBytes)
      const at = next
      // What retention removed meanwhile is no longer there to be the last.
      if (part.bytes === undefined) return last
      try {
        const cursor = new RecordCursor(part.bytes, partition, at, at, part.aborted, this.#codecs)
        for (; cursor.head !== undefined; cursor.advance()) last = cursor.head.position
        next = cursor.next
      } catch {
        // A batch that cannot be read may hold records: reading tells.
        return end - 1
      }
      if (next === at) return last
    }
    return last
  }

  async #ask(stream: string, partition: number, next: number, maxPartBytes: number): Promise<FetchedPart> {
    return await this.#cluster.persist(async (last) => {
      if (last !== undefined) await this.#cluster.refresh(stream)
      const link = await this.#cluster.link('control', this.#cluster.leader(stream, partition))
      const options = { waitMs: 0, maxBytes, maxPartBytes }
      const { errorCode, parts } = await this.#fetch(link, stream, [{ partition, next }], options)
      this.#cluster.check(errorCode)
      const [part] = parts
      if (part === undefined) throw new Fault('NETWORK', 'no answer for this partition')
      if (part.errorCode !== outOfRange) this.#cluster.check(part.errorCode)
      return part
    })
  }
}

const outOfRange = 1
