// One timer for a whole consumer: renews leases, ends attempts past their deadline, hears of cancelled messages, notices a
// blocked loop.
import { blockedLoop } from '../core/blocked-loop.ts'
import type { Clock } from '../core/clock.ts'
import { asSpillwayError, type SpillwayError } from '../core/errors.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { Attempts } from './attempts.ts'

/**
 * An engine that can cancel says so when a lease is extended, so what runs is extended every two seconds there. That is one
 * call that nobody syncs, with a row for each message that has been running for so long: cheap, and where it is not (many
 * handlers, a slow engine) it is done less often, so that it takes a twentieth of the time at most.
 */
const cancelMs = 2_000
const shareOfTime = 20

export interface UpkeepSettings {
  readonly queue: string
  readonly leaseMs: number
  readonly deadlineMs: number
}

/** Begins; the returned function ends it. `onTick` is called with every look at the clock. */
export function keepUp<Out>(
  port: QueuePort,
  attempts: Attempts<Out>,
  settings: UpkeepSettings,
  clock: Clock,
  report: (error: SpillwayError) => void,
  onTick: (now: number) => void,
): () => void {
  const { queue, leaseMs, deadlineMs } = settings
  const tickMs = Math.max(10, Math.min(leaseMs / 3, deadlineMs / 2, 1_000))
  let cancelTimer = () => {}
  let last = clock.elapsed()
  let renewedAt = last
  let tookMs = 0
  let renewing = false

  /** Nobody can say any more that these are ours: another consumer may have them by now. */
  const loseOver = (): void => {
    for (const delivery of attempts.running)
      if (clock.elapsed() >= delivery.heldUntil) attempts.lose(delivery)
  }

  const renew = async (): Promise<void> => {
    const running = [...attempts.running]
    if (running.length === 0) return
    const from = clock.elapsed()
    renewing = true
    const progress = running.map((delivery) => delivery.takeProgress())
    const isSaid = progress.some((text) => text !== undefined)
    try {
      const leases = running.map(({ lease }) => lease)
      const results = await port.extend(queue, leases, leaseMs, isSaid ? progress : undefined)
      for (const [index, delivery] of running.entries()) {
        const result = results[index]
        if (result === 'stale') attempts.lose(delivery)
        else delivery.heldUntil = from + leaseMs
        if (result === 'cancelled') attempts.cancel(delivery)
      }
    } catch (thrown) {
      report(asSpillwayError(thrown))
      for (const [index, delivery] of running.entries()) delivery.keepProgress(progress[index])
      loseOver()
    } finally {
      renewing = false
      tookMs = clock.elapsed() - from
    }
  }

  const tick = (): void => {
    const now = clock.elapsed()
    const blocked = blockedLoop(now - last - tickMs, leaseMs, 'lease')
    if (blocked) report(blocked)
    // An engine that says nothing. After a late tick its answer may be here already, and is heard first.
    if (renewing && now - last < 2 * tickMs) loseOver()
    last = now
    for (const delivery of attempts.running) if (now >= delivery.deadlineAt) attempts.timeOut(delivery)
    onTick(now)
    const soonest = port.capabilities.cancel ? Math.max(cancelMs, tookMs * shareOfTime) : leaseMs
    if (!renewing && now - renewedAt >= Math.min(leaseMs / 3, soonest) - tickMs / 2) {
      renewedAt = now
      void renew()
    }
    cancelTimer = clock.after(tickMs, tick)
  }

  cancelTimer = clock.after(tickMs, tick)
  return () => cancelTimer()
}
