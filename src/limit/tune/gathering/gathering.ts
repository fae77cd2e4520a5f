// Gathers requests in bounded memory: what does not fit goes to temporary files, ordered, and is merged at the end.
import { Columns } from './columns.ts'
import { mergeRuns } from './merge.ts'
import type { Requests } from './requests.ts'
import { RunFile } from './run-file.ts'

export interface GatheringBounds {
  /** Requests in memory. */
  readonly requests: number
  /** What their keys take. */
  readonly keyBytes: number
  /** Temporary files. */
  readonly runs: number
}

const bounds: GatheringBounds = { requests: 2_000_000, keyBytes: 32_000_000, runs: 64 }

export class Gathering implements Disposable {
  readonly #columns = new Columns()
  readonly #bounds: GatheringBounds
  #runs: RunFile[] = []

  constructor(of: GatheringBounds = bounds) {
    this.#bounds = of
  }

  add(key: string, time: number, cost: number): void {
    const columns = this.#columns
    columns.add(key, time, cost)
    const { requests, keyBytes } = this.#bounds
    if (columns.length >= requests || columns.keyBytes >= keyBytes) this.#spill()
  }

  /** Once, at the end; whoever gets the requests disposes of them. */
  finish(): Requests {
    if (this.#runs.length === 0) return this.#columns.take(false)
    if (this.#columns.length > 0) this.#spill()
    if (this.#runs.length > 1) this.#merge()
    const [run] = this.#runs
    this.#runs = []
    return run!
  }

  /** For one that is not finished. */
  [Symbol.dispose](): void {
    for (const run of this.#runs) run[Symbol.dispose]()
    this.#runs = []
  }

  #spill(): void {
    const run = new RunFile()
    this.#runs.push(run)
    this.#columns.take(true).each(run)
    run.flush()
    if (this.#runs.length >= this.#bounds.runs) this.#merge()
  }

  #merge(): void {
    const merged = mergeRuns(this.#runs)
    this[Symbol.dispose]()
    this.#runs = [merged]
  }
}
