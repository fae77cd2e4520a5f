// Reading: cursors are kept warm by where they stand, and found again by the reader that asks for what comes next.
import { setImmediate } from 'node:timers/promises'
import { systemClock } from '../../core/clock.ts'
import { asError } from '../../core/errors.ts'
import type { PartitionPosition, ReadOptions, StreamRecord } from '../../ports/stream.ts'
import type { Api } from './api.ts'
import { Cursor } from './cursor.ts'
import { requirePartition } from './options.ts'
import type { KnownStream, Streams } from './streams.ts'

const maxIdle = 128
const maxIdleMs = 45_000
const expectedMs = 500

export class StreamRead {
  readonly #api: Api
  readonly #streams: Streams
  /** Nobody reads from these at the moment. */
  #idle: Cursor[] = []
  readonly #busy = new Set<Cursor>()
  readonly #closing = new AbortController()

  constructor(api: Api, streams: Streams) {
    this.#api = api
    this.#streams = streams
    api.link.listen({
      broken: () => {
        for (const cursor of [...this.#idle, ...this.#busy]) cursor.reset()
      },
    })
  }

  async read(
    name: string,
    from: readonly PartitionPosition[],
    options: ReadOptions,
  ): Promise<StreamRecord[]> {
    const end = performance.now() + options.waitMs
    const stream = await this.#streams.get(name)
    for (const { partition } of from) requirePartition(name, partition, stream.partitions)
    if (this.#ended(options.signal)) return []
    const cursors = from.map(({ partition, position }) => this.#take(stream, partition, position))
    try {
      return await this.#read(cursors, options, end)
    } catch (thrown) {
      for (const cursor of cursors) cursor.close()
      if (this.#closing.signal.aborted) return []
      throw thrown
    } finally {
      for (const cursor of cursors) this.#giveBack(cursor)
    }
  }

  /** Ends the reads. */
  close(): void {
    this.#closing.abort()
    for (const cursor of this.#idle) cursor.close()
    this.#idle = []
  }

  async #read(cursors: readonly Cursor[], options: ReadOptions, end: number): Promise<StreamRecord[]> {
    for (;;) {
      const records = collect(cursors, options)
      // A reader that finds something each time must not keep the others' records from coming in.
      if (records.length > 0 && cursors.some((cursor) => cursor.head === undefined)) await setImmediate()
      if (records.length > 0) return records
      for (const { failure } of cursors) if (failure !== undefined) throw asError(failure)
      if (this.#ended(options.signal)) return []
      const wake = this.#wake(cursors, options.signal)
      try {
        const opened = Promise.all(cursors.map((cursor) => cursor.open()))
        if (!(await wake.unlessEnded(opened))) return []
        await wake.expected(cursors)
        if (cursors.some((cursor) => cursor.head !== undefined)) continue
        if (options.waitMs === 0) {
          const looked = Promise.all(cursors.map((cursor) => cursor.more()))
          const more = await wake.unlessEnded(looked)
          if (more === undefined || !more.includes(true)) return collect(cursors, options)
          await wake.change(this.#api.timeoutMs)
        } else {
          const rest = end - performance.now()
          if (rest <= 0) return []
          await wake.change(rest)
        }
      } finally {
        wake.stop()
      }
    }
  }

  /** What a read waits for: a change at one of the cursors, or its end. */
  #wake(cursors: readonly Cursor[], signal: AbortSignal | undefined) {
    const changed = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<undefined>()
    const end = () => ended.resolve(undefined)
    const heard = Promise.withResolvers<void>()
    for (const cursor of cursors)
      cursor.changed = () => {
        changed.resolve()
        if (!cursors.some(({ expecting }) => expecting)) heard.resolve()
      }
    signal?.addEventListener('abort', end, { once: true })
    this.#closing.signal.addEventListener('abort', end, { once: true })
    if (this.#ended(signal)) end()
    return {
      unlessEnded: <T>(promise: Promise<T>): Promise<T | undefined> => Promise.race([promise, ended.promise]),
      change: async (ms: number): Promise<void> => {
        const cancel = systemClock.after(Math.ceil(ms), () => changed.resolve())
        await Promise.race([changed.promise, ended.promise])
        cancel()
      },
      /** Those just opened that have records come first, or the others would be read over and over meanwhile. */
      expected: async (cursors: readonly Cursor[]): Promise<void> => {
        if (!cursors.some(({ expecting }) => expecting)) return
        const cancel = systemClock.after(expectedMs, heard.resolve)
        await Promise.race([heard.promise, ended.promise])
        cancel()
      },
      stop: () => {
        for (const cursor of cursors) cursor.changed = () => {}
        signal?.removeEventListener('abort', end)
        this.#closing.signal.removeEventListener('abort', end)
      },
    }
  }

  #ended(signal: AbortSignal | undefined): boolean {
    return signal?.aborted === true || this.#closing.signal.aborted
  }

  #take(stream: KnownStream, partition: number, position: number): Cursor {
    const at = this.#idle.findIndex(
      (cursor) => cursor.position === position && cursor.partition === partition && cursor.stream === stream,
    )
    const cursor = at < 0 ? new Cursor(this.#api, stream, partition, position) : this.#idle.splice(at, 1)[0]!
    this.#busy.add(cursor)
    return cursor
  }

  #giveBack(cursor: Cursor): void {
    this.#busy.delete(cursor)
    const now = performance.now()
    cursor.idleSince = now
    if (this.#closing.signal.aborted || cursor.failure !== undefined) cursor.close()
    if (!cursor.closed) this.#idle.push(cursor)
    // The oldest stand at the beginning.
    while (this.#idle.length > maxIdle || now - (this.#idle[0]?.idleSince ?? now) > maxIdleMs)
      this.#idle.shift()!.close()
  }
}

/** Takes turns from a random start, each partition an even share as long as the others have records too. */
function collect(cursors: readonly Cursor[], { maxRecords, maxBytes }: ReadOptions): StreamRecord[] {
  const full = cursors.filter((cursor) => cursor.head !== undefined)
  const records: StreamRecord[] = []
  if (full.length === 0) return records
  const share = Math.ceil(maxRecords / full.length)
  const start = Math.floor(Math.random() * full.length)
  let turn = [...full.slice(start), ...full.slice(0, start)]
  let bytes = 0
  while (turn.length > 0 && records.length < maxRecords) {
    const open: Cursor[] = []
    for (const cursor of turn) {
      const most = Math.min(maxRecords, records.length + share)
      let full = false
      for (let batch = cursor.head; batch !== undefined && records.length < most; batch = cursor.head) {
        full = records.length > 0 && bytes + batch.bodyBytes > maxBytes
        if (full) break
        bytes += batch.bodyBytes
        const { partition } = cursor
        const { position, time: appendedAt } = batch
        records.push({ partition, position, ...batch.next(), appendedAt, version: undefined })
        cursor.position = position + 1
      }
      if (!full && cursor.head !== undefined) open.push(cursor)
    }
    turn = open
  }
  for (const cursor of cursors) cursor.ask()
  return records
}
