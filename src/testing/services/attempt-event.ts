// One attempt at an event: the runner of subscriptions decides how it ends, by the policy of the reaction. There is no group and no stream.
import type { Sealed } from '../../core/envelope.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { Current } from '../../core/pointer-contract.ts'
import type { Settled } from '../../core/settled.ts'
import { withCurrent } from '../../pointer/pointers.ts'
import { sagaEventHandler } from '../../saga/runner.ts'
import { timeoutQueue } from '../../saga/saga.ts'
import { Assignment } from '../../stream/assignment.ts'
import { deadStream } from '../../stream/dead-events.ts'
import { Ledger } from '../../stream/ledger.ts'
import { noPast } from '../../stream/past.ts'
import { failurePolicy, type Handled, type SubscriptionPlan } from '../../stream/plan.ts'
import { Runner } from '../../stream/runner.ts'
import type { Reaction } from '../../topology/service.ts'
import { eventHandler } from '../../transaction/handler.ts'
import { causeOf } from './cause-of.ts'
import type { Kept } from './kept.ts'
import type { AttemptEnd } from './then.ts'

/** Beyond the partitions of every stream: the progress of a real one is never touched. */
const partition = 1_000_000
/** What no engine would refuse. */
const maxBodyBytes = 1 << 20

export async function attemptEvent<Db>(
  kept: Kept<Db>,
  { event, handler, options, saga }: Reaction<Db>,
  { key, body }: Sealed,
  attempt: number,
  current?: Current<unknown, unknown>,
): Promise<AttemptEnd> {
  const { clock, context: group, database } = kept
  const { stream } = event
  const ended = Promise.withResolvers<Settled>()
  let retryInMs: number | undefined
  /** The runner waits for one thing only: the next attempt. That never comes here, be it after a failure of the handler or of the database. */
  const waiting = {
    now: () => clock.now(),
    elapsed: () => clock.elapsed(),
    after(ms: number) {
      retryInMs = ms
      setImmediate(() => ended.reject(kept.error))
      return () => {}
    },
  }
  const { coalesce: _, ...failure } = options
  const policy = failurePolicy(failure)
  const handle = saga
    ? sagaEventHandler({ saga: saga.of, home: kept.home, queue: timeoutQueue(group, saga.of) }, saga.reaction)
    : eventHandler(kept.home, event, handler)
  const handled: Handled = {
    contract: event,
    policy,
    ...(current && !saga
      ? { handler: withCurrent(handle), preparation: { prepare: async () => ({ value: current }) } }
      : { handler: handle }),
  }
  const plan: SubscriptionPlan = {
    stream,
    group,
    handlers: new Map([[event.type, handled]]),
    strictTypes: true,
    onSettled: ended.resolve,
    ...(database ? { store: database } : {}),
  }
  const stale = () => {
    const what = `Another test, or a running service, has the database of ${group} open and handled an event of ${stream}.`
    ended.reject(new SpillwayError('LEASE_LOST', what))
  }
  // The outbox keeps dead letters where there is a database; elsewhere nobody looks for them.
  const dead = {
    limits: { maxBodyBytes, minSessionMs: 0 },
    append: async () => ({ status: 'appended' as const, positions: [0] }),
  }
  const runner = new Runner(dead, plan, waiting, 1, {
    freed() {},
    mark: async () => {},
    full: () =>
      kept.report(new SpillwayError('HELD_UP', `${group} has parked as many events of ${stream} as it may.`)),
    stale,
    report: (error) => kept.report(error),
  })
  const held = await database?.acquire(stream, group, partition)
  const position = Math.max(held?.position ?? 0, ...(held?.finished ?? []).map((finished) => finished + 1))
  const of = { stream, group, partition }
  const summary = await database?.parking.summary(of)
  const parked = summary && { count: summary.count, keys: new Set(summary.keys) }
  const ledger = new Ledger(of, position, held)
  const assignment = new Assignment(plan, partition, ledger, new Ledger(of, 0), noPast, parked)
  const task = assignment.accept({
    partition,
    position,
    key,
    body,
    appendedAt: clock.now(),
    version: undefined,
  })
  if (!task) throw new SpillwayError('INTERNAL', `An event of ${event.type} made no task.`)
  task.attempt = attempt - 1
  runner.add(task)
  runner.runReady()
  let cancel = () => {}
  const look = (afterMs: number): void => {
    cancel = clock.after(afterMs, () => {
      runner.checkDeadlines()
      look(10)
    })
  }
  look(policy.deadlineMs)
  try {
    const { outcome, reason } = await ended.promise
    const why = reason === undefined ? {} : { reason }
    const again = outcome === 'retried' ? retryInMs : undefined
    return { outcome, ...why, error: causeOf(kept.error), retryInMs: again }
  } finally {
    cancel()
    kept.forget({ kind: 'stream', name: deadStream(plan) })
  }
}
