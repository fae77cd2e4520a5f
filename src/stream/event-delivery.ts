// One attempt at one event: what a handler is told about it.
import type { CommitUnit, Progress } from '../ports/database.ts'
import type { StreamRecord } from '../ports/stream.ts'

/** Empty where no database keeps the progress. */
export type EventMark = Pick<CommitUnit<unknown>, 'progress' | 'inbox' | 'unpark'>

export class EventDelivery {
  readonly partition: number
  readonly position: number
  /** Milliseconds since the epoch, by the engine's clock. */
  readonly appendedAt: number
  /** 1 for the first attempt since this member got the partition. */
  readonly attempt: number
  /** @internal By the clock that never steps: when the attempt is ended and its signal fires. */
  readonly deadlineAt: number
  readonly #mark: () => EventMark
  #low = -1
  readonly #controller: AbortController = new AbortController()
  #ended = false

  constructor(record: StreamRecord, attempt: number, deadlineAt: number, mark: () => EventMark) {
    this.partition = record.partition
    this.position = record.position
    this.appendedAt = record.appendedAt
    this.attempt = attempt
    this.deadlineAt = deadlineAt
    this.#mark = mark
  }

  /** Fires at the deadline, when the partition is lost, and when a stop has waited long enough. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** True once the attempt no longer counts: its effects must not be committed any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** @internal The mark that this event was handled, as it stands now; only where a database keeps the progress. */
  progress(): Progress | undefined {
    return this.mark().progress
  }

  /** @internal The same, and what else makes a unit the one that handled this event. */
  mark(): EventMark {
    const mark = this.#mark()
    this.#low = mark.progress?.low ?? -1
    return mark
  }

  /** @internal The `low` of the mark that was last asked for. */
  get markedLow(): number {
    return this.#low
  }

  /** @internal */
  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  /** @internal */
  end(): void {
    this.#ended = true
  }
}
