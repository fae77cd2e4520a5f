// Handling several messages at once, each with an outcome of its own.
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { type Outcome, outcomeOf } from '../core/outcome.ts'
import type { Delivery } from './delivery.ts'

/** Nothing: all are done. One outcome: it is that of all. A list: one for each message, in their order; undefined is done. */
export type BatchResult = undefined | Outcome | readonly (Outcome | undefined)[]

/**
 * Handles up to `size` messages. Throwing means that all of them are retried by the policy, each counted for itself. Messages that
 * cannot be read, or came too late, are not among them.
 */
export type BatchHandler<Out> = (
  messages: readonly Message<Out>[],
  batch: BatchDelivery,
  // biome-ignore lint/suspicious/noConfusingVoidType: a function without a return is the common case
) => BatchResult | void | Promise<BatchResult | void>

/** One attempt at a batch. */
export class BatchDelivery {
  /** What is known of each message: its attempt, its fencing token, a signal of its own. In the order of the messages. */
  readonly deliveries: readonly Delivery[]
  #signal: AbortSignal | undefined

  constructor(deliveries: readonly Delivery[]) {
    this.deliveries = deliveries
  }

  /** Fires when those of all its messages have: at the deadline, and when a stop has waited long enough. */
  get signal(): AbortSignal {
    this.#signal ??= whenAll(this.deliveries.map(({ signal }) => signal))
    return this.#signal
  }
}

function whenAll(signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController()
  let left = signals.length
  const onAbort = (reason: unknown) => {
    left -= 1
    if (left === 0) controller.abort(reason)
  }
  for (const signal of signals)
    if (signal.aborted) onAbort(signal.reason)
    else signal.addEventListener('abort', () => onAbort(signal.reason), { once: true })
  return controller.signal
}

/** What becomes of each message. A list that does not fit says nothing of any: it is the error of all. */
export function outcomesOf(result: unknown, count: number): readonly unknown[] | SpillwayError {
  if (Array.isArray(result)) {
    if (result.length === count) return result
    return new SpillwayError(
      'INVALID_OPTION',
      `The handler of a batch returned ${result.length} outcomes for ${count} messages; it returns nothing, one for all, or a list with one for each.`,
    )
  }
  return new Array<unknown>(count).fill(outcomeOf(result))
}
