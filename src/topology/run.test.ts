// A topology that starts and ends: also when a part of it fails, and when nobody listens well.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { Database, DatabaseSource } from '../ports/database.ts'
import type { SagaPort } from '../ports/saga.ts'
import { saga } from '../saga/saga.ts'
import { fakeClock } from '../testing/fake-clock.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { Channels } from './channels.ts'
import { Activity } from './drained.ts'
import { run } from './run.ts'
import { RunningService } from './running-service.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const shop = context('shop', {
  events: { sold: event({ data: unchecked<string>() }) },
  queues: { pack: queue({ data: unchecked<string>(), retry: { initial: '1ms' } }) },
})
const other = context('other', {})

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'run-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

type Handle = MemoryTable<number>

/** A database in memory of which some methods are others. */
function databaseWith(methods: Partial<Database<Handle>>): DatabaseSource<Handle> {
  const source = memoryDatabase({ db: new MemoryTable<number>() })
  return {
    async open(name) {
      const database = await source.open(name)
      return new Proxy(database, {
        get(_, key) {
          const value: unknown = Reflect.get(key in methods ? methods : database, key)
          return typeof value === 'function' ? value.bind(database) : value
        },
      })
    },
  }
}

const busy = databaseWith({ close: () => Promise.reject(new Error('busy')) })

test('a stop in which one part fails ends all the others, says what failed, and settles done', async () => {
  const running = await run(
    topology({
      contexts: [service(shop, { database: busy }), service(other)],
      engine: `sqlite:${folder}`,
    }),
  )
  await expect(running.stop()).rejects.toThrow('busy')
  await expect(running.engines[0]!.queue!.declare(['x'])).rejects.toMatchObject({ code: 'CLOSED' })
  await running.done
})

test('a start that fails says why, whatever fails on the way back', async () => {
  const closed = { open: () => Promise.reject(new Error('the real reason')) }
  const contexts = [service(shop, { database: busy }), service(other, { database: closed })]
  await expect(run(topology({ contexts, engine: `sqlite:${folder}` }))).rejects.toThrow('the real reason')
})

test('what onReport throws ends nothing', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const engine = memory()
  const starts: number[] = []
  const shopping = service(shop).work(shop.queues.pack, (_, { attempt, commit }) => {
    starts.push(attempt)
    if (attempt === 1) throw new Error('reported by the consumer')
    return commit().then(() => {
      throw new Error('reported by the unit')
    })
  })
  await using running = await run(topology({ contexts: [shopping], engine: 'memory:' }), {
    engine,
    onReport: () => {
      throw new Error('no listener')
    },
  })
  await running.service(shopping).transaction((tx) => tx.send(shop.queues.pack, 'x'))
  await vi.waitFor(async () =>
    expect(await engine.queue!.count('shop.pack')).toMatchObject({
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
    }),
  )
  expect(starts).toEqual([1, 2])
  expect(warn).toHaveBeenCalledTimes(2)
  warn.mockRestore()
})

test('two handlers for one event or one queue do not start; an event and a queue of one name do', async () => {
  const start = async (contexts: Parameters<typeof topology>[0]['contexts']) =>
    await (await run(topology({ contexts, engine: 'memory:' }), { engine: memory() })).stop()
  const configuration = { code: 'CONFIGURATION', message: expect.stringContaining('more than one handler') }
  const listening = service(other).on(shop.events.sold, () => {})
  await expect(start([shop, listening.on(shop.events.sold, () => {})])).rejects.toMatchObject(configuration)
  const packing = service(shop).work(shop.queues.pack, () => {})
  await expect(start([packing.work(shop.queues.pack, () => {})])).rejects.toMatchObject(configuration)
  const twin = context('twin', {
    events: { x: event({ data: unchecked<string>() }) },
    queues: { x: queue({ data: unchecked<string>() }) },
  })
  await start([
    service(twin)
      .on(twin.events.x, () => {})
      .work(twin.queues.x, () => {}),
  ])
})

test('an inbox in which much is old is pruned until little is', async () => {
  const clock = fakeClock()
  const removals = [1_000, 1_000, 1_000, 3]
  const prunedAt: number[] = []
  const database = databaseWith({
    async prune() {
      prunedAt.push(clock.elapsed())
      return removals.shift() ?? 0
    },
  })
  const engine = memory()
  const running = await RunningService.open(
    service(other, { database }),
    new Channels(engine, engine, 1, clock),
    new Activity(),
    { onReport: () => {} },
  )
  running.start()
  await clock.advance(120_000)
  await running.stop()
  expect(prunedAt).toEqual([60_000, 60_100, 60_200, 60_300])
  expect(clock.timers).toBe(0)
})

test('sagas that ended long ago go as fast as they came, though nothing in the inbox is old', async () => {
  const clock = fakeClock()
  const removals = [1_000, 1_000, 3]
  const prunedAt: number[] = []
  const sagas: SagaPort = {
    get: async () => undefined,
    list: async () => [],
    async prune() {
      prunedAt.push(clock.elapsed())
      return removals.shift() ?? 0
    },
  }
  const process = saga('process', { state: unchecked<string>() }).startedBy(
    shop.events.sold,
    { by: (sold) => sold },
    (sold) => sold,
  )
  const engine = memory()
  const running = await RunningService.open(
    service(other, { database: databaseWith({ prune: async () => 0, sagas }) }).saga(process),
    new Channels(engine, engine, 1, clock),
    new Activity(),
    { onReport: () => {} },
  )
  running.start()
  await clock.advance(119_000)
  await running.stop()
  expect(prunedAt).toEqual([60_000, 60_100, 60_200])
})

test('what a stream keeps is said by the service that owns it, not by those who listen', async () => {
  const kept = context('kept', {
    events: { sold: event({ data: unchecked<string>() }) },
    retain: { for: '7d' },
  })
  const owner = service(kept)
  const listener = service(other).on(kept.events.sold, () => {})
  const asked: unknown[] = []
  for (const only of [['other'], ['kept', 'other']]) {
    const engine = memory()
    const { declare } = engine.stream!
    vi.spyOn(engine.stream!, 'declare').mockImplementation((spec) => {
      if (spec.name === 'kept') asked.push(spec.retention)
      return declare.call(engine.stream, spec)
    })
    const running = await run(topology({ contexts: [owner, listener], engine: 'memory:' }), { only, engine })
    await running.stop()
  }
  expect(asked).toEqual([undefined, { maxAgeMs: 7 * 86_400_000 }])
  expect(() => context('wrong', { retain: { for: '1ms' } })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  )
})
