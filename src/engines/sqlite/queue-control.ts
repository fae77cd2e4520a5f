// What an operator does to a queue, in steps of a bounded size: between them the storage thread does what else is asked.
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import { checkWhole, outOfRange } from './range.ts'
import { RecordReader } from './record.ts'
import type { Storage } from './storage.ts'
import type { Answers, PurgeEnd } from './wire.ts'

const maxPeek = 1_000

export class QueueControl {
  readonly #storage: Storage
  readonly #reader = new RecordReader()

  constructor(storage: Storage) {
    this.#storage = storage
  }

  async pause(queue: number, paused: boolean): Promise<void> {
    await this.#storage.ask({ kind: 'pause', queue, paused })
  }

  async peek(queue: number, { limit, after }: PeekOptions): Promise<PeekedMessage[]> {
    checkWhole(limit, 1, 'limit')
    if (limit > maxPeek) throw outOfRange(limit, `at most ${maxPeek}`, 'limit')
    const from = after === undefined ? -1 : Number(after)
    if (!Number.isSafeInteger(from)) throw outOfRange(after, 'the handle of a message that was seen', 'after')
    const rows = await this.#storage.ask({ kind: 'peek', queue, after: from, limit })
    return rows.map(({ seq, data, due, after: waitsFor, progress, ...rest }) => {
      this.#reader.start(data)
      return this.#reader.next((id, key, body) => ({
        ...rest,
        handle: String(seq),
        id,
        key,
        body,
        due: due ?? undefined,
        group: rest.group === '' ? undefined : rest.group,
        ...(waitsFor === null ? {} : { after: waitsFor }),
        ...(progress === null ? {} : { progress }),
      }))
    })
  }

  async finished(queue: number, { limit, after }: PeekOptions): Promise<FinishedMessage[]> {
    checkWhole(limit, 1, 'limit')
    if (limit > maxPeek) throw outOfRange(limit, `at most ${maxPeek}`, 'limit')
    const before = after === undefined ? Number.MAX_SAFE_INTEGER : Number(after)
    if (!Number.isSafeInteger(before))
      throw outOfRange(after, 'the handle of a message that was seen', 'after')
    const rows = await this.#storage.ask({ kind: 'finished', queue, before, limit })
    return rows.map(({ handle, starts, finishedAt, data }) => {
      this.#reader.start(data)
      return this.#reader.next((id, key, body) => ({
        handle: String(handle),
        id,
        key,
        body,
        starts,
        finishedAt,
      }))
    })
  }

  trimFinished(queue: number): Promise<number> {
    return this.#storage.ask({ kind: 'trimFinished', queue })
  }

  async cancel(queue: number, ids: readonly string[]): Promise<CancelResult[]> {
    const results = ids.map((): CancelResult => 'unknown')
    if (ids.length === 0) return results
    for (let after: number | null = -1; after !== null; ) {
      const step: Answers['cancel'] = await this.#storage.ask({ kind: 'cancel', queue, ids, after })
      // Of several messages with one id the one that is still held has the say.
      for (const [index, how] of step.found)
        if (results[index] !== 'signalled') results[index] = how === 1 ? 'removed' : 'signalled'
      after = step.next
    }
    return ids.map((id) => results[ids.lastIndexOf(id)]!)
  }

  async purge(queue: number, what: 'waiting' | 'dead'): Promise<number> {
    let count = 0
    for (let until: PurgeEnd | null = null; ; ) {
      const step: Answers['purge'] = await this.#storage.ask({ kind: 'purge', queue, what, until })
      count += step.removed
      until = step.until
      if (until === null) return count
    }
  }
}
