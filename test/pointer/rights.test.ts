// Each service fetches as itself; one that is not let in waits until it is, and a stop does not wait for it.
import { expect, test, vi } from 'vitest'
import { type Report, run, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import { change, delivering, orders, selling } from './shipping.ts'

const patience = { timeout: 30_000, interval: 20 }

test('a wrong password costs no event its attempts', { timeout: 60_000 }, async () => {
  const engine = memory()
  const seller = selling()
  const { service: courier, seen } = delivering('delivery')
  const contexts = [seller.service, courier]
  const callers: unknown[] = []
  const owner = await run(topology({ contexts, engine: 'memory:' }), {
    only: ['orders'],
    engine,
    authenticate: ({ headers }) => {
      callers.push(headers.authorization)
      return headers.authorization === 'Bearer delivery' ? 'delivery' : undefined
    },
  })
  let password = 'Bearer somebody'
  const reports: Report[] = []
  const start = () =>
    run(topology({ contexts, engine: 'memory:' }), {
      only: ['delivery'],
      engine,
      addresses: { orders: [owner.address!] },
      calls: { orders: { credentials: () => ({ authorization: password }) } },
      onReport: (report) => reports.push(report),
    })
  const first = await start()
  await owner.service(seller.service).transaction((tx) => {
    for (let n = 0; n < 50; n++) change(tx, `${4711 + n}`, 'shipped')
  })
  await vi.waitFor(() => {
    expect(reports.map(({ error }) => error.code)).toContain('OWNER_AWAY')
    expect(callers.length).toBeGreaterThan(2)
  }, patience)
  expect(reports[0]!.error.message).toContain('orders.getOrder')
  expect(reports[0]!.from).toBe('the pointer events of delivery from orders')
  expect(seen).toEqual([])

  // It waits for an hour if need be; a stop does not.
  const began = performance.now()
  await first.stop({ deadlineMs: 60_000 })
  expect(performance.now() - began).toBeLessThan(20_000)

  password = 'Bearer delivery'
  const second = await start()
  await vi.waitFor(() => expect(seen).toHaveLength(50), patience)
  expect(seen.filter(({ attempt }) => attempt !== 1)).toEqual([])
  expect(
    await second
      .service(courier as never)
      .group(orders)
      .deadLetters(),
  ).toEqual([])
  await second.stop()
  await owner.stop()
  await engine.close()
})
