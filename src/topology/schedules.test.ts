// What a service has sent by the clock: declared when it starts, handled with its effects once, refused when it cannot be.
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { context, queue } from '../core/contract.ts'
import type { Engine } from '../ports/engine.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { memoryStore } from '../testing/memory/store.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { run } from './run.ts'
import { service } from './service.ts'
import { check, topology } from './topology.ts'

const shop = context('shop', { queues: { sums: queue({ data: z.object({ kind: z.string() }) }) } })
const { sums } = shop.queues

test('a service declares its schedules, and each due time has its effects once in all of its processes', async () => {
  const store = memoryStore()
  const db = new MemoryTable<string>()
  const source = memoryDatabase({ db })
  const seen: string[] = []
  const shopping = service(shop, { database: source })
    .schedule(sums, 'each-second', { every: '1s' }, { kind: 'sums' })
    .work(sums, async (message, { commit }) => {
      await commit(({ db }) => db.set(message.scheduledfor!, message.data.kind))
      seen.push(message.scheduledfor!)
    })
  const of = topology({ contexts: [shopping], engine: 'memory:' })
  const engines = [memory({ store }), memory({ store })]
  const running = await Promise.all(engines.map((engine) => run(of, { engine })))
  try {
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(2), { timeout: 30_000 })
    expect(await running[0]!.queue(sums).schedules()).toMatchObject([{ name: 'each-second', everyMs: 1_000 }])
  } finally {
    await Promise.all(running.map((one) => one.stop()))
    await Promise.all(engines.map((engine) => engine.close()))
  }
  expect(new Set(seen).size).toBe(seen.length)
  expect(db.entries().every(([, kind]) => kind === 'sums')).toBe(true)
})

test('what cannot be scheduled keeps the topology from starting', async () => {
  const engine: Engine = memory()
  const start = (cron: string) =>
    run(
      topology({
        contexts: [
          service(shop)
            .schedule(sums, 'nightly', { cron }, { kind: 'sums' })
            .work(sums, () => {}),
        ],
        engine: 'memory:',
      }),
      { engine },
    )
  await expect(start('0 0 31 2 *')).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  const twice = service(shop)
    .schedule(sums, 'nightly', { every: '1h' }, { kind: 'a' })
    .schedule(sums, 'nightly', { every: '2h' }, { kind: 'a' })
    .work(sums, () => {})
  await expect(run(topology({ contexts: [twice], engine: 'memory:' }), { engine })).rejects.toMatchObject({
    code: 'CONFIGURATION',
  })
  await engine.close()
})

test('check finds schedules for no queue, and of one name in two services', () => {
  const stray = context('stray', { queues: { q: queue({ data: z.string() }) } })
  const billing = context('billing', {})
  const one = service(shop)
    .schedule(stray.queues.q, 'nightly', { every: '1h' }, 'a')
    .schedule(sums, 'hourly', { every: '1h' }, { kind: 'a' })
    .work(sums, () => {})
  const two = service(billing).schedule(sums, 'hourly', { every: '1h' }, { kind: 'a' })
  expect(check(topology({ contexts: [one, two], engine: 'memory:' }))).toEqual([
    'the schedule hourly of shop.sums would be shared by shop and billing: rename one of them',
    'shop schedules nightly for the queue stray.q, which no context of this topology has',
  ])
})

test('its data is that of the queue', () => {
  // @ts-expect-error: the queue takes { kind: string }
  service(shop).schedule(sums, 'nightly', { every: '1h' }, { kind: 1 })
  // @ts-expect-error: either a pattern or an interval
  service(shop).schedule(sums, 'nightly', { every: '1h', cron: '0 3 * * *' }, { kind: 'a' })
  // @ts-expect-error: an interval has no zone
  service(shop).schedule(sums, 'nightly', { every: '1h', timeZone: 'UTC' }, { kind: 'a' })
  expect(service(shop).schedule(sums, 'nightly', { every: '1h' }, { kind: 'a' }).schedules).toHaveLength(1)
})
