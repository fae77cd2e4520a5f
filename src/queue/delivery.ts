// One attempt at one message: what a handler is told about it, and what its consumer keeps of it.
import type { ClaimedMessage } from '../ports/queue.ts'

/** Claimed, and not begun yet. */
export interface Held {
  readonly message: ClaimedMessage
  /** Until when its lease surely lasts, by the clock that never steps. */
  readonly heldUntil: number
}

/** Where a handler runs: with one message, or with those of a batch. Free again when all of them have ended. */
export interface Place {
  left: number
  readonly startedAt: number
}

const none: readonly (() => void)[] = []

export class Delivery {
  readonly id: string
  /** 1 for the first start of the message; starts that never ended, in a crash, count as well. */
  readonly attempt: number
  /** Rises with every claim of this message. Store it beside an effect to refuse one of an older attempt. */
  readonly fencingToken: number
  /** @internal */
  readonly lease: string
  /** @internal */
  readonly place: Place
  /** @internal By the clock that never steps: when the attempt ends, and until when its lease surely holds. */
  readonly deadlineAt: number
  /** @internal */
  heldUntil: number
  /** @internal Somebody cancelled the message: however its handler ends, it is gone. */
  cancelled = false
  #controller: AbortController | undefined
  #reason: unknown
  #aborted = false
  #ended = false
  #onEnd: readonly (() => void)[] = none

  constructor({ message, heldUntil }: Held, place: Place, deadlineAt: number) {
    this.id = message.id
    this.attempt = message.starts
    this.fencingToken = message.fencingToken
    this.lease = message.lease
    this.place = place
    this.deadlineAt = deadlineAt
    this.heldUntil = heldUntil
  }

  /**
   * Fires at the deadline, when the lease is lost, when the message is cancelled, and when a stop has waited long enough. Made
   * when first asked for.
   */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** True once the attempt no longer counts: its effects must not be committed any more. */
  get ended(): boolean {
    return this.#ended
  }

  get aborted(): boolean {
    return this.#aborted
  }

  /** @internal */
  abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  /** @internal */
  end(): void {
    this.#ended = true
    for (const listener of this.#onEnd) listener()
  }

  /** @internal */
  onEnd(listener: () => void): void {
    if (this.#ended) listener()
    else this.#onEnd = [...this.#onEnd, listener]
  }
}
