// Coalescing passes events over; whoever dies or takes over in between, the newest state of every key is handled, and no event twice.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { context, type Engine, type Running, run, service, topology } from '../../src/index.ts'
import { handlerSpy, memory, memoryStore } from '../../src/testing/index.ts'
import { change, orders, selling } from './shipping.ts'

test('processes are killed while they coalesce', { timeout: 90_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coalesce-'))
  const store = memoryStore()
  const seller = selling()
  const runs = 'CREATE TABLE IF NOT EXISTS run (orderId TEXT, wanted INTEGER, shown INTEGER) STRICT'
  const indexing = service(context('indexing', {}), {
    database: sqliteDatabase(join(folder, 'indexing.db'), { setup: (db) => db.exec(runs) }),
  }).on(
    orders.events.shipped,
    async ({ data, current }, { commit }) => {
      const shown = current.state === 'found' ? current.version : -1
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      await commit(({ db }) =>
        db.prepare('INSERT INTO run VALUES (?, ?, ?)').run(data.orderId, data.version, shown),
      )
    },
    { coalesce: true, retry: { initial: '1ms', max: '5ms' } },
  )
  const spy = handlerSpy()
  const engines: Engine[] = []
  const lives: Running[] = []
  const live = async (only: string, address?: string) => {
    const engine = memory({ store })
    engines.push(engine)
    const addresses = address === undefined ? {} : { orders: [address] }
    const of = topology({ contexts: [seller.service, indexing], engine: 'memory:', addresses, partitions: 4 })
    const running = await run(of, { only: [only], engine, onSettled: spy })
    lives.push(running)
    return { running, engine }
  }
  const { running: owner } = await live('orders')
  const ids = Array.from({ length: 20 }, (_, n) => `${4711 + n}`)
  const rounds = 60
  let killed = 0
  let current = await live('indexing', owner.address)
  for (let round = 1; round <= rounds; round++) {
    await owner.service(seller.service).transaction((tx) => {
      for (const id of ids) change(tx, id, `round ${round}`)
    })
    await new Promise((resolve) => setTimeout(resolve, 15))
    if (round % 12 !== 0) continue
    // As kill -9 would: memberships end without a word, and what ran goes on for a while.
    await current.engine.close()
    killed += 1
    current = await live('indexing', owner.address)
  }
  await vi.waitFor(
    async () => expect((await current.running.service(indexing).group(orders).lag()).total).toBe(0),
    {
      timeout: 60_000,
      interval: 50,
    },
  )
  const rows = current.running
    .service(indexing)
    .database!.db.prepare('SELECT orderId, wanted, shown FROM run')
    .all() as {
    orderId: string
    wanted: number
    shown: number
  }[]
  expect(killed).toBe(5)
  for (const id of ids)
    expect(Math.max(...rows.filter(({ orderId }) => orderId === id).map(({ shown }) => shown))).toBe(rounds)
  expect(rows.filter(({ wanted, shown }) => shown < wanted)).toEqual([])
  expect(new Set(rows.map(({ orderId, wanted }) => `${orderId} ${wanted}`)).size).toBe(rows.length)
  // Fewer than the events: else nothing was shown of it.
  expect(rows.length).toBeLessThan(rounds * ids.length)
  expect(await current.running.service(indexing).group(orders).deadLetters()).toEqual([])
  // A spy sees the event as it was on the bus.
  expect(spy.seen(orders.events.shipped)[0]?.message).not.toHaveProperty('current')
  await Promise.all(lives.map((each) => each.stop({ deadlineMs: 200 })))
  await Promise.all(engines.map((engine) => engine.close()))
  rmSync(folder, { recursive: true })
})
