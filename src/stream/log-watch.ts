// Looks whether the stream still is the one that the group was reading: whether it was trimmed below what the group wanted, and whether it
// ends before it, because it was made anew or restored from an older copy.
import { asSpillwayError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import type { PartitionBounds, StreamPort } from '../ports/stream.ts'
import type { Assignment } from './assignment.ts'

type Place = Pick<Assignment, 'partition' | 'window'>

export class LogWatch {
  readonly #port: StreamPort
  readonly #stream: string
  readonly #report: (error: SpillwayError) => void
  /** The first place that was passed over since the bounds were asked for, by assignment. */
  readonly #gaps = new Map<Place, number>()
  #looking = false
  /** Of these it was said that the stream ends before them. */
  readonly #beyond = new WeakSet<Place>()

  constructor(port: StreamPort, stream: string, report: (error: SpillwayError) => void) {
    this.#port = port
    this.#stream = stream
    this.#report = report
  }

  /**
   * A record came from above the place that was wanted next. Positions may leave numbers out, on some engines at every record, so one look
   * serves all gaps that came before it.
   */
  passedOver(assignment: Place, wanted: number): void {
    if (!this.#gaps.has(assignment)) this.#gaps.set(assignment, wanted)
    if (!this.#looking) void this.#lookAtGaps()
  }

  async #lookAtGaps(): Promise<void> {
    this.#looking = true
    while (this.#gaps.size > 0) {
      const gaps = [...this.#gaps]
      this.#gaps.clear()
      const bounds = await this.#bounds()
      for (const [{ partition }, wanted] of bounds ? gaps : []) {
        const { earliest, completeFrom = earliest } = bounds!.get(partition) ?? { earliest: 0 }
        if (completeFrom <= wanted) continue
        const what = `Partition ${partition} of ${this.#stream} begins at ${earliest}, but the group wanted ${wanted}.`
        this.#report(new SpillwayError('EVENTS_TRIMMED', what))
      }
    }
    this.#looking = false
  }

  /** Whether the stream still reaches what was read of it. Says so once for each assignment when it does not. */
  async lookAtEnds(assignments: readonly Place[]): Promise<void> {
    const wanted = assignments.map((of) => ({ of, cursor: of.window.cursor }))
    if (wanted.length === 0) return
    // Asked for after the cursors: the stream only grows.
    const bounds = await this.#bounds()
    for (const { of, cursor } of bounds ? wanted : []) {
      const next = bounds!.get(of.partition)?.next ?? cursor
      if (cursor <= next) this.#beyond.delete(of)
      else if (!this.#beyond.has(of)) {
        this.#beyond.add(of)
        const what = `Partition ${of.partition} of ${this.#stream} ends at ${next}, but the group has come to ${cursor} already.`
        this.#report(new SpillwayError('STREAM_REPLACED', what))
      }
    }
  }

  async #bounds(): Promise<ReadonlyMap<number, PartitionBounds> | undefined> {
    try {
      const bounds = await this.#port.bounds(this.#stream)
      return new Map(bounds.map((of) => [of.partition, of]))
    } catch (thrown) {
      if (!isSpillwayError(thrown, 'CLOSED')) this.#report(asSpillwayError(thrown))
      return undefined
    }
  }
}
