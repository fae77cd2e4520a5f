// A member of a consumer group at work: joins, reads ahead, handles keys in parallel and each key in order, keeps progress.
import { type RetryOptions, type RetryPolicy, retryPolicy } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import type { EventContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { type Background, background } from '../core/lifecycle.ts'
import type { Message } from '../core/message.ts'
import { checkName } from '../core/name.ts'
import type { OnReport } from '../core/report.ts'
import type { Database } from '../ports/database.ts'
import type { StreamPort } from '../ports/stream.ts'
import type { EventDelivery } from './event-delivery.ts'
import { Member } from './member.ts'
import type { Start } from './start.ts'

/** Handles one event. Returning means done; `retry()` and `deadLetter()` say otherwise; throwing means retry by the policy. */
export type EventHandler<Out> = (message: Message<Out>, delivery: EventDelivery) => unknown

export interface SubscribeOptions {
  /** Where a group without positions starts. Default 'earliest'. */
  readonly from?: Start
  /** How many events are handled at the same time, each of another key. Default 10. */
  readonly concurrency?: number
  /**
   * What becomes of an event that fails `retry.attempts` times. `block` (the default): it is tried on, and later
   * events of its key wait; other keys go on. `skip`: it goes to the dead letters, and its key goes on.
   */
  readonly onFailure?: 'block' | 'skip'
  readonly retry?: RetryOptions
  /** How long a handler may take before its signal is aborted and the attempt fails. Default 5 min. */
  readonly deadline?: Duration
  /** How long a silent member keeps its partitions. Default 30 s. */
  readonly session?: Duration
  readonly onReport?: OnReport
  readonly clock?: Clock
}

export interface Handled {
  readonly contract: EventContract
  readonly handler: EventHandler<unknown>
}

/** A database that keeps the progress: its handlers commit it themselves and return 'committed' or 'stale'. */
export type ProgressStore = Pick<Database<unknown>, 'acquire' | 'commit'>

export interface SubscriptionPlan extends SubscribeOptions {
  readonly stream: string
  readonly group: string
  /** By CloudEvents type. */
  readonly handlers: ReadonlyMap<string, Handled>
  /** An event of a type without handler goes to the dead letters, instead of being passed over. */
  readonly strictTypes: boolean
  readonly store?: ProgressStore
}

export type Subscription = Background

export function subscribe(port: StreamPort, plan: SubscriptionPlan): Subscription {
  const clock = plan.clock ?? systemClock
  checkName(plan.group, 'consumer group')
  const { concurrency = 10 } = plan
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 10_000)
    throw new SpillwayError(
      'INVALID_OPTION',
      `concurrency is ${concurrency}; it takes a whole number from 1 to 10,000.`,
    )
  const sessionMs = milliseconds(plan.session ?? '30s', 'session')
  if (sessionMs < port.limits.minSessionMs)
    throw new SpillwayError(
      'INVALID_OPTION',
      `session is ${sessionMs} ms; this engine can keep none shorter than ${port.limits.minSessionMs} ms.`,
    )
  const member = new Member(port, plan, clock, {
    concurrency,
    sessionMs,
    deadlineMs: milliseconds(plan.deadline ?? '5m', 'deadline'),
    retry: retryPolicy(plan.retry),
  })
  return background((signals) => member.run(signals.stopping, signals.abandon), clock)
}

export interface Settings {
  readonly concurrency: number
  readonly sessionMs: number
  readonly deadlineMs: number
  readonly retry: RetryPolicy
}
