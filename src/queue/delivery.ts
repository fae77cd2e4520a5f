// One attempt at one message: what a handler is told about it, and what its consumer keeps of it.
import type { ClaimedMessage } from '../ports/queue.ts'

export class Delivery {
  readonly id: string
  /** 1 for the first start of the message; starts that never ended, in a crash, count as well. */
  readonly attempt: number
  /** Rises with every claim of this message. Store it beside an effect to refuse one of an older attempt. */
  readonly fencingToken: number
  /** @internal */
  readonly lease: string
  /** @internal By the clock that never steps: when the attempt ends, and until when its lease surely holds. */
  readonly deadlineAt: number
  /** @internal */
  heldUntil: number
  #controller: AbortController | undefined
  #reason: unknown
  #aborted = false
  #ended = false

  constructor(claimed: ClaimedMessage, deadlineAt: number, heldUntil: number) {
    this.id = claimed.id
    this.attempt = claimed.starts
    this.fencingToken = claimed.fencingToken
    this.lease = claimed.lease
    this.deadlineAt = deadlineAt
    this.heldUntil = heldUntil
  }

  /** Fires at the deadline, when the lease is lost, and when a stop has waited long enough. Made when first asked for. */
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
  }
}
