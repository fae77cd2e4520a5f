// Several runs become one: by key, and within a key by time, those of one time in the order of the runs.
import { atOnce, RunFile, type RunReader } from './run-file.ts'

export function mergeRuns(runs: readonly RunFile[]): RunFile {
  const merged = new RunFile()
  try {
    const open = runs.map((run) => run.reader()).filter((reader) => reader.next())
    const heap = new Heap(open)
    const lanes = new Map(open.map((reader) => [reader, new Lane(reader)]))
    while (heap.size > 0) {
      const pieces = heap.takeLeast()
      let count = 0
      for (const { left } of pieces) count += left
      merged.begin(pieces[0]!.key, count)
      mergeByTime(
        pieces.map((piece) => lanes.get(piece)!),
        merged,
      )
      for (const piece of pieces) if (piece.next()) heap.add(piece)
    }
    merged.flush()
    return merged
  } catch (thrown) {
    merged[Symbol.dispose]()
    throw thrown
  }
}

/** The requests of a reader, key by key. */
class Lane {
  readonly #reader: RunReader
  readonly times: Float64Array = new Float64Array(Math.min(atOnce, 1_024))
  readonly costs: Float64Array = new Float64Array(Math.min(atOnce, 1_024))
  at = 0
  filled = 0

  constructor(reader: RunReader) {
    this.#reader = reader
  }

  /** The time of its first request that was not taken; infinite when there is none. */
  get time(): number {
    if (this.at === this.filled) {
      this.filled = this.#reader.fill(this.times, this.costs)
      this.at = 0
    }
    return this.at < this.filled ? this.times[this.at]! : Number.POSITIVE_INFINITY
  }

  /** Where in it the requests up to that time end; of those that are in memory, and before a place. */
  upTo(time: number, included: boolean, before: number): number {
    let end = this.at
    while (end < before && (included ? this.times[end]! <= time : this.times[end]! < time)) end += 1
    return end
  }
}

function mergeByTime(lanes: readonly Lane[], target: RunFile): void {
  for (;;) {
    let least = 0
    for (let lane = 1; lane < lanes.length; lane++) if (lanes[lane]!.time < lanes[least]!.time) least = lane
    const lane = lanes[least]!
    if (lane.time === Number.POSITIVE_INFINITY) return
    // As many as come before the first of every other lane.
    let end = lane.filled
    lanes.forEach((other, index) => {
      if (index !== least && other.time !== Number.POSITIVE_INFINITY)
        end = lane.upTo(other.time, least < index, end)
    })
    target.some(lane.times, lane.costs, lane.at, end)
    lane.at = end
  }
}

/** Readers by their keys; those of one key in the order of the runs. */
class Heap {
  readonly #order: ReadonlyMap<RunReader, number>
  readonly #readers: RunReader[] = []

  constructor(readers: readonly RunReader[]) {
    this.#order = new Map(readers.map((reader, index) => [reader, index]))
    for (const reader of readers) this.add(reader)
  }

  get size(): number {
    return this.#readers.length
  }

  add(reader: RunReader): void {
    const readers = this.#readers
    let place = readers.length
    readers.push(reader)
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!this.#before(reader, readers[parent]!)) break
      readers[place] = readers[parent]!
      place = parent
    }
    readers[place] = reader
  }

  /** All that stand at the least key. */
  takeLeast(): RunReader[] {
    const taken = [this.#take()]
    while (this.#readers[0]?.key === taken[0]!.key) taken.push(this.#take())
    return taken
  }

  #take(): RunReader {
    const readers = this.#readers
    const least = readers[0]!
    const last = readers.pop()!
    if (readers.length > 0) {
      let place = 0
      for (;;) {
        let child = 2 * place + 1
        if (child >= readers.length) break
        if (child + 1 < readers.length && this.#before(readers[child + 1]!, readers[child]!)) child += 1
        if (!this.#before(readers[child]!, last)) break
        readers[place] = readers[child]!
        place = child
      }
      readers[place] = last
    }
    return least
  }

  #before(a: RunReader, b: RunReader): boolean {
    return a.key === b.key ? this.#order.get(a)! < this.#order.get(b)! : a.key < b.key
  }
}
