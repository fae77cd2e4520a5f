// Faults of a queue in leasing, settling and burying, planted in front of the in-memory engine.
import type { Engine } from '../../../src/ports/engine.ts'
import type { ClaimedMessage, QueuePort, Settlement } from '../../../src/ports/queue.ts'
import { type Fault, queueFault } from './fault.ts'
import { byId, claimed } from './queue.ts'

/** What is settled, changed. */
function settled(change: (settlement: Settlement) => Settlement) {
  return (port: QueuePort): Partial<QueuePort> => ({
    settle: (queue, settlements) => port.settle(queue, settlements.map(change)),
  })
}

export const leaseFaults: readonly Fault<Engine>[] = [
  queueFault('a lease is given twice', ['queue.lease.one', 'queue.concurrent.each-once'], () => {
    const last = new Map<string, ClaimedMessage>()
    return (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        const again = last.get(queue)
        if (found[0] === undefined && again !== undefined) {
          last.delete(queue)
          return [again]
        }
        if (found[0] !== undefined) last.set(queue, found[0])
        return found
      },
    })
  }),
  queueFault('a message is claimed again while its lease goes on', ['queue.concurrent.each-once'], () => {
    let claims = 0
    return (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        if (++claims % 10 === 0 && found[0] !== undefined)
          await port.settle(queue, [{ lease: found[0].lease, kind: 'release' }])
        return found
      },
    })
  }),
  queueFault('leases are too short', ['queue.lease.ends'], () => (port) => ({
    claim: (queue, options) => port.claim(queue, { ...options, leaseMs: options.leaseMs / 2 }),
  })),
  queueFault('the shortest lease counts for all', ['queue.lease.apart'], () => {
    let shortest = Number.POSITIVE_INFINITY
    return (port) => ({
      claim(queue, options) {
        shortest = Math.min(shortest, options.leaseMs)
        return port.claim(queue, { ...options, leaseMs: shortest })
      },
    })
  }),
  queueFault('the fencing token is the number of starts', ['queue.lease.token-rises'], () =>
    claimed((messages) => messages.map((message) => ({ ...message, fencingToken: message.starts }))),
  ),
  queueFault(
    'extend says so and does nothing',
    ['queue.extend.moves', 'queue.extend.keeps', 'queue.extend.shortens', 'queue.extend.expired'],
    () => () => ({ extend: async (_queue, leases) => leases.map(() => 'extended') }),
  ),
  queueFault('the results of extend are in another order', ['queue.extend.order'], () => (port) => ({
    extend: async (queue, leases, leaseMs) => (await port.extend(queue, leases, leaseMs)).reverse(),
  })),
  queueFault(
    'a stale extend is accepted',
    ['queue.extend.stale', 'queue.extend.order', 'queue.rule-concurrency.late', 'queue.cancel.expires'],
    () => (port) => ({
      async extend(queue, leases, leaseMs) {
        await port.extend(queue, leases, leaseMs)
        return leases.map(() => 'extended')
      },
    }),
  ),
]

/** Applies what is stale to the lease that the message has now. */
export function unfenced(): (port: QueuePort) => Partial<QueuePort> {
  const current = new Map<string, string>()
  const messageOf = new Map<string, string>()
  return (port) => ({
    async claim(queue, options) {
      const found = await port.claim(queue, options)
      for (const { id, lease } of found) {
        messageOf.set(lease, `${queue} ${id}`)
        current.set(`${queue} ${id}`, lease)
      }
      return found
    },
    settle: (queue, settlements) =>
      port.settle(
        queue,
        settlements.map((settlement) => ({
          ...settlement,
          lease: current.get(messageOf.get(settlement.lease) ?? '') ?? settlement.lease,
        })),
      ),
  })
}

export const settleFaults: readonly Fault<Engine>[] = [
  queueFault(
    'a stale settlement is accepted',
    ['queue.settle.stale.expired', 'queue.settle.stale.released'],
    unfenced,
  ),
  queueFault(
    'every settlement is said to have been made',
    ['queue.settle.unknown', 'queue.settle.stale.twice', 'queue.settle.stale.concurrent'],
    () => (port) => ({
      async settle(queue, settlements) {
        await port.settle(queue, settlements)
        return settlements.map(() => 'settled')
      },
    }),
  ),
  queueFault(
    'settle says so and does nothing',
    ['queue.settle.done', 'queue.settle.expired-unclaimed'],
    () => () => ({ settle: async (_queue, settlements) => settlements.map(() => 'settled') }),
  ),
  queueFault('a retry does not wait', ['queue.settle.retry'], () =>
    settled((each) => (each.kind === 'retry' ? { ...each, delayMs: 0 } : each)),
  ),
  queueFault('a release counts its start', ['queue.settle.release'], () =>
    settled((each) => (each.kind === 'release' ? { lease: each.lease, kind: 'retry', delayMs: 0 } : each)),
  ),
  queueFault('a released message is lost', ['queue.concurrent.retries', 'queue.settle.release'], () =>
    settled((each) => (each.kind === 'release' ? { lease: each.lease, kind: 'done' } : each)),
  ),
  queueFault('a dead letter is thrown away', ['queue.settle.dead-letter'], () =>
    settled((each) => (each.kind === 'dead-letter' ? { lease: each.lease, kind: 'done' } : each)),
  ),
  queueFault('only the first settlement of a call is made', ['queue.settle.batch'], () => (port) => ({
    async settle(queue, settlements) {
      await port.settle(queue, settlements.slice(0, 1))
      return settlements.map(() => 'settled')
    },
  })),
  queueFault('the results of settle are in another order', ['queue.settle.order'], () => (port) => ({
    settle: async (queue, settlements) => (await port.settle(queue, settlements)).sort(),
  })),
]

export const deadFaults: readonly Fault<Engine>[] = [
  queueFault('reasons are cut off', ['queue.dead.tells'], () =>
    settled((each) =>
      each.kind === 'dead-letter' ? { ...each, reason: each.reason.slice(0, 1_000) } : each,
    ),
  ),
  queueFault('dead letters are listed by id', ['queue.dead.oldest-first'], () => (port) => ({
    deadLetters: async (queue, options) => (await port.deadLetters(queue, options)).sort(byId),
  })),
  queueFault('every page of dead letters is the first', ['queue.dead.pages'], () => (port) => ({
    deadLetters: (queue, { limit }) => port.deadLetters(queue, { limit }),
  })),
  queueFault(
    'a page after a dead letter that is gone is empty',
    ['queue.dead.pages.redriven'],
    () => (port) => ({
      async deadLetters(queue, options) {
        const all = await port.deadLetters(queue, { limit: 1_000 })
        const known = options.after === undefined || all.some(({ handle }) => handle === options.after)
        return known ? port.deadLetters(queue, options) : []
      },
    }),
  ),
  queueFault('a redriven message keeps its starts', ['queue.redrive.fresh'], () => {
    const redriven = new Map<string, number>()
    return (port) => ({
      async redrive(queue, handles) {
        for (const { handle, id, starts } of await port.deadLetters(queue, { limit: 1_000 }))
          if (handles.includes(handle)) redriven.set(`${queue} ${id}`, starts)
        return port.redrive(queue, handles)
      },
      ...claimed((messages) => messages)(port),
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        return found.map((each) => ({
          ...each,
          starts: each.starts + (redriven.get(`${queue} ${each.id}`) ?? 0),
        }))
      },
    })
  }),
  queueFault(
    'redrive counts what it was asked for',
    ['queue.redrive.counts', 'queue.redrive.unknown', 'queue.redrive.concurrent'],
    () => (port) => ({
      async redrive(queue, handles) {
        await port.redrive(queue, handles)
        return handles.length
      },
    }),
  ),
  queueFault('a redriven message passes all that wait', ['queue.redrive.order'], () => {
    const redriven = new Set<string>()
    return (port) => ({
      async redrive(queue, handles) {
        for (const { handle, id } of await port.deadLetters(queue, { limit: 1_000 }))
          if (handles.includes(handle)) redriven.add(id)
        return port.redrive(queue, handles)
      },
      ...claimed((messages) =>
        messages.sort((a, b) => Number(redriven.has(b.id)) - Number(redriven.has(a.id))),
      )(port),
    })
  }),
  queueFault('a leased message is counted as ready', ['queue.count.states'], () => (port) => ({
    async count(queue) {
      const { ready, leased, ...rest } = await port.count(queue)
      return { ...rest, ready: ready + leased, leased: 0 }
    },
  })),
]
