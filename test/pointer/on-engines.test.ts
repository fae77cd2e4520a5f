// Pointer events on every engine: published by the outbox, fetched, waited for, gone, and replayed with today's state.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test, vi } from 'vitest'
import { type Engine, run, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import {
  embeddedPostgres,
  firstOf,
  kafka,
  nats,
  packagedNats,
  type RunningServer,
  systemPostgres,
} from '../servers/index.ts'
import { change, Door, delivering, orders, selling } from './shipping.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointer-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const servers = {
  postgres: await firstOf(embeddedPostgres, systemPostgres),
  nats: await firstOf(nats, packagedNats),
  kafka: await firstOf(kafka),
}

test('memory', { timeout: 60_000 }, () => proven(memory()))
test('sqlite', { timeout: 60_000 }, () => proven(`sqlite:${join(folder, 'sqlite')}`))

for (const [name, [launcher, missing]] of Object.entries(servers))
  describe.skipIf(missing !== undefined)(`${name} (${missing ?? launcher.name})`, () => {
    let server: RunningServer | undefined
    beforeAll(async () => {
      server = await launcher.start()
    })
    afterAll(() => server?.stop())
    test('pointer events', { timeout: 120_000 }, () =>
      name === 'kafka' ? proven(`sqlite:${join(folder, 'beside')}`, server!.url) : proven(server!.url),
    )
  })

const patience = { timeout: 50_000, interval: 20 }
const ids = ['4711', '4712', '4713', '4714']

async function proven(engine: string | Engine, streams?: string): Promise<void> {
  const door = await Door.build()
  const seller = selling()
  const { service: courier, seen, pages } = delivering('delivery')
  const addresses = { orders: [door.address] }
  const contexts = [seller.service, courier]
  const business = topology({ contexts, engine: 'memory:', addresses, partitions: 2 })
  const running = await run(business, { engine, ...(streams === undefined ? {} : { streams }) })
  try {
    const changeAll = (state: string) =>
      running.service(seller.service).transaction((tx) => {
        for (const id of ids) change(tx, id, state)
      })
    // Nobody answers yet: the events wait, and what is no pointer does not.
    await changeAll('packed')
    await changeAll('shipped')
    await running
      .service(seller.service)
      .transaction((tx) => tx.publish(orders.events.viewed, { page: 'home' }))
    await vi.waitFor(() => {
      expect(pages).toEqual(['home'])
      expect(door.refused).toBeGreaterThan(0)
    }, patience)
    expect(seen).toEqual([])

    door.lead(running.address)
    await vi.waitFor(() => expect(seen).toHaveLength(2 * ids.length), patience)
    // Today's state for both, each at its first attempt.
    expect(seen.filter(({ shown, attempt }) => shown !== 2 || attempt !== 1)).toEqual([])
    for (const id of ids)
      expect(seen.filter(({ orderId }) => orderId === id).map(({ wanted }) => wanted)).toEqual([1, 2])

    await running.service(seller.service).transaction((tx) => change(tx, '4711', 'gone'))
    await vi.waitFor(() => expect(seen).toHaveLength(2 * ids.length + 1), patience)
    expect(seen.at(-1)).toEqual({ orderId: '4711', wanted: 3, shown: 'gone', attempt: 1 })

    // From outside of services an event is what it is.
    const read: unknown[] = []
    const count = await running.replay(orders, {
      shipped: ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<{ readonly orderId: string } & { readonly version: number }>()
        read.push(data)
      },
    })
    expect(count).toBe(2 * ids.length + 1)
    expect(read).toContainEqual({ orderId: '4712', version: 1 })

    const group = running.service(courier as never).group(orders)
    await group.replay('earliest')
    await vi.waitFor(() => expect(seen).toHaveLength(2 * (2 * ids.length + 1)), patience)
    const again = seen.slice(2 * ids.length + 1)
    for (const { orderId, shown } of again) expect(shown).toBe(orderId === '4711' ? 'gone' : 2)
    expect(await group.deadLetters()).toEqual([])
  } finally {
    await running.stop()
    await door.close()
    if (typeof engine !== 'string') await engine.close()
  }
}
