// drained() must wait for everything that is still to be done, wherever it is just now, and for nothing else.
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { deadLetter } from '../core/outcome.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { type Running, run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const hops = context('hops', {
  events: { hopped: event({ data: unchecked<number>() }) },
  queues: {
    hop: queue({ data: unchecked<number>(), retry: { attempts: 2, initial: '20ms' } }),
    idle: queue({ data: unchecked<number>() }),
  },
})
const listener = context('listener', {})

let running: Running | undefined
afterEach(() => running?.stop())

/** An engine to change a part of. */
const parts = (engine: Engine) => ({
  name: engine.name,
  url: engine.url,
  durability: engine.durability,
  queue: engine.queue,
  stream: engine.stream,
  close: () => engine.close(),
  [Symbol.asyncDispose]: () => engine.close(),
})

const database = () => memoryDatabase({ db: new MemoryTable<number>() })
const start = async (contexts: Parameters<typeof topology>[0]['contexts']) => {
  running = await run(topology({ contexts, engine: 'memory:', partitions: 2 }), { engine: memory() })
  return running
}

test.each([
  ['with databases', () => ({ database: database() })],
  ['without', () => ({})],
])(
  'a chain from queue to stream to queue, round and round, is drained at its end, %s',
  async (_, options) => {
    let last = -1
    const here = service(hops, options()).work(hops.queues.hop, async ({ data }, { publish }) => {
      await pause(2)
      publish(hops.events.hopped, data)
    })
    const there = service(listener, options()).on(hops.events.hopped, async ({ data }, { send }) => {
      await pause(2)
      last = data
      if (data > 0) send(hops.queues.hop, data - 1)
    })
    const { queue: queueOf, drained } = await start([here, there])
    await queueOf(hops.queues.hop).send(30)
    await drained()
    expect(last).toBe(0)
  },
)

test('what moves behind the back of a look is seen by the next', async () => {
  const engine = memory()
  const [taken, gate, behind, done] = [1, 2, 3, 4].map(() => Promise.withResolvers<void>())
  let [handled, looking] = [false, false]
  const here = service(hops).work(hops.queues.hop, async () => {
    await done!.promise
    handled = true
  })
  const there = service(listener).on(hops.events.hopped, async (_, { send }) => {
    taken!.resolve()
    await gate!.promise
    send(hops.queues.hop, 1)
  })
  // The queue was looked at by now, and is empty; the event moves on to it before the stream is looked at.
  const bounds = async (stream: string) => {
    const found = await engine.stream!.bounds(stream)
    if (!looking || stream !== 'hops') return found
    gate!.resolve()
    await vi.waitFor(async () => {
      const committed = await engine.stream!.committed(stream, 'listener')
      expect(committed[0]!.position).toBe(found[0]!.next)
    }, 10_000)
    behind!.resolve()
    return found
  }
  const stream = new Proxy(engine.stream!, {
    get(port, key) {
      if (key === 'bounds') return bounds
      const value: unknown = Reflect.get(port, key)
      return typeof value === 'function' ? value.bind(port) : value
    },
  })
  running = await run(topology({ contexts: [here, there], engine: 'memory:', partitions: 1 }), {
    engine: { ...parts(engine), stream },
  })
  await running.service(here).transaction((tx) => tx.publish(hops.events.hopped, 1))
  await taken!.promise
  looking = true
  const drained = running.drained().then(() => expect(handled).toBe(true))
  await behind!.promise
  setTimeout(() => done!.resolve(), 150)
  await drained
})

test('a retry is waited for; a dead letter and a queue that nobody works off are not', async () => {
  const attempts: number[] = []
  const here = service(hops).work(hops.queues.hop, ({ data }, { attempt }) => {
    attempts.push(attempt)
    if (data === 1) return deadLetter('no such hop')
    throw new Error('not yet')
  })
  const { queue: queueOf, drained } = await start([here])
  await queueOf(hops.queues.idle).send(1)
  await queueOf(hops.queues.hop).sendMany([1, 2])
  await drained()
  expect(attempts).toEqual([1, 1, 2])
  expect(await queueOf(hops.queues.hop).deadLetters()).toHaveLength(2)
})

test('an engine that is away is asked again; one that was closed ends the wait', async () => {
  const engine = memory()
  let failures = 3
  const count = async (queueName: string) => {
    if (failures-- > 0) throw new SpillwayError('ENGINE_UNAVAILABLE', 'It is away.')
    return engine.queue!.count(queueName)
  }
  const queueOf = new Proxy(engine.queue!, {
    get(port, key) {
      if (key === 'count') return count
      const value: unknown = Reflect.get(port, key)
      return typeof value === 'function' ? value.bind(port) : value
    },
  })
  const contexts = [service(hops).work(hops.queues.hop, () => {})]
  running = await run(topology({ contexts, engine: 'memory:' }), {
    engine: { ...parts(engine), queue: queueOf },
  })
  await running.drained()
  expect(failures).toBe(-1)
  await engine.close()
  await expect(running.drained()).rejects.toMatchObject({ code: 'CLOSED' })
})

test.each([
  ['with databases', () => ({ database: database() })],
  ['without', () => ({})],
])('what is redriven, and where a group goes back to, is waited for, %s', async (_, options) => {
  let dying = true
  const seen: number[] = []
  const here = service(hops, options()).work(hops.queues.hop, ({ data }, { publish }) =>
    publish(hops.events.hopped, data),
  )
  const there = service(listener, options()).on(
    hops.events.hopped,
    async ({ data }) => {
      if (dying && data === 1) return deadLetter('not yet')
      await pause(40)
      seen.push(data)
      return undefined
    },
    { retry: { initial: '1ms' } },
  )
  const { queue: queueOf, drained } = await start([here, there])
  await queueOf(hops.queues.hop).sendMany([1, 2, 3])
  const group = running!.service(there).group(hops)
  await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
  await drained()
  expect(seen.toSorted()).toEqual([2, 3])
  dying = false
  await group.redrive(() => true)
  await drained()
  expect(seen.toSorted()).toEqual([1, 2, 3])
  await group.replay('earliest')
  await drained()
  expect(seen.toSorted()).toEqual([1, 1, 2, 2, 3, 3])
})

test('a wait ends with its signal', async () => {
  const here = service(hops).work(hops.queues.hop, () => pause(60_000, undefined, { ref: false }))
  const { queue: queueOf, drained } = await start([here])
  await queueOf(hops.queues.hop).send(1)
  await expect(drained({ signal: AbortSignal.timeout(80) })).rejects.toMatchObject({ code: 'ABORTED' })
  await running!.stop({ deadlineMs: 10 })
})

test('a queue of no context here is unknown', async () => {
  const other = context('other', { queues: { lost: queue({ data: unchecked<number>() }) } })
  const { queue: queueOf } = await start([hops])
  expect(() => queueOf(other.queues.lost)).toThrow('UNKNOWN_QUEUE')
})
