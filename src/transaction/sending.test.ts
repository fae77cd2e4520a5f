// What a handler sends is kept as its queue's contract and its options say, by way of an outbox and without one.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { context, queue } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import type { OutgoingMessage } from '../ports/queue.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { type Running, run } from '../topology/run.ts'
import { service } from '../topology/service.ts'
import { topology } from '../topology/topology.ts'

interface Parcel {
  id: string
  tenant: string
}

const desk = context('desk', {
  queues: {
    orders: queue({ data: unchecked<string>() }),
    parcels: queue({
      data: unchecked<Parcel>(),
      key: (parcel) => parcel.id,
      priority: true,
      dedup: (parcel) => parcel.id,
      group: (parcel) => parcel.tenant,
      ttl: '1d',
    }),
  },
})

let engine: Engine
let running: Running | undefined
/** What was sent to the engine for the parcels, as it came. */
let sent: OutgoingMessage[]

beforeEach(() => {
  engine = memory()
  sent = []
  const port = engine.queue!
  const send = port.send.bind(port)
  port.send = (name, messages) => {
    if (name === 'desk.parcels') sent.push(...messages)
    return send(name, messages)
  }
})
afterEach(async () => {
  await running?.stop()
  await engine.close()
})

test.each([
  ['through the outbox', { database: memoryDatabase({ db: new MemoryTable<number>() }) }],
  ['directly', {}],
])('order, priority, group, dedup key, delay and life go with it, %s', async (_, options) => {
  const ids: string[] = []
  const handled = vi.fn()
  const worked = service(desk, options)
    .work(desk.queues.orders, async (order, { send, commit }) => {
      send(desk.queues.parcels, { id: 'p1', tenant: 'acme' }, { id: 'first', priority: 9, delay: '1m' })
      await commit((tx) => {
        tx.send(desk.queues.parcels, { id: 'p1', tenant: 'acme' }, { id: 'second' })
        tx.send(desk.queues.parcels, { id: 'p2', tenant: 'bolt' }, { dedup: { key: 'p2', for: '1h' } })
      })
      ids.push(order.id)
    })
    .work(desk.queues.parcels, handled)
  running = await run(topology({ contexts: [worked], engine: 'memory:' }), { engine })
  await running.queue(desk.queues.orders).send('o1')
  await vi.waitFor(() => expect(sent).toHaveLength(3), { timeout: 5_000 })
  const [first, second, third] = sent
  expect(first).toMatchObject({
    id: 'first',
    key: 'p1',
    priority: 9,
    group: 'acme',
    dedup: { key: 'p1' },
    delayMs: expect.any(Number),
  })
  expect(first!.delayMs).toBeGreaterThan(50_000)
  expect(first!.delayMs).toBeLessThanOrEqual(60_000)
  expect(second).toMatchObject({ id: 'second', key: 'p1', group: 'acme', dedup: { key: 'p1' } })
  expect(second).not.toHaveProperty('delayMs')
  expect(third).toMatchObject({ key: 'p2', dedup: { key: 'p2', forMs: expect.any(Number) } })

  // The second parcel was a duplicate of the first, which waits; the third is handled.
  await vi.waitFor(() => expect(handled).toHaveBeenCalledTimes(1), { timeout: 5_000 })
  const message = handled.mock.calls[0]![0]
  expect(message).toMatchObject({ data: { id: 'p2' }, partitionkey: 'p2', group: 'bolt', dedupkey: 'p2' })
  expect(message.causationid).toBe(ids[0])
  expect(Date.parse(message.expirytime) - Date.parse(message.time)).toBe(86_400_000)
  expect(await running.queue(desk.queues.parcels).count()).toMatchObject({ ready: 0, delayed: 1, dead: 0 })
})

test.each([
  ['a priority out of range', { priority: 101 }, 'INVALID_OPTION'],
  ['a delay and a time', { delay: 1, at: new Date() }, 'INVALID_OPTION'],
])('%s is refused where it is sent, and nothing is committed', async (_, options, code) => {
  running = await run(
    topology({
      contexts: [service(desk, { database: memoryDatabase({ db: new MemoryTable<number>() }) })],
      engine: 'memory:',
    }),
    { engine },
  )
  const work = running
    .service(service(desk))
    .transaction((tx) => tx.send(desk.queues.parcels, { id: 'p1', tenant: 'acme' }, options))
  await expect(work).rejects.toMatchObject({ code })
  expect(sent).toEqual([])
})

test('a delay that the engine of the queues cannot keep is refused where it is asked for', async () => {
  Object.defineProperty(engine.queue, 'capabilities', {
    value: { ...engine.queue!.capabilities, delay: false },
  })
  running = await run(
    topology({
      contexts: [service(desk, { database: memoryDatabase({ db: new MemoryTable<number>() }) })],
      engine: 'memory:',
    }),
    { engine },
  )
  const work = running
    .service(service(desk))
    .transaction((tx) => tx.send(desk.queues.orders, 'o1', { delay: '1m' }))
  await expect(work).rejects.toMatchObject({ code: 'CAPABILITY_MISSING', engine: 'memory' })
})
