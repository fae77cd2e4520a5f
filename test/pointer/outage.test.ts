// An owner that goes away and comes back while its events go on: nothing is lost or burnt, and it is not run over by those who waited for it.
import { afterEach, expect, test, vi } from 'vitest'
import { type Report, type Running, run, topology } from '../../src/index.ts'
import { memory, memoryStore } from '../../src/testing/index.ts'
import { change, Door, delivering, orders, type Seen, selling } from './shipping.ts'

const patience = { timeout: 60_000, interval: 50 }

const running: Running[] = []
let door: Door | undefined
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()))
  await door?.close()
})

/** Everything once, at its first attempt, in order per key, and never with an older state. */
function expectWhole(seen: readonly Seen[], versions: ReadonlyMap<string, number>): void {
  for (const [orderId, last] of versions) {
    const of = seen.filter((each) => each.orderId === orderId)
    expect(of.map(({ wanted }) => wanted)).toEqual(Array.from({ length: last }, (_, n) => n + 1))
  }
  expect(seen.filter(({ attempt }) => attempt !== 1)).toEqual([])
  expect(seen.filter(({ wanted, shown }) => shown !== 'gone' && shown < wanted)).toEqual([])
}

test('an owner is stopped under load and started again', { timeout: 120_000 }, async () => {
  door = await Door.build()
  const store = memoryStore()
  const reports: Report[] = []
  const seller = selling()
  const couriers = [delivering('delivery'), delivering('invoicing')]
  const business = topology({
    contexts: [seller.service, ...couriers.map(({ service }) => service)],
    engine: 'memory:',
    addresses: { orders: [door.address] },
  })
  const start = async (only: readonly string[]) => {
    const started = await run(business, {
      only,
      engine: memory({ store }),
      onReport: (report) => reports.push(report),
    })
    running.push(started)
    return started
  }
  // Who publishes is one process, who is asked for orders another one of the same service.
  const publisher = await start(['orders'])
  let owner = await start(['orders'])
  door.lead(owner.address)
  const consumers = await Promise.all([start(['delivery']), start(['invoicing'])])

  const versions = new Map<string, number>()
  let pages = 0
  const publish = async (rounds: number) => {
    for (let round = 0; round < rounds; round++) {
      await publisher.service(seller.service).transaction((tx) => {
        for (let n = 0; n < 60; n++) {
          const orderId = `${4711 + n}`
          versions.set(orderId, change(tx, orderId, `round ${round}`))
        }
        pages += 1
        tx.publish(orders.events.viewed, { page: `page ${pages}` })
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await publish(10)
  await vi.waitFor(() => {
    for (const { seen } of couriers) expect(seen.length).toBeGreaterThan(60)
  }, patience)

  const before = door.passed
  door.lead(undefined)
  await owner.stop()
  await publish(50)
  await vi.waitFor(() => {
    // Plain events of the same stream go on.
    for (const each of couriers) expect(each.pages).toHaveLength(pages)
    expect(reports.map(({ error }) => error.code)).toContain('OWNER_AWAY')
  }, patience)
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const { refused } = door

  owner = await start(['orders'])
  door.lead(owner.address)
  await publish(10)
  const total = [...versions.values()].reduce((sum, last) => sum + last, 0)
  await vi.waitFor(() => {
    for (const { seen } of couriers) expect(seen).toHaveLength(total)
  }, patience)

  for (const { seen } of couriers) expectWhole(seen, versions)
  for (const [index, consumer] of consumers.entries()) {
    const group = consumer.service(couriers[index]!.service as never).group(orders)
    expect(await group.deadLetters()).toEqual([])
  }
  // Nobody lost a partition, nothing was held up, no handler failed: the owner was away, and that is all.
  const codes = new Set(reports.map(({ error }) => error.code))
  codes.delete('LOOP_BLOCKED')
  expect([...codes]).toEqual(['OWNER_AWAY'])
  const after = door.passed - before
  console.log(
    `${2 * total} events of 2 consumers: ${before} requests before, ${refused} while the owner was away, ${after} after`,
  )
  // A trial now and then while it is away; afterwards batches, not an event each.
  expect(refused).toBeLessThan(60)
  expect(after).toBeLessThan(total / 4)
})
