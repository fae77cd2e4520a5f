// Faults of listing, planted in front of the in-memory engine.
import type { Engine } from '../../../src/ports/engine.ts'
import { type Fault, override, queueFault, streamFault } from './fault.ts'

export const nameFaults: readonly Fault<Engine>[] = [
  queueFault('only queues that this handle declared are named', ['queue.names.declared'], () => (port) => {
    const own = new Set<string>()
    return {
      async declare(queues, rules) {
        await port.declare(queues, rules)
        for (const queue of queues) own.add(queue)
      },
      names: async () => [...own].sort(),
    }
  }),
  queueFault('a queue that somebody asked for is named', ['queue.names.declared'], () => {
    const asked = new Set<string>()
    return (port) => ({
      send(queue, messages) {
        asked.add(queue)
        return port.send(queue, messages)
      },
      names: async () => [...new Set([...(await port.names()), ...asked])].sort(),
    })
  }),
  queueFault('queues are named in the order of their making', ['queue.names.sorted'], () => {
    const made = new Set<string>()
    return (port) => ({
      async declare(queues, rules) {
        await port.declare(queues, rules)
        for (const queue of queues) made.add(queue)
      },
      names: async () => [...made],
    })
  }),
  {
    what: 'queues and streams are one list',
    fails: ['queue.names.no-streams'],
    plant: () => (engine) => {
      const names = async () => [...(await engine.queue!.names()), ...(await engine.stream!.names())].sort()
      return override(engine, {
        queue: override(engine.queue!, { names }),
        stream: override(engine.stream!, { names }),
      })
    },
  },
  streamFault('names are cut off at a dot', ['stream.names.declared'], () => (port) => ({
    names: async () => [...new Set((await port.names()).map((name) => name.split('.')[0]!))],
  })),
  streamFault('streams are named backwards', ['stream.names.sorted'], () => (port) => ({
    names: async () => (await port.names()).sort((a, b) => b.localeCompare(a)),
  })),
  streamFault('a group is named for every stream', ['groups.names'], () => {
    const groups = new Set<string>()
    return (port) => ({
      async join(stream, group, options) {
        groups.add(group)
        return port.join(stream, group, options)
      },
      groups: async () => [...groups].sort(),
    })
  }),
  streamFault('a group without members is forgotten', ['groups.names.committed'], () => {
    const live = new Map<string, number>()
    return (port) => ({
      async join(stream, group, options) {
        const membership = await port.join(stream, group, options)
        const name = `${stream} ${group}`
        live.set(name, (live.get(name) ?? 0) + 1)
        return override(membership, {
          async leave() {
            await membership.leave()
            live.set(name, live.get(name)! - 1)
          },
        })
      },
      groups: async (stream) =>
        (await port.groups(stream)).filter((group) => (live.get(`${stream} ${group}`) ?? 0) > 0),
    })
  }),
]
