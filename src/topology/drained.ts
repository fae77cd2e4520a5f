// Whether a running topology has nothing left to do: for programs that end when their work is done, and for tests.
import { sleep, systemClock } from '../core/clock.ts'
import { isSpillwayError } from '../core/errors.ts'
import type { Database } from '../ports/database.ts'
import { lagOf } from '../stream/lag.ts'
import { PendingOrders } from '../stream/pending-orders.ts'
import type { Channels } from './channels.ts'
import { contextsOf, servicesOf, type Topology, timeoutQueuesOf } from './topology.ts'

const lookEveryMs = 50

/** Counts handlers that ended: whoever looked around can tell that nothing moved behind its back. */
export class Activity {
  #ended = 0

  get ended(): number {
    return this.#ended
  }

  counted<Args extends unknown[], Result>(
    handler: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result> {
    return async (...args) => {
      try {
        return await handler(...args)
      } finally {
        this.#ended += 1
      }
    }
  }
}

/** Looks until there is nothing left. An engine that is away for a while may still have something: it is asked again. */
export async function untilDrained(look: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const isDrained = async () => {
    try {
      return await look()
    } catch (thrown) {
      if (isSpillwayError(thrown) && thrown.retryable) return false
      throw thrown
    }
  }
  // How often to look is no matter of the clock that a test may hold still.
  while (!(await isDrained())) await sleep(systemClock, lookEveryMs, signal)
}

/** What was read of the logs of the groups so far, from one look to the next. */
export class OrderLooks {
  readonly #channels: Channels
  readonly #of = new Map<string, PendingOrders>()

  constructor(channels: Channels) {
    this.#channels = channels
  }

  count(stream: string, group: string): Promise<number> {
    const name = JSON.stringify([stream, group])
    const pending = this.#of.get(name) ?? new PendingOrders(this.#channels.streamPort, { stream, group })
    this.#of.set(name, pending)
    return pending.count()
  }
}

/**
 * One look at every place where a message can be. Outboxes come first: what leaves one is in its destination before the row is
 * gone. What a group was told comes before its lag: going back is done when the lag says so. A handler's message is leased, or below
 * no position, until the handler has ended: so when none ended during the look, nothing went from a place that was still to be seen to one that was seen already.
 */
export async function isDrained(
  topology: Topology,
  channels: Channels,
  services: readonly { readonly database: Pick<Database<unknown>, 'outbox'> | undefined }[],
  activity: Activity,
  orders: OrderLooks,
): Promise<boolean> {
  const { ended } = activity
  for (const { database } of services)
    if (database && (await database.outbox.count()).waiting > 0) return false
  const kept = new Set(contextsOf(topology).map(({ name }) => name))
  for (const service of servicesOf(topology)) {
    const { context, reactions, works } = service
    for (const stream of new Set(reactions.map(({ event }) => event.stream))) {
      if (!kept.has(stream)) continue
      if ((await orders.count(stream, context.name)) > 0) return false
      if ((await lagOf(channels.streamPort, stream, context.name)).total > 0) return false
    }
    for (const { queue } of works) if (!(await isEmpty(channels, queue.queue))) return false
    for (const { queue } of timeoutQueuesOf(service)) if (await anyDue(channels, queue)) return false
  }
  return activity.ended === ended
}

/** A timeout that is not due yet is no work. */
async function anyDue(channels: Channels, queue: string): Promise<boolean> {
  const { ready, leased } = await channels.allQueues.count(queue)
  return ready + leased > 0
}

async function isEmpty(channels: Channels, queue: string): Promise<boolean> {
  const { ready, delayed, waiting, leased } = await channels.allQueues.count(queue)
  return ready + delayed + waiting + leased === 0
}
