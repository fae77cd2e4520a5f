// One attempt at a message of a queue: the consumer's own rules decide how it ends, and nothing is claimed or settled.
import { retryPolicy } from '../../core/backoff.ts'
import { milliseconds } from '../../core/duration.ts'
import type { Sealed } from '../../core/envelope.ts'
import type { Settled } from '../../core/settled.ts'
import type { Settlement } from '../../ports/queue.ts'
import { Attempts } from '../../queue/attempts.ts'
import type { Work } from '../../topology/service.ts'
import { batchWorkHandler } from '../../transaction/batch-handler.ts'
import { workHandler } from '../../transaction/handler.ts'
import { causeOf } from './cause-of.ts'
import type { Kept } from './kept.ts'
import type { AttemptEnd } from './then.ts'

export async function attemptMessage<Db>(
  kept: Kept<Db>,
  { queue, handler, batch }: Work<Db>,
  { id, key, body }: Sealed,
  attempt: number,
): Promise<AttemptEnd> {
  const { clock } = kept
  const settings = {
    deadlineMs: milliseconds(queue.deadline ?? '5m', 'deadline'),
    retry: retryPolicy(queue.retry),
  }
  const ended = Promise.withResolvers<Settled>()
  let settlement: Settlement | undefined
  const settler = {
    add(given: Settlement, told?: () => void): void {
      settlement = given
      told?.()
    },
  }
  const attempts = new Attempts(
    queue,
    handler
      ? { one: workHandler(kept.home, queue, handler) }
      : { batch: batchWorkHandler(kept.home, queue, batch) },
    settings,
    clock,
    settler,
    (error) => kept.report(error),
    () => {},
    ended.resolve,
  )
  const claimed = { id, key, body, starts: attempt, suspect: false, lease: id, fencingToken: attempt }
  let cancel = () => {}
  if (!attempts.buried(claimed)) {
    const delivery = attempts.begin({ message: claimed, heldUntil: Number.POSITIVE_INFINITY })
    cancel = clock.after(settings.deadlineMs, () => attempts.timeOut(delivery))
  }
  const { outcome, reason } = await ended.promise
  cancel()
  const retryInMs = settlement?.kind === 'retry' ? settlement.delayMs : undefined
  return { outcome, ...(reason === undefined ? {} : { reason }), error: causeOf(kept.error), retryInMs }
}
