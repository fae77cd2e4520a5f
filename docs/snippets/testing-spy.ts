import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { test } from 'node:test'
import { run, service, topology } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { handlerSpy, memory } from 'spillway/testing'
import { billing, billingService, orders } from './testing-service.ts'

test('orders are charged, whoever places them', async () => {
  const folder = mkdtempSync('shop-')
  const shop = service(orders, { database: sqliteDatabase(`${folder}/orders.db`) })
  const contexts = [shop, billingService(`${folder}/billing.db`)]
  const spy = handlerSpy()
  await using running = await run(topology({ contexts, engine: 'sqlite:./data' }), {
    engine: memory(), // or none: then it runs on the engine of the topology, and the spy is the same
    onSettled: spy,
  })
  await running.service(shop).transaction((tx) => {
    tx.publish(orders.events.placed, { orderId: '1', cents: 500 })
    tx.publish(orders.events.placed, { orderId: '2', cents: -1 })
  })
  await spy.until(orders.events.placed, 'done', { by: 'billing', where: ({ data }) => data.orderId === '1' })
  const dead = await spy.until(orders.events.placed, 'dead-lettered')
  assert.equal(dead.reason, 'a negative price')

  const id = await running.queue(billing.queues.remind).send({ orderId: '13' })
  const retried = await spy.until(billing.queues.remind, 'retried', { id, within: '10s' })
  assert.equal(retried.attempt, 1)
  assert.equal(spy.seen(orders.events.placed).length, 2)
})
