import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { test } from 'node:test'
import { testService } from 'spillway/testing'
import { billing, billingService, orders } from './testing-service.ts'

const file = () => `${mkdtempSync('billing-')}/billing.db`

test('a placed order is charged', async () => {
  await using service = await testService(billingService(file()))
  const then = await service.when(orders.events.placed, { orderId: '1', cents: 500 })
  assert.equal(then.outcome, 'done')
  assert.deepEqual(then.published(billing.events.charged), [{ orderId: '1' }])
  assert.deepEqual(then.sent(billing.queues.remind), [{ orderId: '1' }])
  assert.equal(service.db.prepare('SELECT cents FROM charge').get()?.cents, 500)
})

test('an order that was charged before is not charged again', async () => {
  await using service = await testService(billingService(file()))
  await service.given(orders.events.placed, { orderId: '1', cents: 500 })
  const then = await service.when(orders.events.placed, { orderId: '1', cents: 500 })
  assert.equal(then.outcome, 'retried')
  assert.match(then.error?.message ?? '', /UNIQUE constraint failed/)
  assert.deepEqual(then.messages, []) // all of it, or nothing
})

test('the third attempt at a reminder is the last', async () => {
  await using service = await testService(billingService(file()))
  const then = await service.when(billing.queues.remind, { orderId: '13' }, { attempt: 3 })
  assert.equal(then.outcome, 'dead-lettered')
  assert.equal(then.reason, 'attempt 3 of 3: no such customer')
})
