// How far each partition of each group is, and who may say so: the progress of a database in memory.
import type { HeldPartition, PartitionOfGroup, Progress, Rewind } from '../../ports/database.ts'

interface Row {
  generation: number
  low: number | null
  readonly finished: Set<number>
  readonly sequences: Map<string, number>
}

export class ProgressTable {
  readonly #rows = new Map<string, Row>()

  acquire(stream: string, group: string, partition: number): HeldPartition {
    const address = JSON.stringify([stream, group, partition])
    let row = this.#rows.get(address)
    if (row === undefined) {
      row = { generation: 0, low: null, finished: new Set(), sequences: new Map() }
      this.#rows.set(address, row)
    }
    row.generation++
    return {
      generation: row.generation,
      position: row.low,
      finished: [...row.finished].sort((a, b) => a - b),
      sequences: Object.fromEntries(row.sequences),
    }
  }

  /** Also for a generation that was never given out: after a restore nobody holds what is stored. */
  isStale(progress: PartitionOfGroup & { readonly generation: number }): boolean {
    return this.#find(progress)?.generation !== progress.generation
  }

  /** The fence was checked. */
  isFinished(progress: Progress): boolean {
    const { finished } = progress
    if (finished === undefined) return false
    const row = this.#find(progress)!
    return (row.low !== null && finished < row.low) || row.finished.has(finished)
  }

  /** The fence was checked. */
  store(progress: Progress): void {
    const row = this.#find(progress)!
    if (row.low === null || progress.low > row.low) {
      row.low = progress.low
      for (const position of row.finished) if (position < row.low) row.finished.delete(position)
      for (const [producer, sequence] of Object.entries(progress.sequences))
        row.sequences.set(producer, Math.max(sequence, row.sequences.get(producer) ?? 0))
    }
    if (progress.finished !== undefined && progress.finished >= row.low) row.finished.add(progress.finished)
  }

  /** The fence was checked. */
  rewind(to: Rewind): void {
    const row = this.#find(to)!
    const low = row.low ?? to.low
    row.generation++
    if (to.position < low) row.sequences.clear()
    row.low = Math.min(low, to.position)
    for (const position of row.finished) if (position >= to.position) row.finished.delete(position)
  }

  #find({ stream, group, partition }: PartitionOfGroup): Row | undefined {
    return this.#rows.get(JSON.stringify([stream, group, partition]))
  }
}
