// The messages of the queues: batches that are only appended to, and single messages that wait for a time of their own.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { damaged } from '../native-error.ts'
import { type Spans, spanWidth } from '../wire.ts'
import { BatchCache, type CachedBatch } from './batch-cache.ts'
import type { Leases } from './leases.ts'
import { forEachRow, type Slabs, spanAt } from './spans.ts'

/** From here on sequence numbers are those of single messages. */
export const firstSingle: number = 2 ** 52
const cacheBytes = 16 * 1024 * 1024

/** What is known of a queue. `cursor` and `token` are written back at the end of a transaction. */
export interface QueueState {
  readonly id: number
  cursor: number
  token: number
  changed: boolean
  /** Where the last batch of the queue ends, as a sequence number and counted in messages; 0 without any. */
  end: number
  ordinal: number
  /** The batch in which the cursor stands, once it was looked for. */
  head: Head | undefined
  /** No lease of the queue is due before; undefined when unknown. */
  nextDue: number | undefined
}

export interface Head {
  readonly base: number
  readonly end: number
}

export class QueueLog {
  readonly #states = new Map<number, QueueState>()
  readonly #cache = new BatchCache<number>(cacheBytes)
  #nextSeq: number | undefined
  #nextSingle: number | undefined
  readonly #queue: StatementSync
  readonly #saveQueue: StatementSync
  readonly #lastBatch: StatementSync
  readonly #lastSeq: StatementSync
  readonly #insertBatch: StatementSync
  readonly #batchBefore: StatementSync
  readonly #batchAfter: StatementSync
  readonly #batchOf: StatementSync
  readonly #batchData: StatementSync
  readonly #ordinal: StatementSync
  readonly #deleteBatches: StatementSync
  readonly #lastSingle: StatementSync
  readonly #insertSingle: StatementSync
  readonly #singleData: StatementSync
  readonly #history: StatementSync
  readonly #setHistory: StatementSync
  readonly #deleteSingles: StatementSync
  readonly #leases: Leases

  constructor(db: DatabaseSync, leases: Leases) {
    this.#leases = leases
    this.#queue = db.prepare('SELECT cursor, token FROM queue WHERE id = ?')
    this.#saveQueue = db.prepare('UPDATE queue SET cursor = ?, token = ? WHERE id = ?')
    this.#lastBatch = db.prepare(
      'SELECT base + count AS "end", ordinal + count AS ordinal FROM queue_batch WHERE queue = ? ORDER BY base DESC LIMIT 1',
    )
    // A batch is deleted only when a cursor has passed it: its numbers never come again.
    this.#lastSeq = db.prepare(
      `SELECT max(coalesce((SELECT base + count FROM queue_batch ORDER BY base DESC LIMIT 1), 0),
                  coalesce((SELECT max(cursor) FROM queue), 0)) AS seq`,
    )
    this.#insertBatch = db.prepare(
      'INSERT INTO queue_batch (base, queue, count, ordinal, sent_at, data) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#batchBefore = db.prepare(
      'SELECT base, base + count AS "end" FROM queue_batch WHERE queue = ? AND base <= ? ORDER BY base DESC LIMIT 1',
    )
    this.#batchAfter = db.prepare(
      'SELECT base, base + count AS "end" FROM queue_batch WHERE queue = ? AND base >= ? ORDER BY base LIMIT 1',
    )
    this.#batchOf = db.prepare(
      'SELECT base, base + count AS "end" FROM queue_batch WHERE base <= ? ORDER BY base DESC LIMIT 1',
    )
    this.#batchData = db.prepare('SELECT data FROM queue_batch WHERE base = ?')
    this.#ordinal = db.prepare('SELECT ordinal FROM queue_batch WHERE base = ?')
    this.#deleteBatches = db.prepare(
      'DELETE FROM queue_batch WHERE base >= ? AND base <= ? AND base + count <= ?',
    )
    this.#lastSingle = db.prepare(
      'SELECT max(coalesce((SELECT max(seq) FROM queue_single), 0), (SELECT singles FROM queue_numbers)) AS seq',
    )
    this.#insertSingle = db.prepare(
      'INSERT INTO queue_single (seq, queue, history, data) VALUES (?, ?, ?, ?)',
    )
    this.#singleData = db.prepare('SELECT data FROM queue_single WHERE seq = ?')
    this.#history = db.prepare('SELECT history FROM queue_single WHERE seq = ?')
    this.#setHistory = db.prepare('UPDATE queue_single SET history = ? WHERE seq = ?')
    this.#deleteSingles = db.prepare('DELETE FROM queue_single WHERE seq BETWEEN ? AND ?')
  }

  state(id: number): QueueState {
    const known = this.#states.get(id)
    if (known !== undefined) return known
    const row = this.#queue.get(id)!
    const last = this.#lastBatch.get(id)
    const state: QueueState = {
      id,
      cursor: Number(row.cursor),
      token: Number(row.token),
      changed: false,
      end: Number(last?.end ?? 0),
      ordinal: Number(last?.ordinal ?? 0),
      head: undefined,
      nextDue: undefined,
    }
    this.#states.set(id, state)
    return state
  }

  known(id: number): QueueState | undefined {
    return this.#states.get(id)
  }

  append(state: QueueState, spans: Spans, now: number, slabs: Slabs): void {
    forEachRow(spans, slabs, (data, count) => this.addBatch(state, data, count, now))
  }

  /** Adds messages at the end of the queue. */
  addBatch(state: QueueState, data: Uint8Array, count: number, now: number): void {
    this.#nextSeq ??= Number(this.#lastSeq.get()!.seq)
    const base = this.#nextSeq
    this.#insertBatch.run(base, state.id, count, state.ordinal, now, data)
    this.#nextSeq = base + count
    state.end = base + count
    state.ordinal += count
  }

  /** Stores a message with a row of its own, waiting until `due`. */
  addSingle(
    state: QueueState,
    data: Uint8Array,
    due: number,
    starts: number,
    history: string | null = null,
  ): void {
    this.#nextSingle ??= Math.max(firstSingle, this.lastSingle() + 1)
    const seq = this.#nextSingle++
    this.#insertSingle.run(seq, state.id, history, data)
    this.#leases.add(state.id, { first: seq, last: seq, token: 0, due, starts, suspect: 0 })
    if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, due)
  }

  addSingles(state: QueueState, spans: Spans, delaysMs: readonly number[], now: number, slabs: Slabs): void {
    for (const [index, delayMs] of delaysMs.entries())
      this.addSingle(state, spanAt(spans, index * spanWidth, slabs), now + delayMs, 0)
  }

  /** The batch that has the next fresh messages, with the cursor in it; undefined when all were handed out. */
  head(state: QueueState): Head | undefined {
    if (state.cursor >= state.end) return undefined
    if (state.head !== undefined && state.cursor < state.head.end) return state.head
    const before = state.head === undefined ? this.#batchBefore.get(state.id, state.cursor) : undefined
    const found =
      before !== undefined && Number(before.end) > state.cursor
        ? before
        : this.#batchAfter.get(state.id, state.cursor)
    if (found === undefined) return undefined
    state.head = { base: Number(found.base), end: Number(found.end) }
    state.cursor = Math.max(state.cursor, state.head.base)
    return state.head
  }

  /** The batch that has a message, or the next one of the queue after it. */
  batchFrom(state: QueueState, seq: number): Head | undefined {
    const before = this.#batchBefore.get(state.id, seq)
    const found =
      before !== undefined && Number(before.end) > seq ? before : this.#batchAfter.get(state.id, seq)
    return found && { base: Number(found.base), end: Number(found.end) }
  }

  /** No single message has a higher number, or had one when the last purge began; 0 without any. */
  lastSingle(): number {
    return Number(this.#lastSingle.get()!.seq)
  }

  batch({ base, end }: Head): CachedBatch {
    return this.#cache.get(base, end - base, () => this.#batchData.get(base)!.data as Uint8Array)
  }

  /** The bytes of one message, valid until the next call. */
  record(seq: number): Uint8Array {
    if (seq >= firstSingle) {
      const row = this.#singleData.get(seq)
      if (row !== undefined) return row.data as Uint8Array
    }
    const head = this.#batchAt(seq)
    if (head === undefined) throw damaged(`there is a lease, but no message ${seq}`)
    const { data, offsets } = this.batch(head)
    return data.subarray(offsets[seq - head.base]!, offsets[seq - head.base + 1]!)
  }

  /** Why the message was tried again before. */
  history(seq: number): string | null {
    return seq < firstSingle ? null : (this.#history.get(seq)!.history as string | null)
  }

  setHistory(single: number, history: string): void {
    this.#setHistory.run(history, single)
  }

  #batchAt(seq: number): Head | undefined {
    const row = this.#batchOf.get(seq)
    if (row === undefined || Number(row.end) <= seq) return undefined
    return { base: Number(row.base), end: Number(row.end) }
  }

  /** Messages, all of batches or all single ones, are gone: what is stored of them as well, as far as nothing else needs it. */
  drop(state: QueueState, first: number, last: number): void {
    if (first >= firstSingle) this.#deleteSingles.run(first, last)
    else this.#collect(state, first, last)
  }

  /** Passes over up to `count` fresh messages, which are gone then; returns the first and the last. */
  skip(state: QueueState, count: number): readonly [first: number, last: number] | undefined {
    const head = this.head(state)
    if (head === undefined) return undefined
    const first = state.cursor
    state.cursor = Math.min(head.end, first + count)
    state.changed = true
    return [first, state.cursor - 1]
  }

  /** Deletes the batches of messages from `first` to `last`, whose leases are gone, if nothing else of them is left. */
  #collect(state: QueueState, first: number, last: number): void {
    const head = this.#batchAt(first)
    const tail = this.#batchAt(last)
    // Without a batch: it was deleted with messages that ended in the same call.
    const from = head === undefined ? first : this.#isDone(state, head, first, last) ? head.base : head.end
    const end = tail === undefined ? last + 1 : this.#isDone(state, tail, first, last) ? tail.end : tail.base
    if (from < end) this.#deleteBatches.run(from, end - 1, end)
  }

  #isDone(state: QueueState, { base, end }: Head, first: number, last: number): boolean {
    if (first <= base && end - 1 <= last) return true
    return end <= state.cursor && !this.#leases.anyIn(base, end)
  }

  /** How many messages of a queue were never handed out, from the running count that batches carry. */
  fresh(queue: number): number {
    const cursor = Number(this.#queue.get(queue)!.cursor)
    const before = this.#batchBefore.get(queue, cursor)
    const head =
      before !== undefined && Number(before.end) > cursor ? before : this.#batchAfter.get(queue, cursor)
    if (head === undefined) return 0
    const base = Number(head.base)
    const handedOut = Number(this.#ordinal.get(base)!.ordinal) + Math.max(0, cursor - base)
    return Number(this.#lastBatch.get(queue)!.ordinal) - handedOut
  }

  finish(): void {
    for (const state of this.#states.values()) {
      if (!state.changed) continue
      this.#saveQueue.run(state.cursor, state.token, state.id)
      state.changed = false
    }
  }

  forget(rolledBack: boolean): void {
    // Numbers that were given in a transaction that came to nothing will be given again.
    if (rolledBack) this.#cache.clear()
    this.#states.clear()
    this.#nextSeq = undefined
    this.#nextSingle = undefined
  }
}
