// One attempt at one message: what a handler is told about it, and what its consumer keeps of it.
import { asError, SpillwayError } from '../core/errors.ts'
import type { ClaimedMessage } from '../ports/queue.ts'
import { maxProgress } from '../ports/queue-rules.ts'

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
  /** When the message was redriven last, in milliseconds since the epoch; undefined for one that nobody redrove. */
  readonly redrivenAt: number | undefined
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
  readonly #refusal: (() => SpillwayError) | undefined
  #progress: string | undefined

  /** `refusal`: why the engine keeps no progress. */
  constructor({ message, heldUntil }: Held, place: Place, deadlineAt: number, refusal?: () => SpillwayError) {
    this.#refusal = refusal
    this.id = message.id
    this.attempt = message.starts
    this.fencingToken = message.fencingToken
    this.redrivenAt = message.redrivenAt
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

  /**
   * Says how far the handler is: a number from 0 to 1, or any small JSON value (4,000 characters at most), which `peek` shows until the
   * attempt ends. It is stored when the lease is renewed next, within two seconds mostly, and only the newest: call it as often as you like. Throws
   * CAPABILITY_MISSING, INVALID_DATA for what is no JSON, TOO_LARGE.
   */
  progress(value: unknown): void {
    if (this.#refusal) throw this.#refusal()
    const text = jsonOf(value, this.id)
    if (!this.#ended) this.#progress = text
  }

  /** @internal What was said since it was asked last. */
  takeProgress(): string | undefined {
    const text = this.#progress
    this.#progress = undefined
    return text
  }

  /** @internal It could not be stored: the next time, unless there is something newer by then. */
  keepProgress(text: string | undefined): void {
    this.#progress ??= text
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

function jsonOf(value: unknown, id: string): string {
  let why = `${typeof value} is no JSON value`
  try {
    const text = JSON.stringify(value) as string | undefined
    if (text !== undefined) {
      if (text.length <= maxProgress) return text
      throw new SpillwayError(
        'TOO_LARGE',
        `The progress of message ${id} has ${text.length} characters as JSON; it may have ${maxProgress}. What was said before stays.`,
      )
    }
  } catch (thrown) {
    if (thrown instanceof SpillwayError) throw thrown
    why = asError(thrown).message
  }
  throw new SpillwayError('INVALID_DATA', `The progress of message ${id} cannot be written as JSON: ${why}.`)
}
