// Ten thousand pointer events for a hundred keys, heard by five services: how often their owner is asked.
import { expect, test, vi } from 'vitest'
import { run, topology } from '../../src/index.ts'
import { memory } from '../../src/testing/index.ts'
import { change, Door, delivering, selling } from './shipping.ts'

const keys = 100
const versions = 100
const patience = { timeout: 100_000, interval: 100 }

test.each([
  ['published before they are heard', false],
  ['published while they are heard', true],
])('%s', { timeout: 120_000 }, async (_, live) => {
  const door = await Door.build()
  const seller = selling()
  const couriers = Array.from({ length: 5 }, (_, n) => delivering(`consumer${n}`))
  const contexts = [seller.service, ...couriers.map(({ service }) => service)]
  const addresses = { orders: [door.address] }
  const engine = memory()
  const business = topology({ contexts, engine: 'memory:', addresses })
  const owner = await run(business, { only: ['orders'], engine })
  door.lead(owner.address)
  const publish = async () => {
    for (let round = 0; round < versions; round++) {
      await owner.service(seller.service).transaction((tx) => {
        for (let n = 0; n < keys; n++) change(tx, `${4711 + n}`, 'shipped')
      })
      if (live) await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const listen = () => run(business, { only: couriers.map(({ service }) => service.context.name), engine })
  const consumers = live ? await listen() : undefined
  const published = publish()
  if (!live) await published
  const others = consumers ?? (await listen())
  await published
  await vi.waitFor(() => {
    for (const { seen } of couriers) expect(seen).toHaveLength(keys * versions)
  }, patience)
  const states = [...seller.asked.values()].reduce((sum, each) => sum + each, 0)
  console.log(
    `${5 * keys * versions} handlers were given a state: the owner answered ${door.passed} requests for ${states} states`,
  )
  for (const { seen } of couriers)
    expect(seen.filter(({ wanted, shown }) => shown === 'gone' || shown < wanted)).toEqual([])
  expect(door.passed).toBeLessThanOrEqual(1_000)
  if (!live) expect(states).toBeLessThanOrEqual(1_000)
  await others.stop()
  await owner.stop()
  await door.close()
  await engine.close()
})
