// Sagas of a running service: started, going on, timed out, undone, ended; on a clock that the test moves.
import { afterEach, expect, test, vi } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import { fakeClock } from '../testing/fake-clock.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { run } from '../topology/run.ts'
import { service } from '../topology/service.ts'
import { topology } from '../topology/topology.ts'
import { saga } from './saga.ts'

interface Order {
  readonly invoice: string
  readonly amount: number
}
interface Waiting {
  readonly invoice: string
  readonly status: 'waiting' | 'paid'
}
const order = unchecked<Order>()
const invoice = unchecked<{ readonly invoice: string }>()
const shop = context('shop', {
  events: {
    placed: event({ data: order, key: (o) => o.invoice }),
    cancelled: event({ data: invoice, key: (o) => o.invoice }),
  },
})
const bank = context('bank', {
  events: { charged: event({ data: invoice, key: (p) => p.invoice }) },
  queues: { charge: queue({ data: order }), refund: queue({ data: order }) },
})
const store = context('store', {
  events: { packed: event({ data: invoice, key: (p) => p.invoice }) },
  // Undoing takes its time from when it is sent, not from when it was remembered.
  queues: { reserve: queue({ data: order }), release: queue({ data: order, ttl: '1m' }) },
})
const office = context('office', {})

const table = () => memoryDatabase({ db: new MemoryTable<string>() })

const fulfilment = saga('fulfilment', { state: unchecked<Waiting>() })
  .startedBy(shop.events.placed, { by: (o) => o.invoice }, (o, step) => {
    step.send(store.queues.reserve, o)
    step.compensate('reserved', store.queues.release, o)
    step.send(bank.queues.charge, o)
    step.compensate('charged', bank.queues.refund, o)
    step.timeout('payment', '15m')
    return { invoice: o.invoice, status: 'waiting' }
  })
  .on(
    bank.events.charged,
    { by: (p) => p.invoice, retry: { initial: '1s', max: '1s' } },
    (_, state, step) => {
      step.cancelTimeout('payment')
      return { ...state, status: 'paid' }
    },
  )
  .on(store.events.packed, { by: (p) => p.invoice, missing: 'ignore' }, (_, __, step) => step.end())
  .on(shop.events.cancelled, { by: (p) => p.invoice }, (_, __, step) => {
    step.undo()
    return step.end()
  })
  .onTimeout('payment', (_, step) => {
    step.forget('charged')
    step.undo()
    return step.end()
  })

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function offices(process = fulfilment) {
  const clock = fakeClock()
  const engine = memory({ clock })
  const reports: Report[] = []
  const sent: string[] = []
  const noting = (name: string) => (message: { readonly data: Order }) =>
    void sent.push(`${name} ${message.data.invoice}`)
  const offices = service(office, { database: table() }).saga(process)
  const shops = service(shop, { database: table() })
  const banks = service(bank, { database: table() })
    .work(bank.queues.charge, noting('charge'))
    .work(bank.queues.refund, noting('refund'))
  const stores = service(store, { database: table() })
    .work(store.queues.reserve, noting('reserve'))
    .work(store.queues.release, noting('release'))
  const running = await run(topology({ contexts: [shops, banks, stores, offices], engine: 'memory:' }), {
    engine,
    clock,
    onReport: (report) => reports.push(report),
  })
  ends.push(() => running.stop())
  const settle = async () => {
    for (let turn = 0; turn < 40; turn++) await clock.advance('50ms')
  }
  return {
    clock,
    reports,
    sent,
    instances: running.service(offices).saga(fulfilment),
    settle,
    place: (id: string) =>
      running.service(shops).transaction((tx) => tx.publish(shop.events.placed, { invoice: id, amount: 1 })),
    cancel: (id: string) =>
      running.service(shops).transaction((tx) => tx.publish(shop.events.cancelled, { invoice: id })),
    charge: (id: string) =>
      running.service(banks).transaction((tx) => tx.publish(bank.events.charged, { invoice: id })),
    pack: (id: string) =>
      running.service(stores).transaction((tx) => tx.publish(store.events.packed, { invoice: id })),
    running,
  }
}

test('started, going on and ended by events of three contexts; a timeout that was cancelled does nothing', async () => {
  const { place, charge, pack, settle, sent, instances, clock, reports } = await offices()
  await place('a')
  await settle()
  expect(sent.toSorted()).toEqual(['charge a', 'reserve a'])
  expect(await instances.get('a')).toMatchObject({
    state: { invoice: 'a', status: 'waiting' },
    ended: false,
    steps: 1,
    timeouts: ['payment'],
    compensations: ['reserved', 'charged'],
  })
  await charge('a')
  await settle()
  expect(await instances.get('a')).toMatchObject({ state: { status: 'paid' }, steps: 2, timeouts: [] })
  await pack('a')
  await settle()
  expect(await instances.get('a')).toMatchObject({ state: undefined, ended: true, steps: 3 })
  await clock.advance('1h')
  await settle()
  expect(sent.length).toBe(2)
  expect(await instances.list()).toMatchObject([{ id: 'a', ended: true }])
  expect(reports).toEqual([])
})

test('a timeout comes once, and undoes what was done and not forgotten', async () => {
  const { place, settle, sent, instances, clock } = await offices()
  await place('a')
  await settle()
  await clock.advance('15m')
  await settle()
  expect(sent.toSorted()).toEqual(['charge a', 'release a', 'reserve a'])
  expect(await instances.get('a')).toMatchObject({ ended: true, steps: 2 })
})

test('undo sends what was remembered, the last first', async () => {
  const { place, cancel, settle, sent } = await offices()
  await place('a')
  await settle()
  await cancel('a')
  await settle()
  expect(sent.slice(0, 2).toSorted()).toEqual(['charge a', 'reserve a'])
  expect(sent.slice(2).toSorted()).toEqual(['refund a', 'release a'])
})

test('an event that comes before the start waits for it; one that is to be ignored is told of', async () => {
  const { place, charge, pack, settle, instances, reports } = await offices()
  await pack('a')
  await charge('a')
  await settle()
  expect(reports.map(({ error }) => error.code)).toEqual(['SAGA_MISSING', 'SAGA_MISSING'])
  await place('a')
  await settle()
  await settle()
  await vi.waitFor(async () => expect(await instances.get('a')).toMatchObject({ state: { status: 'paid' } }))
})

test('a second start, and what comes after the end, are passed over and told of', async () => {
  const { place, charge, pack, settle, instances, reports, sent } = await offices()
  await place('a')
  await settle()
  await place('a')
  await settle()
  await pack('a')
  await settle()
  await charge('a')
  await place('a')
  await settle()
  expect(reports.map(({ error }) => error.code).toSorted()).toEqual([
    'SAGA_ENDED',
    'SAGA_ENDED',
    'SAGA_EXISTS',
  ])
  expect(await instances.get('a')).toMatchObject({ ended: true, steps: 2 })
  expect(sent.length).toBe(2)
})

test('a state of an older version is brought up to date; one that does not satisfy its schema is refused', async () => {
  const refusing = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof (value as { count?: unknown }).count === 'number'
          ? { value: value as { count: number } }
          : { issues: [{ message: 'count is missing', path: ['count'] }] },
    },
  }
  const database = table()
  const engine = memory()
  const counting = context('counting', {
    events: { go: event({ data: unchecked<string>(), key: (id) => id }) },
  })
  const { go } = counting.events
  const first = saga('count', { state: unchecked<{ readonly n: number }>() }).startedBy(
    go,
    { by: (id) => id },
    () => ({ n: 41 }),
  )
  const second = saga('count', {
    state: refusing,
    version: 2,
    upcast: { 1: ({ n }: { n: number }) => ({ count: n }) },
  }).on(go, { by: (id) => id, retry: { initial: '1ms' } }, (id, { count }) =>
    id === 'bad' ? ({ wrong: count } as never) : { count: count + 1 },
  )
  const wired = (process: typeof first | typeof second) =>
    service(counting, { database }).saga(process as typeof first)
  const before = wired(first)
  {
    await using running = await run(topology({ contexts: [before], engine: 'memory:' }), { engine })
    await running.service(before).transaction((tx) => {
      tx.publish(go, 'a')
      tx.publish(go, 'bad')
    })
    await running.drained()
  }
  const after = wired(second)
  const reports: Report[] = []
  await using running = await run(topology({ contexts: [after], engine: 'memory:' }), {
    engine,
    onReport: (report) => reports.push(report),
  })
  const instances = running.service(after).saga(second)
  expect((await instances.get('a'))!.state).toEqual({ count: 41 })
  await running.service(after).transaction((tx) => {
    tx.publish(go, 'a')
    tx.publish(go, 'bad')
  })
  await vi.waitFor(async () => {
    expect((await instances.get('a'))!.state).toEqual({ count: 42 })
    expect(reports.some(({ error }) => /count is missing/.test(error.message))).toBe(true)
  })
  expect((await instances.get('bad'))!.state).toEqual({ count: 41 })
})

test('what cannot work is refused: no database, no delays, two for one event, an unknown timeout', async () => {
  const bare = topology({
    contexts: [shop, bank, store, service(office).saga(fulfilment)],
    engine: 'memory:',
  })
  await expect(run(bare, { engine: memory() })).rejects.toMatchObject({
    code: 'CONFIGURATION',
    message: expect.stringContaining('no database'),
  })
  const whole = service(office, { database: table() }).saga(fulfilment)
  const engine = memory()
  const queueOf = engine.queue!
  const capabilities = { ...queueOf.capabilities, delay: false }
  const without = {
    ...engine,
    queue: new Proxy(queueOf, {
      get: (target, name) => (name === 'capabilities' ? capabilities : Reflect.get(target, name, target)),
    }),
  }
  await expect(
    run(topology({ contexts: [shop, bank, store, whole], engine: 'memory:' }), { engine: without }),
  ).rejects.toMatchObject({ code: 'CAPABILITY_MISSING', message: expect.stringContaining('fulfilment') })
  const twice = whole.on(shop.events.placed, () => {})
  await expect(
    run(topology({ contexts: [shop, bank, store, twice], engine: 'memory:' }), { engine: memory() }),
  ).rejects.toThrow(/more than one handler for shop.placed/)
  expect(() => fulfilment.on(bank.events.charged, { by: (p) => p.invoice }, (_, state) => state)).toThrow(
    /two handlers/,
  )
  expect(() => fulfilment.onTimeout('payment', (state) => state)).toThrow(/two handlers/)
})
