// Faults in keeping schedules, planted in front of the in-memory engine.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { QueuePort } from '../../../src/ports/queue.ts'
import type { ScheduleChange } from '../../../src/ports/queue-schedules.ts'
import { type Change, type Fault, queueFault } from './fault.ts'

async function stateOf(port: QueuePort, queue: string, name: string) {
  const { schedules } = await port.schedules(queue, 'all')
  return schedules.find((each) => each.name === name)
}

/** Looks for the version itself, and waits before it uses it when `slow`. */
function anyVersion(applies: (change: ScheduleChange) => boolean): () => Change<QueuePort> {
  return () => (port) => ({
    async putSchedule(queue, change) {
      if (!applies(change)) return port.putSchedule(queue, change)
      const known = await stateOf(port, queue, change.name)
      return port.putSchedule(queue, { ...change, version: known?.version })
    },
  })
}

/** What is sent goes another way than the schedule. */
function apart(sendsFirst: boolean): () => Change<QueuePort> {
  return () => (port) => ({
    async putSchedule(queue, change) {
      if (sendsFirst) await port.send(queue, change.messages)
      const result = await port.putSchedule(queue, { ...change, messages: [] })
      if (!sendsFirst && result === 'stored') await port.send(queue, change.messages)
      return result
    },
  })
}

export const scheduleFaults: readonly Fault<Engine>[] = [
  queueFault('schedules are known to the process that made them', ['queue.schedules.list'], () => (port) => {
    const own = new Set<string>()
    return {
      async putSchedule(queue, change) {
        own.add(change.name)
        return port.putSchedule(queue, change)
      },
      async schedules(queue, which) {
        const list = await port.schedules(queue, which)
        return { ...list, schedules: list.schedules.filter(({ name }) => own.has(name)) }
      },
    }
  }),
  queueFault('schedules are told in the order of their making', ['queue.schedules.list'], () => (port) => ({
    async schedules(queue, which) {
      const list = await port.schedules(queue, which)
      return { ...list, schedules: [...list.schedules].sort((a, b) => a.version - b.version) }
    },
  })),
  queueFault('what comes is due', ['queue.schedules.due'], () => (port) => ({
    async schedules(queue, which) {
      const list = await port.schedules(queue, which)
      return which === 'due' ? { ...list, ...(await port.schedules(queue, 'all')) } : list
    },
  })),
  queueFault('a schedule is told by how its name begins', ['queue.schedules.named'], () => (port) => ({
    async schedules(queue, which) {
      if (typeof which !== 'object' || !('name' in which)) return port.schedules(queue, which)
      const list = await port.schedules(queue, 'all')
      return { ...list, schedules: list.schedules.filter(({ name }) => name.startsWith(which.name)) }
    },
  })),
  queueFault('a pause hides a schedule from who names it', ['queue.schedules.named'], () => (port) => ({
    async schedules(queue, which) {
      const list = await port.schedules(queue, which)
      if (typeof which !== 'object' || !('name' in which)) return list
      return (await port.count(queue)).paused ? { ...list, schedules: [] } : list
    },
  })),
  queueFault('what is left out counts among the hundred', ['queue.schedules.besides'], () => (port) => ({
    async schedules(queue, which) {
      if (typeof which !== 'object' || !('dueBesides' in which)) return port.schedules(queue, which)
      const list = await port.schedules(queue, 'due')
      return {
        ...list,
        schedules: list.schedules.filter(({ version }) => !which.dueBesides.includes(version)),
      }
    },
  })),
  queueFault('what is left out is left out in each of its states', ['queue.schedules.besides'], () => {
    const besides = new Set<string>()
    return (port) => ({
      async schedules(queue, which) {
        const list = await port.schedules(queue, which)
        if (typeof which !== 'object' || !('dueBesides' in which)) {
          if (which === 'due') for (const { name } of list.schedules) besides.add(name)
          return list
        }
        return { ...list, schedules: list.schedules.filter(({ name }) => !besides.has(name)) }
      },
    })
  }),
  queueFault('nobody hears when the next one is due', ['queue.schedules.due'], () => (port) => ({
    async schedules(queue, which) {
      const list = await port.schedules(queue, which)
      return { ...list, nextDue: list.schedules[0]?.due }
    },
  })),
  queueFault('a pause does not count', ['queue.schedules.paused'], () => (port) => ({
    async schedules(queue, which) {
      const list = await port.schedules(queue, 'all')
      return which === 'all'
        ? list
        : { ...list, schedules: list.schedules.filter(({ due }) => due <= list.now) }
    },
  })),
  queueFault(
    'the second one takes the place of the first',
    ['queue.schedules.first'],
    anyVersion(({ version }) => version === undefined),
  ),
  queueFault(
    'the state that somebody saw is not compared',
    ['queue.schedules.version', 'queue.schedules.race', 'queue.schedules.remove', 'queue.schedules.first'],
    anyVersion(({ version }) => version !== undefined),
  ),
  queueFault('the due time is compared, in its process', ['queue.schedules.race'], () => (port) => ({
    async putSchedule(queue, change) {
      const known = await stateOf(port, queue, change.name)
      if (known?.version !== change.version) return 'stale'
      await delay(2)
      const now = await stateOf(port, queue, change.name)
      return port.putSchedule(queue, {
        ...change,
        version: now?.version,
        due: Math.max(change.due, (now?.last ?? 0) + 1),
      })
    },
  })),
  queueFault('versions count the changes of one schedule', ['queue.schedules.remove'], () => {
    const real = new Map<string, number[]>()
    const key = (queue: string, name: string) => `${queue} ${name}`
    return (port) => ({
      async putSchedule(queue, change) {
        const versions = real.get(key(queue, change.name)) ?? []
        const version = change.version === undefined ? undefined : (versions[change.version - 1] ?? -1)
        const result = await port.putSchedule(queue, { ...change, version })
        if (result === 'stored') {
          const state = await stateOf(port, queue, change.name)
          real.set(key(queue, change.name), [...versions, state!.version])
        }
        return result
      },
      async schedules(queue, which) {
        const list = await port.schedules(queue, which)
        return {
          ...list,
          schedules: list.schedules.map((each) => ({
            ...each,
            version: (real.get(key(queue, each.name)) ?? []).indexOf(each.version) + 1,
          })),
        }
      },
      async removeSchedule(queue, name) {
        real.delete(key(queue, name))
        return port.removeSchedule(queue, name)
      },
    })
  }),
  queueFault('what fired last is forgotten', ['queue.schedules.last'], () => {
    const said = new Map<number, number | undefined>()
    return (port) => ({
      async putSchedule(queue, change) {
        const result = await port.putSchedule(queue, change)
        const state = await stateOf(port, queue, change.name)
        if (result === 'stored' && state) said.set(state.version, change.last)
        return result
      },
      async schedules(queue, which) {
        const list = await port.schedules(queue, which)
        return {
          ...list,
          schedules: list.schedules.map((each) => ({ ...each, last: said.get(each.version) })),
        }
      },
    })
  }),
  queueFault('a due time that goes back is the next one', ['queue.schedules.forward'], () => (port) => ({
    putSchedule: (queue, change) =>
      port.putSchedule(queue, change).catch(async (error: unknown) => {
        if (!isSpillwayError(error, 'INVALID_OPTION')) throw error
        return port.putSchedule(queue, { ...change, last: undefined, due: Date.UTC(2300, 0, 1) })
      }),
  })),
  queueFault(
    'messages are sent, then the schedule moves on',
    [
      'queue.schedules.version',
      'queue.schedules.race',
      'queue.schedules.first.race',
      'queue.schedules.remove.race',
      'queue.schedules.forward',
    ],
    apart(true),
  ),
  queueFault('the schedule moves on, then messages are sent', ['queue.schedules.atomic'], apart(false)),
  queueFault('the last message comes first', ['queue.schedules.sends'], () => (port) => ({
    putSchedule: (queue, change) =>
      port.putSchedule(queue, { ...change, messages: [...change.messages].reverse() }),
  })),
  queueFault('schedules send past the rules', ['queue.schedules.rules'], () => (port) => ({
    putSchedule: (queue, change) =>
      port.putSchedule(queue, {
        ...change,
        messages: change.messages.map(({ id, body }) => ({ id, body })),
      }),
  })),
  queueFault('a duplicate holds the schedule up', ['queue.schedules.rules'], () => (port) => ({
    async putSchedule(queue, change) {
      const before = await port.count(queue)
      const result = await port.putSchedule(queue, change)
      const { ready } = await port.count(queue)
      return ready - before.ready < change.messages.length ? 'stale' : result
    },
  })),
  queueFault(
    'a removal is said and not made',
    ['queue.schedules.remove', 'queue.schedules.remove.race'],
    () => () => ({ removeSchedule: async () => true }),
  ),
  queueFault('firing puts back what was removed', ['queue.schedules.remove.race'], () => (port) => ({
    async putSchedule(queue, change) {
      const result = await port.putSchedule(queue, change)
      await delay(2)
      if (result === 'stored' && (await stateOf(port, queue, change.name)) === undefined)
        await port.putSchedule(queue, { ...change, version: undefined, messages: [] })
      return result
    },
  })),
  queueFault('purging a queue takes its schedules', ['queue.schedules.stays'], () => (port) => ({
    async purge(queue, what) {
      const { schedules } = await port.schedules(queue, 'all')
      for (const { name } of schedules) await port.removeSchedule(queue, name)
      return port.purge(queue, what)
    },
  })),
  queueFault('a long spec is cut off', ['queue.schedules.bounds'], () => (port) => ({
    putSchedule: (queue, change) =>
      port.putSchedule(queue, { ...change, spec: change.spec.slice(0, 10_000) }),
  })),
]
