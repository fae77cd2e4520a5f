// Faults in controlling a queue, planted in front of the in-memory engine.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { QueuePort } from '../../../src/ports/queue.ts'
import { controlCalls } from '../../../src/testing/conformance/queue/control.ts'
import { type Change, type Fault, queueFault } from './fault.ts'

/** The queue is made when it is not there. */
const declaring = (port: QueuePort): Partial<QueuePort> => ({
  async pause(queue) {
    await port.declare([queue])
    await port.pause(queue)
  },
  async peek(queue, options) {
    await port.declare([queue])
    return port.peek(queue, options)
  },
  async cancel(queue, ids) {
    await port.declare([queue])
    return port.cancel(queue, ids)
  },
  async purge(queue, what) {
    await port.declare([queue])
    return port.purge(queue, what)
  },
  async schedules(queue, which) {
    await port.declare([queue])
    return port.schedules(queue, which)
  },
  async putSchedule(queue, change) {
    await port.declare([queue])
    return port.putSchedule(queue, change)
  },
  async removeSchedule(queue, name) {
    await port.declare([queue])
    return port.removeSchedule(queue, name)
  },
  async finished(queue, options) {
    await port.declare([queue])
    return port.finished(queue, options)
  },
})

/** Queues are paused in front of the engine; `atOnce` says whether claims that wait see it. */
function pausedApart(perProcess: boolean): () => Change<QueuePort> {
  return () => {
    const shared = new Set<string>()
    return (port) => {
      const paused = perProcess ? new Set<string>() : shared
      return {
        pause: async (queue) => void paused.add(queue),
        resume: async (queue) => void paused.delete(queue),
        count: async (queue) => ({ ...(await port.count(queue)), paused: paused.has(queue) }),
        async claim(queue, options) {
          if (!paused.has(queue)) return port.claim(queue, options)
          await delay(Math.min(options.waitMs, 50))
          return []
        },
      }
    }
  }
}

export const pauseFaults: readonly Fault<Engine>[] = [
  queueFault(
    'control of an unknown queue makes it',
    Object.keys(controlCalls).map((name) => `queue.${name}.unknown`),
    () => declaring,
  ),
  queueFault('a pause is said and not made', ['queue.pause.stops', 'queue.pause.time'], () => () => ({
    pause: async () => {},
  })),
  queueFault('a pause is of one process', ['queue.pause.stops', 'queue.pause.stays'], pausedApart(true)),
  queueFault('a claim that waits does not see a pause', ['queue.pause.waiting'], pausedApart(false)),
  queueFault('declaring a queue resumes it', ['queue.pause.stays'], () => (port) => ({
    async declare(queues, rules) {
      await port.declare(queues, rules)
      for (const queue of queues) await port.resume(queue)
    },
  })),
  queueFault('pauses are counted', ['queue.pause.idempotent'], () => {
    const times = new Map<string, number>()
    return (port) => ({
      async pause(queue) {
        times.set(queue, (times.get(queue) ?? 0) + 1)
        await port.pause(queue)
      },
      async resume(queue) {
        const left = (times.get(queue) ?? 0) - 1
        times.set(queue, left)
        if (left === 0) await port.resume(queue)
      },
    })
  }),
]

export const peekFaults: readonly Fault<Engine>[] = [
  queueFault('what is leased is not seen', ['queue.peek.states', 'queue.peek.pages'], () => (port) => ({
    peek: async (queue, options) =>
      (await port.peek(queue, options)).filter(({ state }) => state !== 'leased'),
  })),
  queueFault('what was leased is so until it is settled', ['queue.peek.expired'], () => (port) => ({
    peek: async (queue, options) =>
      (await port.peek(queue, options)).map((each) =>
        each.state === 'ready' && each.starts > 0 ? { ...each, state: 'leased', due: Date.now() } : each,
      ),
  })),
  queueFault('priorities and groups are not told', ['queue.peek.carried'], () => (port) => ({
    peek: async (queue, options) =>
      (await port.peek(queue, options)).map((each) => ({ ...each, priority: 0, group: undefined })),
  })),
  queueFault('peek counts a start', ['queue.peek.claims-nothing'], () => (port) => ({
    async peek(queue, options) {
      const found = await port.peek(queue, options)
      const claimed = await port.claim(queue, { limit: options.limit, leaseMs: 60_000, waitMs: 0 })
      await port.settle(
        queue,
        claimed.map(({ lease }) => ({ lease, kind: 'retry', delayMs: 0 })),
      )
      return found
    },
  })),
  queueFault('every page is the first', ['queue.peek.pages', 'queue.peek.pages.gone'], () => (port) => ({
    peek: (queue, { limit }) => port.peek(queue, { limit }),
  })),
  queueFault('a limit out of range is another', ['queue.peek.numbers'], () => (port) => ({
    peek: (queue, options) =>
      port.peek(queue, options).catch((error: unknown) => {
        if (isSpillwayError(error, 'INVALID_OPTION')) return port.peek(queue, { ...options, limit: 1 })
        throw error
      }),
  })),
]

/** Cancelled ids are remembered, and what has one is hidden when it is claimed. */
function hidden(): Change<QueuePort> {
  const ids = new Set<string>()
  return (port) => ({
    async cancel(queue, chosen) {
      for (const id of chosen) ids.add(`${queue} ${id}`)
      return chosen.map(() => 'removed')
    },
    claim: async (queue, options) =>
      (await port.claim(queue, options)).filter(({ id }) => !ids.has(`${queue} ${id}`)),
  })
}

/** Cancelling what was claimed and not settled is said and not done. */
function onlySaid(): Change<QueuePort> {
  const leases = new Map<string, string>()
  return (port) => ({
    async claim(queue, options) {
      const found = await port.claim(queue, options)
      for (const { id, lease } of found) leases.set(`${queue} ${lease}`, id)
      return found
    },
    settle(queue, settlements) {
      for (const { lease } of settlements) leases.delete(`${queue} ${lease}`)
      return port.settle(queue, settlements)
    },
    async cancel(queue, ids) {
      const held = new Set([...leases].flatMap(([lease, id]) => (lease.startsWith(`${queue} `) ? [id] : [])))
      const others = await port.cancel(
        queue,
        ids.filter((id) => !held.has(id)),
      )
      return ids.map((id) => (held.has(id) ? 'signalled' : others.shift()!))
    },
  })
}

export const cancelFaults: readonly Fault<Engine>[] = [
  queueFault(
    'what is cancelled is hidden, not removed',
    ['queue.cancel.waits', 'queue.cancel.same-id', 'queue.key-order.cancel', 'queue.dedup.cancelled'],
    hidden,
  ),
  queueFault(
    'who holds a cancelled message is not told, and it lives on',
    [
      'queue.cancel.leased',
      'queue.cancel.ends',
      'queue.cancel.expires',
      'queue.cancel.lost',
      'queue.cancel.same-id',
    ],
    onlySaid,
  ),
  queueFault('a cancellation is told once', ['queue.cancel.leased'], () => {
    const told = new Set<string>()
    return (port) => ({
      extend: async (queue, leases, leaseMs) =>
        (await port.extend(queue, leases, leaseMs)).map((result, index) => {
          if (result !== 'cancelled' || !told.has(leases[index]!)) {
            if (result === 'cancelled') told.add(leases[index]!)
            return result
          }
          return 'extended'
        }),
    })
  }),
  queueFault('what is sent for later cannot be cancelled', ['queue.cancel.delayed'], () => (port) => ({
    async cancel(queue, ids) {
      const delayed = (await port.peek(queue, { limit: 1_000 })).filter(({ state }) => state === 'delayed')
      return delayed.length > 0 ? ids.map(() => 'unknown') : port.cancel(queue, ids)
    },
  })),
  queueFault('dead letters are cancelled', ['queue.cancel.dead'], () => (port) => ({
    async cancel(queue, ids) {
      await port.purge(queue, 'dead')
      return port.cancel(queue, ids)
    },
  })),
  queueFault('what to answer is looked up before', ['queue.cancel.race'], () => (port) => ({
    async cancel(queue, ids) {
      const states = new Map((await port.peek(queue, { limit: 1_000 })).map(({ id, state }) => [id, state]))
      await delay(10)
      await port.cancel(queue, ids)
      return ids.map((id) => {
        const state = states.get(id)
        return state === undefined ? 'unknown' : state === 'leased' ? 'signalled' : 'removed'
      })
    },
  })),
  queueFault(
    'the results of cancel are in another order',
    ['queue.cancel.many', 'queue.cancel.waits'],
    () => (port) => ({
      cancel: async (queue, ids) => (await port.cancel(queue, ids)).reverse(),
    }),
  ),
]

export const purgeFaults: readonly Fault<Engine>[] = [
  queueFault(
    'what can be claimed is purged, and nothing else',
    ['queue.purge.waiting', 'queue.purge.delayed', 'queue.purge.key-order'],
    () => (port) => ({
      async purge(queue, what) {
        if (what === 'dead') return port.purge(queue, what)
        const found = await port.claim(queue, { limit: 1_000_000, leaseMs: 60_000, waitMs: 0 })
        await port.settle(
          queue,
          found.map(({ lease }) => ({ lease, kind: 'done' })),
        )
        return found.length
      },
    }),
  ),
  queueFault('what is leased is purged too', ['queue.purge.waiting', 'queue.purge.dead'], () => (port) => ({
    async purge(queue, what) {
      const count = await port.purge(queue, what)
      const rest = await port.peek(queue, { limit: 1_000 })
      await port.cancel(
        queue,
        rest.map(({ id }) => id),
      )
      return count
    },
  })),
  queueFault('purged messages keep their keys', ['queue.dedup.purged'], () => (port) => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) =>
          message.dedup ? { ...message, dedup: { ...message.dedup, forMs: 600_000 } } : message,
        ),
      ),
  })),
  queueFault('dead letters are said to be purged', ['queue.purge.dead'], () => (port) => ({
    purge: async (queue, what) =>
      what === 'dead' ? (await port.count(queue)).dead : port.purge(queue, what),
  })),
  queueFault('a purge ends after its first step', ['queue.purge.many'], () => (port) => ({
    async purge(queue) {
      const found = await port.peek(queue, { limit: 1_000 })
      const results = await port.cancel(
        queue,
        found.filter(({ state }) => state !== 'leased').map(({ id }) => id),
      )
      return results.filter((result) => result === 'removed').length
    },
  })),
  queueFault('a purge tells how many there were', ['queue.purge.race'], () => (port) => ({
    async purge(queue, what) {
      const { ready, delayed } = await port.count(queue)
      await delay(10)
      await port.purge(queue, what)
      return ready + delayed
    },
  })),
]
