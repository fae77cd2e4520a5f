// A member of a consumer group at work: joins, reads ahead, handles keys in parallel and each key in order, keeps progress.
import { systemClock } from '../core/clock.ts'
import { checkConcurrency } from '../core/concurrency.ts'
import { milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { type Background, background } from '../core/lifecycle.ts'
import { checkName } from '../core/name.ts'
import type { StreamPort } from '../ports/stream.ts'
import { Member } from './member.ts'
import type { SubscriptionPlan } from './plan.ts'
import { checkStart } from './start.ts'

export type Subscription = Background

export function subscribe(port: StreamPort, plan: SubscriptionPlan): Subscription {
  const clock = plan.clock ?? systemClock
  checkName(plan.group, 'consumer group')
  if (plan.from !== undefined) checkStart(plan.from)
  const concurrency = checkConcurrency(plan.concurrency)
  const sessionMs = milliseconds(plan.session ?? '30s', 'session')
  if (sessionMs < port.limits.minSessionMs)
    throw new SpillwayError(
      'INVALID_OPTION',
      `session is ${sessionMs} ms; this engine can keep none shorter than ${port.limits.minSessionMs} ms.`,
    )
  const parks = [...plan.handlers.values()].some(({ policy }) => policy.onFailure === 'park')
  if (parks && !plan.store)
    throw new SpillwayError(
      'CONFIGURATION',
      `The group ${plan.group} on ${plan.stream} is to park what fails, and has nowhere to: events are parked in the database of a service, with the group's position.`,
    )
  const keepDeadMs = milliseconds(plan.keepDeadLetters ?? '90d', 'keepDeadLetters')
  if (keepDeadMs < 60_000)
    throw new SpillwayError(
      'INVALID_OPTION',
      `keepDeadLetters is ${keepDeadMs} ms; it takes a minute at least.`,
    )
  const member = new Member(port, plan, clock, { concurrency, sessionMs, keepDeadMs })
  return background(async ({ stopping, abandon }) => {
    // A member that has no partitions yet waits on nothing that keeps a process alive.
    const alive = setInterval(() => {}, 2 ** 31 - 1)
    try {
      await member.run(stopping, abandon)
    } finally {
      clearInterval(alive)
    }
  }, clock)
}
