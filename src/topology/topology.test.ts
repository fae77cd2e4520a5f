import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { context, event, queue } from '../core/contract.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import { sqliteDatabase } from '../engines/sqlite/database.ts'
import type { Engine } from '../ports/engine.ts'
import { Queue } from '../queue/queue.ts'
import { memory } from '../testing/memory/engine.ts'
import type { HandlerContext } from '../transaction/handler.ts'
import { type Running, run } from './run.ts'
import { service } from './service.ts'
import { check, topology } from './topology.ts'

const orders = context('orders', {
  events: {
    placed: event({
      data: z.object({ orderId: z.string(), pence: z.number() }),
      key: (order) => order.orderId,
    }),
  },
  queues: {
    intake: queue({ data: unchecked<{ orderId: string; pence: number }>(), retry: { initial: '1ms' } }),
  },
})
const billing = context('billing', {
  events: { charged: event({ data: unchecked<{ orderId: string }>(), key: (charge) => charge.orderId }) },
  queues: {
    receipt: queue({ data: unchecked<{ orderId: string }>(), retry: { attempts: 3, initial: '1ms' } }),
  },
})

let folder: string
let engine: Engine
let reports: Report[]
let running: Running | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'topology-'))
  engine = memory()
  reports = []
})
afterEach(async () => {
  await running?.stop({ deadlineMs: 200 })
  running = undefined
  await engine.close()
  rmSync(folder, { recursive: true })
})

const table = (name: string) =>
  sqliteDatabase(join(folder, `${name}.db`), {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS effect (id TEXT)'),
  })

const effects = (of: { db: DatabaseSync }) =>
  of.db
    .prepare('SELECT id FROM effect ORDER BY id')
    .all()
    .map((row) => row.id)

const ordersService = () =>
  service(orders, { database: table('orders') }).work(orders.queues.intake, async ({ data }, { commit }) => {
    await commit((tx) => {
      tx.db.prepare('INSERT INTO effect VALUES (?)').run(data.orderId)
      tx.publish(orders.events.placed, data)
    })
  })

async function start(...services: Parameters<typeof topology>[0]['contexts'][number][]): Promise<Running> {
  running = await run(topology({ contexts: services, engine: 'memory:', partitions: 2 }), {
    engine,
    onReport: (report) => reports.push(report),
  })
  return running
}

const intake = () => new Queue(orders.queues.intake, engine.queue!, engine.name)

test('effects, events and messages go through the whole business, once', async () => {
  const ordering = ordersService()
  const receipts: string[] = []
  const charging = service(billing, { database: table('billing') })
    .on(orders.events.placed, async ({ data }, { commit, send }) => {
      expectTypeOf(data).toEqualTypeOf<{ orderId: string; pence: number }>()
      send(billing.queues.receipt, { orderId: data.orderId })
      await commit((tx) => {
        expectTypeOf(tx.db).toEqualTypeOf<DatabaseSync>()
        tx.db.prepare('INSERT INTO effect VALUES (?)').run(data.orderId)
        tx.publish(billing.events.charged, { orderId: data.orderId })
      })
    })
    .work(billing.queues.receipt, ({ data, correlationid, causationid }) => {
      expect(correlationid).toBeDefined()
      expect(causationid).not.toBe(correlationid)
      receipts.push(data.orderId)
    })
  const shop = await start(ordering, charging)
  expect(shop.warnings.filter((warning) => !warning.startsWith('memory'))).toEqual([])
  const ids = Array.from({ length: 50 }, (_, i) => `o${String(i).padStart(2, '0')}`)
  await intake().sendMany(ids.map((orderId) => ({ orderId, pence: 1 })))
  await vi.waitFor(() => expect(receipts.toSorted()).toEqual(ids), { timeout: 10_000 })
  expect(effects(shop.service(ordering).database!)).toEqual(ids)
  expect(effects(shop.service(charging).database!)).toEqual(ids)
  expect(reports).toEqual([])
})

test('a handler that fails leaves no effect, no message and no mark; its retry runs whole', async () => {
  let failures = 2
  const failing = service(orders, { database: table('orders') }).work(
    orders.queues.intake,
    async ({ data }, { commit }) => {
      await commit((tx) => {
        tx.db.prepare('INSERT INTO effect VALUES (?)').run(data.orderId)
        tx.publish(orders.events.placed, data)
        if (failures-- > 0) throw new Error('disk of straw')
      })
    },
  )
  const placed: string[] = []
  const listening = service(billing)
    .on(orders.events.placed, ({ data }) => void placed.push(data.orderId))
    .work(billing.queues.receipt, () => {})
  const shop = await start(failing, listening)
  await intake().send({ orderId: 'o1', pence: 1 })
  await vi.waitFor(() => expect(placed).toEqual(['o1']), { timeout: 5_000 })
  expect(effects(shop.service(failing).database!)).toEqual(['o1'])
  expect(reports.filter(({ error }) => error.code === 'HANDLER_FAILED')).toHaveLength(2)
})

test('a second copy of a message is passed over, and a sent one too', async () => {
  const ordering = ordersService()
  const shop = await start(
    ordering,
    service(billing).work(billing.queues.receipt, () => {}),
  )
  for (let copy = 0; copy < 3; copy++) await intake().send({ orderId: 'o1', pence: 1 }, { id: 'same' })
  await intake().send({ orderId: 'o2', pence: 1 })
  await vi.waitFor(async () => expect(await intake().count()).toMatchObject({ ready: 0, leased: 0 }), {
    timeout: 5_000,
  })
  expect(effects(shop.service(ordering).database!)).toEqual(['o1', 'o2'])
})

test.each([
  [
    'commits twice',
    async ({ commit }) => {
      await commit()
      await commit()
    },
    'COMMIT_TWICE',
  ],
  [
    'sends after its commit',
    async ({ commit, send }) => {
      await commit()
      send(billing.queues.receipt, { orderId: '1' })
    },
    'COMMIT_TWICE',
  ],
  [
    'publishes what is not its own',
    ({ publish }) => publish(billing.events.charged, { orderId: '1' }),
    'UNKNOWN_EVENT',
  ],
  [
    'publishes what fails its schema',
    ({ publish }) => publish(orders.events.placed, { orderId: 1 } as never),
    'INVALID_DATA',
  ],
  ['commits asynchronously', ({ commit }) => commit(async () => {}), 'COMMIT_ASYNC'],
  ['sends past its transaction', () => intake().send({ orderId: '2', pence: 1 }), 'DIRECT_SEND'],
] as [string, (context: HandlerContext<DatabaseSync>) => unknown, string][])(
  'a handler that %s is told so',
  async (_, handler, code) => {
    await start(
      service(orders, { database: table('orders') }).work(orders.queues.intake, (_message, given) =>
        handler(given),
      ),
      service(billing).work(billing.queues.receipt, () => {}),
    )
    await intake().send({ orderId: 'o1', pence: 1 })
    await vi.waitFor(
      () => expect(JSON.stringify(reports.map(({ error }) => error.message))).toContain(code),
      { timeout: 5_000 },
    )
  },
)

test('a service without a database delivers what it sends, and says so when asked for its database', async () => {
  const receipts: string[] = []
  await start(
    service(orders).work(orders.queues.intake, ({ data }, { publish }) =>
      publish(orders.events.placed, data),
    ),
    service(billing)
      .on(orders.events.placed, ({ data }, { send }) =>
        send(billing.queues.receipt, { orderId: data.orderId }),
      )
      .work(billing.queues.receipt, async ({ data }, { commit }) => {
        receipts.push(data.orderId)
        await commit((tx) => tx.db)
      }),
  )
  await intake().send({ orderId: 'o1', pence: 1 })
  await vi.waitFor(
    () => expect(JSON.stringify(reports.map(({ error }) => error.message))).toContain('NO_DATABASE'),
    { timeout: 5_000 },
  )
  expect(receipts).toContain('o1')
})

test('a handler cancels a message that waits, by its id', async () => {
  const cancelled: unknown[] = []
  const running = await start(
    ordersService(),
    service(billing)
      .on(orders.events.placed, async ({ data: { orderId } }, { cancel }) => {
        cancelled.push(
          await cancel(billing.queues.receipt, orderId),
          await cancel(billing.queues.receipt, orderId),
        )
      })
      .work(billing.queues.receipt, () => {}),
  )
  const receipts = running.queue(billing.queues.receipt)
  await receipts.send({ orderId: '4711' }, { id: '4711', delay: '1h' })
  await running.queue(orders.queues.intake).send({ orderId: '4711', pence: 1 })
  await vi.waitFor(() => expect(cancelled).toEqual(['removed', 'unknown']), { timeout: 10_000 })
  expect(await receipts.count()).toMatchObject({ ready: 0, delayed: 0 })
})

test('transaction() commits effects and messages from outside a handler, or neither', async () => {
  const ordering = ordersService()
  const placed: string[] = []
  const shop = await start(
    ordering,
    service(billing)
      .on(orders.events.placed, ({ data }) => void placed.push(data.orderId))
      .work(billing.queues.receipt, () => {}),
  )
  const place = (orderId: string, fail = false) =>
    shop.service(ordering).transaction((tx) => {
      tx.db.prepare('INSERT INTO effect VALUES (?)').run(orderId)
      tx.publish(orders.events.placed, { orderId, pence: 1 })
      if (fail) throw new Error('changed my mind')
      return orderId
    })
  await expect(place('o1', true)).rejects.toThrow('changed my mind')
  expect(await place('o2')).toBe('o2')
  await vi.waitFor(() => expect(placed).toEqual(['o2']), { timeout: 5_000 })
  expect(effects(shop.service(ordering).database!)).toEqual(['o2'])
})

test('check finds what is wired wrongly', () => {
  const stray = context('stray', {
    events: { e: event({ data: unchecked<number>() }) },
    queues: { q: queue({ data: unchecked<number>() }) },
  })
  const wrong = service(billing)
    .on(stray.events.e, () => {})
    .on(stray.events.e, () => {})
    .work(stray.queues.q, () => {})
  expect(check(topology({ contexts: [orders, orders, wrong], engine: 'sqlite:./data' }))).toEqual([
    'the context orders stands in the topology more than once',
    'billing handles stray.e, which no context of this topology publishes',
    'billing handles stray.e, which no context of this topology publishes',
    'billing works off the queue stray.q, which belongs to stray',
    'nobody works off the queue billing.receipt: give the service of billing a work() for it',
    'billing has more than one handler for stray.e',
  ])
  expect(
    check(
      topology({
        contexts: [orders, service(billing).work(billing.queues.receipt, () => {})],
        engine: 'sqlite:./data',
      }),
    ),
  ).toEqual([])
})

test('check finds names that only a dot tells apart, and a context on the place of dead letters', () => {
  const data = unchecked<number>()
  const short = context('a', { queues: { 'b.c': queue({ data }) }, events: { 'b.x': event({ data }) } })
  const long = context('a.b', { queues: { c: queue({ data }) }, events: { x: event({ data }) } })
  const dead = context('a.dead.a.b', { events: { x: event({ data }) } })
  const contexts = [
    short,
    service(long)
      .on(short.events['b.x'], () => {})
      .work(long.queues.c, () => {}),
    dead,
  ]
  expect(check(topology({ contexts, engine: 'memory:' }))).toEqual([
    'the queue a.b.c would be shared by a and a.b: rename one of them',
    'the event a.b.x would be shared by a and a.b: rename one of them',
    'the stream a.dead.a.b would be shared by a.dead.a.b and the dead letters of a.b: rename one of them',
  ])
})

test('what is no topology is refused when it is made', () => {
  expect(() => topology({ engine: 'memory:' } as never)).toThrow(
    /contexts of a topology is undefined.*CONFIGURATION/,
  )
  expect(() => topology({ contexts: [undefined as never], engine: 'memory:' })).toThrow(
    /contexts\[0\].*CONFIGURATION/,
  )
  expect(() => topology({ contexts: [] } as never)).toThrow(
    /engine of a topology is undefined.*CONFIGURATION/,
  )
})

test('only the services asked for run; an unknown one is refused', async () => {
  const whole = topology({
    contexts: [ordersService(), service(billing).work(billing.queues.receipt, () => {})],
    engine: 'memory:',
  })
  await expect(run(whole, { engine, only: ['biling'] })).rejects.toThrow(
    'No service of this topology implements biling; it has orders, billing',
  )
  running = await run(whole, { engine, only: ['billing'] })
  await intake().send({ orderId: 'o1', pence: 1 })
  expect(await intake().count()).toMatchObject({ ready: 1 })
})

test('a topology of which a part cannot go on says so by its done, once', async () => {
  const ordering = ordersService()
  const shop = await start(ordering)
  await engine.close()
  await expect(shop.done).rejects.toMatchObject({ code: 'CLOSED' })
  expect(reports.some(({ from }) => from === 'the consumer of orders.intake')).toBe(true)
})
