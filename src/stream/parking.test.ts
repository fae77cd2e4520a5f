// A parked key waits in order while others go on, and comes back as if nothing had been.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { context, event } from '../core/contract.ts'
import { deadLetter } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import {
  type MemoryDatabaseSource,
  MemoryTable,
  memory,
  memoryDatabase,
  memoryStore,
} from '../testing/index.ts'
import { type Running, run } from '../topology/run.ts'
import { service } from '../topology/service.ts'
import { topology } from '../topology/topology.ts'
import type { ServiceHandler } from '../transaction/handler.ts'

interface Step {
  key: string
  n: number
}
type Rows = MemoryTable<number>

const moves = context('moves', {
  events: {
    step: event({ data: unchecked<Step>(), key: ({ key }) => key }),
    loose: event({ data: unchecked<Step>() }),
  },
})
const ledger = context('ledger', {})

const store = memoryStore()
let engines: Engine[]
let database: MemoryDatabaseSource<Rows>
let rows: Rows
let order: string[]
let reports: Report[]
let runs: Running[]

beforeEach(() => {
  store.logs.clear()
  rows = new MemoryTable<number>()
  database = memoryDatabase({ db: rows })
  engines = []
  order = []
  reports = []
  runs = []
})
afterEach(async () => {
  await Promise.all(runs.map((running) => running.stop({ deadlineMs: 50 }).catch(() => {})))
  await Promise.all(engines.map((engine) => engine.close()))
})

const publisher = service(moves)
/** Says what becomes of a step: it throws, or returns an outcome. */
type Judge = (step: Step) => unknown

function listener(judge: Judge) {
  const handle: ServiceHandler<Step, Rows> = async ({ data }, { commit }) => {
    const said = await judge(data)
    if (said !== undefined) return said
    await commit(({ db }) => {
      if (db.has(`${data.key}${data.n}`)) throw new Error('done twice')
      db.set(`${data.key}${data.n}`, data.n)
    })
    order.push(`${data.key}${data.n}`)
    return undefined
  }
  const options = { onFailure: 'park', retry: { attempts: 2, initial: '1ms' } } as const
  return service(ledger, { database })
    .on(moves.events.step, handle, options)
    .on(moves.events.loose, handle, options)
}

async function start(judge: Judge) {
  const engine = memory({ store })
  engines.push(engine)
  const listening = listener(judge)
  const running = await run(
    topology({ contexts: [publisher, listening], engine: 'memory:', partitions: 1 }),
    {
      engine,
      onReport: (report) => reports.push(report),
    },
  )
  runs.push(running)
  const group = running.service(listening).group(moves)
  const publish = (...steps: Step[]) =>
    running.service(publisher).transaction((tx) => {
      for (const step of steps) tx.publish(moves.events.step, step)
    })
  return { engine, running, group, publish }
}

const throws = (): never => {
  throw new Error('not today')
}
const of = (prefix: string) => order.filter((each) => each.startsWith(prefix))

test('a failing key is parked in order, others go on, and unparking brings it back', async () => {
  let failing = true
  const { group, publish } = await start(({ key, n }) =>
    failing && key === 'a' && n === 1 ? throws() : undefined,
  )
  await publish(
    ...[0, 1, 2, 3].flatMap((n) => [
      { key: 'a', n },
      { key: 'b', n },
    ]),
  )
  await vi.waitFor(() => expect(of('b')).toEqual(['b0', 'b1', 'b2', 'b3']), { timeout: 5_000 })
  await vi.waitFor(async () => expect(await group.parked()).toHaveLength(3), { timeout: 5_000 })
  expect(of('a')).toEqual(['a0'])
  const [head, second] = await group.parked()
  expect(head).toMatchObject({ key: 'a', attempts: 2, reason: expect.stringContaining('not today') })
  expect(second).toMatchObject({ key: 'a', attempts: 0, reason: expect.stringContaining('before it') })
  await vi.waitFor(async () => expect((await group.lag()).total).toBe(0), { timeout: 5_000 })
  failing = false
  await group.unpark('b')
  await publish({ key: 'a', n: 4 })
  await vi.waitFor(async () => expect(await group.parked()).toHaveLength(4), { timeout: 5_000 })
  await group.unpark('a')
  await vi.waitFor(() => expect(of('a')).toEqual(['a0', 'a1', 'a2', 'a3', 'a4']), { timeout: 5_000 })
  await publish({ key: 'a', n: 5 })
  await vi.waitFor(() => expect(of('a')).toContain('a5'), { timeout: 5_000 })
  expect(await group.parked()).toEqual([])
})

test('what comes while a key drains comes after it, and what fails again stays parked', async () => {
  let failing: number | undefined = 0
  const { group, publish } = await start(async ({ n }) => {
    await new Promise((resolve) => setTimeout(resolve, 2))
    return n === failing ? throws() : undefined
  })
  await publish(...Array.from({ length: 150 }, (_, n) => ({ key: 'a', n })))
  await vi.waitFor(async () => expect(await group.parked({ limit: 500 })).toHaveLength(150), {
    timeout: 5_000,
  })
  failing = 120
  await group.unpark()
  await publish(...Array.from({ length: 30 }, (_, n) => ({ key: 'a', n: 150 + n })))
  // Both at once: while the later 30 are on their way there are 60 parked after 90 handled, too.
  await vi.waitFor(
    async () => {
      expect(order).toHaveLength(120)
      expect(await group.parked({ limit: 500 })).toHaveLength(60)
    },
    { timeout: 5_000 },
  )
  expect((await group.parked())[0]).toMatchObject({
    attempts: 2,
    reason: expect.stringContaining('not today'),
  })
  failing = undefined
  await group.unpark()
  await vi.waitFor(() => expect(order).toHaveLength(180), { timeout: 8_000 })
  expect(order).toEqual(Array.from({ length: 180 }, (_, n) => `a${n}`))
})

test('when all that can be parked is of one key, those that wait for room let it go first', {
  timeout: 60_000,
}, async () => {
  let failing = true
  const { group, publish } = await start(({ n }) => (failing && n === 0 ? throws() : undefined))
  await publish(...Array.from({ length: 10_050 }, (_, n) => ({ key: 'a', n })))
  await vi.waitFor(() => expect(reports.some(({ error }) => error.code === 'HELD_UP')).toBe(true), {
    timeout: 30_000,
    interval: 100,
  })
  failing = false
  await group.unpark('a')
  await vi.waitFor(() => expect(order).toHaveLength(10_050), { timeout: 25_000, interval: 100 })
  expect(order).toEqual(Array.from({ length: 10_050 }, (_, n) => `a${n}`))
  expect(await group.parked()).toEqual([])
})

test('let go of twice at once, an event without key runs once', async () => {
  let failing = true
  let running = 0
  let most = 0
  const { running: topologyRuns, group } = await start(async () => {
    if (failing) throws()
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 100))
    running -= 1
    return undefined
  })
  await topologyRuns
    .service(publisher)
    .transaction((tx) => tx.publish(moves.events.loose, { key: 'x', n: 1 }))
  await vi.waitFor(async () => expect(await group.parked()).toHaveLength(1), { timeout: 5_000 })
  failing = false
  await Promise.all([group.unpark(), group.unpark()])
  await topologyRuns.drained()
  expect(order).toEqual(['x1'])
  expect(most).toBe(1)
})

test('drained() waits for what is let go of', async () => {
  let failing = true
  const { running, group, publish } = await start(async ({ n }) => {
    if (failing && n === 0) throws()
    await new Promise((resolve) => setTimeout(resolve, 50))
    return undefined
  })
  await publish({ key: 'a', n: 0 }, { key: 'a', n: 1 })
  await vi.waitFor(async () => expect(await group.parked()).toHaveLength(2), { timeout: 5_000 })
  await running.drained()
  failing = false
  await group.unpark('a')
  await running.drained()
  expect(order).toEqual(['a0', 'a1'])
})

test('a parked key is parked for the next member too, which drains it once', async () => {
  let failing = true
  const judge: Judge = ({ n }) => (failing && n === 0 ? throws() : undefined)
  const first = await start(judge)
  await first.publish({ key: 'a', n: 0 }, { key: 'a', n: 1 })
  await vi.waitFor(async () => expect(await first.group.parked()).toHaveLength(2), { timeout: 5_000 })
  // As kill -9 would: nobody says goodbye.
  await first.engine.close()
  const second = await start(judge)
  await second.publish({ key: 'a', n: 2 })
  await vi.waitFor(async () => expect(await second.group.parked()).toHaveLength(3), { timeout: 5_000 })
  failing = false
  await second.group.unpark('a')
  await vi.waitFor(() => expect(order).toEqual(['a0', 'a1', 'a2']), { timeout: 5_000 })
  expect(rows.size).toBe(3)
})

test('an event that kills its process is parked, and those behind it, and nothing is done twice', {
  timeout: 20_000,
}, async () => {
  let deadly = true
  let deaths = 0
  for (;;) {
    const died = Promise.withResolvers<void>()
    let dead = false
    const life = await start(({ key, n }) => {
      if (dead) return new Promise(() => {})
      if (!deadly || key !== 'a' || n !== 1) return undefined
      dead = true
      void life.engine.close().then(() => died.resolve())
      return new Promise(() => {})
    })
    if (deaths === 0)
      await life.publish(
        ...[0, 1, 2].flatMap((n) => [
          { key: 'a', n },
          { key: 'b', n },
        ]),
      )
    const parked = vi.waitFor(async () => expect(await life.group.parked()).toHaveLength(2), {
      timeout: 5_000,
    })
    if ((await Promise.race([died.promise, parked.then(() => 'parked')])) === 'parked') {
      expect(await life.group.parked()).toMatchObject([
        { attempts: 2, reason: 'its process ended 2 times while it was handled' },
        { attempts: 0 },
      ])
      deadly = false
      await life.group.unpark()
      await vi.waitFor(() => expect(of('a')).toEqual(['a0', 'a1', 'a2']), { timeout: 5_000 })
      break
    }
    parked.catch(() => {})
    deaths += 1
  }
  expect(deaths).toBe(4)
  expect(of('b')).toEqual(['b0', 'b1', 'b2'])
  expect(rows.size).toBe(6)
})

test('going back takes what is parked from there on with it', async () => {
  let failing = true
  const { group, publish } = await start(({ key }) => (failing && key === 'a' ? throws() : undefined))
  await publish({ key: 'a', n: 0 }, { key: 'a', n: 1 })
  await vi.waitFor(async () => expect(await group.parked()).toHaveLength(2), { timeout: 5_000 })
  failing = false
  await group.replay('earliest')
  await vi.waitFor(() => expect(order).toEqual(['a0', 'a1']), { timeout: 5_000 })
  expect(await group.parked()).toEqual([])
})

test('a handler can still give an event up', async () => {
  const { group, publish } = await start(({ n }) => (n === 0 ? deadLetter('hopeless') : undefined))
  await publish({ key: 'a', n: 0 }, { key: 'a', n: 1 })
  await vi.waitFor(() => expect(order).toEqual(['a1']), { timeout: 5_000 })
  await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
  expect(await group.parked()).toEqual([])
})

test('without a database parking is refused at the start, saying why', async () => {
  const engine = memory()
  engines.push(engine)
  const bare = service(ledger).on(moves.events.step, () => {}, { onFailure: 'park' })
  const starting = run(topology({ contexts: [publisher, bare], engine: 'memory:' }), { engine })
  await expect(starting).rejects.toMatchObject({
    code: 'CONFIGURATION',
    message: expect.stringContaining('park'),
  })
  const stream = await new Spillway(engine).stream('steps', { data: unchecked<Step>() })
  expect(() => stream.subscribe('g', () => {}, { onFailure: 'park' })).toThrow('database of a service')
  await expect(stream.group('g').parked()).rejects.toMatchObject({ code: 'CONFIGURATION' })
})
