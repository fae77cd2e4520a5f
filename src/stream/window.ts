// What is read of one partition and not yet left behind: which records are finished, and below which position all are.
import type { Progress } from '../ports/database.ts'

export interface WindowEntry {
  readonly position: number
  readonly producer: string | undefined
  readonly sequence: number
  finished: boolean
}

type Mark = Pick<Progress, 'low' | 'sequences'>

/**
 * Entries enter in the order of positions and finish in any order. `low` is the position below which everything is
 * finished. The sequences of producers are those below `low`, so that after a crash nothing above it counts as seen.
 */
export class Window {
  /** The next position to read. */
  cursor: number
  #low: number
  #entries: WindowEntry[] = []
  #head = 0
  #open = 0
  readonly #sequences: Record<string, number>
  /** The highest sequence that was read, of every producer: what is not above it was read before. */
  readonly #read = new Map<string, number>()

  constructor(position: number, sequences: Readonly<Record<string, number>> = {}) {
    this.cursor = position
    this.#low = position
    this.#sequences = { ...sequences }
    for (const [producer, sequence] of Object.entries(sequences)) this.#read.set(producer, sequence)
  }

  get low(): number {
    return this.#low
  }

  get sequences(): Readonly<Record<string, number>> {
    return this.#sequences
  }

  /** What is finished from `low` on. */
  get finishedAbove(): number[] {
    return this.#entries
      .filter(({ finished }, index) => finished && index >= this.#head)
      .map((of) => of.position)
  }

  /** Entries that are not finished. */
  get open(): number {
    return this.#open
  }

  /** Entries from `low` to the cursor, finished or not. */
  get size(): number {
    return this.#entries.length - this.#head
  }

  /** True when the producer's message was read before: a relay sent it again. */
  isRepeated(producer: string, sequence: number): boolean {
    return sequence <= (this.#read.get(producer) ?? 0)
  }

  add(position: number, producer?: string, sequence = 0): WindowEntry {
    const entry: WindowEntry = { position, producer, sequence, finished: false }
    if (this.#head === this.#entries.length) this.#low = position
    this.#entries.push(entry)
    this.#open += 1
    this.cursor = position + 1
    if (producer !== undefined && sequence > (this.#read.get(producer) ?? 0))
      this.#read.set(producer, sequence)
    return entry
  }

  /** What `low` and the sequences will be once this entry is finished too. */
  markWith(entry: WindowEntry): Mark {
    let index = this.#head
    let sequences: Record<string, number> | undefined
    for (; index < this.#entries.length; index++) {
      const at = this.#entries[index]!
      if (!at.finished && at !== entry) break
      if (at.producer === undefined) continue
      sequences ??= { ...this.#sequences }
      sequences[at.producer] = Math.max(sequences[at.producer] ?? 0, at.sequence)
    }
    const next = this.#entries[index]
    return { low: next ? next.position : this.cursor, sequences: sequences ?? this.#sequences }
  }

  finish(entry: WindowEntry): void {
    if (entry.finished) return
    entry.finished = true
    this.#open -= 1
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.finished) {
      const { producer, sequence } = this.#entries[this.#head]!
      if (producer !== undefined)
        this.#sequences[producer] = Math.max(this.#sequences[producer] ?? 0, sequence)
      this.#head += 1
    }
    const next = this.#entries[this.#head]
    this.#low = next ? next.position : this.cursor
    if (this.#head > 1_000 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }
}
