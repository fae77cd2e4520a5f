// How far one partition of a group is in one log, and how that is told to whoever stores it.
import type { HeldPartition, Progress } from '../ports/database.ts'
import type { Done } from './group-entry.ts'
import { Window, type WindowEntry } from './window.ts'

export interface LedgerAddress {
  readonly stream: string
  readonly group: string
  readonly partition: number
}

export class Ledger {
  readonly generation: number
  readonly window: Window
  /** What is known to be stored as our position. */
  storedLow: number
  readonly #address: LedgerAddress
  readonly #finishedBefore: Set<number>

  constructor(address: LedgerAddress, position: number, held?: Partial<HeldPartition>) {
    this.#address = address
    this.generation = held?.generation ?? 0
    this.window = new Window(position, held?.sequences)
    this.storedLow = held?.position ?? -1
    this.#finishedBefore = new Set(held?.finished)
  }

  /** Whether the position was finished before this partition was taken. Asked once for each. */
  wasFinished(position: number): boolean {
    return this.#finishedBefore.delete(position)
  }

  /** The mark that this record is handled, as it stands when its transaction commits. */
  progress(entry: WindowEntry): Progress {
    return this.#progress(entry.position, this.window.markWith(entry))
  }

  /** The mark that everything below `low` is handled. */
  progressSoFar(): Progress {
    const { low, sequences } = this.window
    return this.#progress(undefined, { low, sequences })
  }

  /** The same in the words of the group's log, where no database keeps it. */
  get done(): Done {
    return { below: this.window.low, above: this.window.finishedAbove }
  }

  #progress(finished: number | undefined, mark: Pick<Progress, 'low' | 'sequences'>): Progress {
    return { ...this.#address, generation: this.generation, finished, ...mark }
  }
}
