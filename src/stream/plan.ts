// What a subscription is asked to do: the words that its parts share.
import { type RetryOptions, type RetryPolicy, retryPolicy } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { EventContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import type { OptionNames } from '../core/known-options.ts'
import type { Message } from '../core/message.ts'
import type { OnReport } from '../core/report.ts'
import type { OnSettled } from '../core/settled.ts'
import type { Database } from '../ports/database.ts'
import type { EventDelivery } from './event-delivery.ts'
import type { Preparation } from './preparation.ts'
import type { Start } from './start.ts'

/** Handles one event. Returning means done; `retry()` and `deadLetter()` say otherwise; throwing means retry by the policy. */
export type EventHandler<Out> = (message: Message<Out>, delivery: EventDelivery) => unknown

/** What becomes of an event whose handler fails or does not end. */
export interface FailureOptions {
  /**
   * What becomes of an event that fails `retry.attempts` times. `block` (the default): it is tried on, and later
   * events of its key wait; other keys go on. `skip`: it goes to the dead letters, and its key goes on. `park`: it is put
   * aside in the service's database, later events of its key behind it, until the key is let go (`unpark`); other keys go
   * on. An event that ends its process so often goes to the dead letters with `block` too.
   */
  readonly onFailure?: OnFailure
  readonly retry?: RetryOptions
  /** How long a handler may take before its signal is aborted and the attempt fails. Default 5 min. */
  readonly deadline?: Duration
}

export const failureOptions: OptionNames<FailureOptions> = { onFailure: true, retry: true, deadline: true }

export type OnFailure = 'block' | 'skip' | 'park'

export interface FailurePolicy {
  readonly onFailure: OnFailure
  readonly retry: RetryPolicy
  readonly deadlineMs: number
}

/** Throws INVALID_OPTION for what cannot work. */
export function failurePolicy(options: FailureOptions): FailurePolicy {
  const { onFailure = 'block' } = options
  if (!['block', 'skip', 'park'].includes(onFailure))
    throw new SpillwayError(
      'INVALID_OPTION',
      `onFailure is ${describe(onFailure)}; it takes 'block', 'skip' or 'park'.`,
    )
  return {
    onFailure,
    retry: retryPolicy(options.retry),
    deadlineMs: milliseconds(options.deadline ?? '5m', 'deadline'),
  }
}

export interface GroupOptions {
  /** Where a group without positions starts. Default 'earliest'. */
  readonly from?: Start
  /** How many events are handled at the same time, each of another key. Default 10. */
  readonly concurrency?: number
  /** How long a silent member keeps its partitions. Default 30 s. */
  readonly session?: Duration
  /** How long dead letters are kept; what the group was told, half as long again. At least a minute. Default 90 d. */
  readonly keepDeadLetters?: Duration
  readonly onReport?: OnReport
  /** Told how each attempt ended; where a database keeps the progress, once that is stored. */
  readonly onSettled?: OnSettled
  readonly clock?: Clock
}

export interface SubscribeOptions extends GroupOptions, FailureOptions {}

export const subscribeOptions: OptionNames<SubscribeOptions> = {
  ...failureOptions,
  from: true,
  concurrency: true,
  session: true,
  keepDeadLetters: true,
  onReport: true,
  onSettled: true,
  clock: true,
}

export interface Handled {
  readonly contract: EventContract
  readonly handler: (message: Message, delivery: EventDelivery, prepared?: unknown) => unknown
  readonly policy: FailurePolicy
  readonly preparation?: Preparation
}

/** A database that keeps the progress: its handlers commit it themselves and return 'committed' or 'stale'. */
export type ProgressStore = Pick<Database<unknown>, 'acquire' | 'commit' | 'rewind' | 'parking'>

export interface SubscriptionPlan extends GroupOptions {
  readonly stream: string
  readonly group: string
  /** By CloudEvents type. */
  readonly handlers: ReadonlyMap<string, Handled>
  /** An event of a type without handler goes to the dead letters, instead of being passed over. */
  readonly strictTypes: boolean
  readonly store?: ProgressStore
}
