import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { testService } from 'spillway/testing'
import { notificationsService } from './pointer-consumer.ts'
import { delivery } from './pointer-contract.ts'

mkdirSync('./data', { recursive: true })

test('the customer is told of the state of today', async () => {
  const lines: string[] = []
  await using service = await testService(notificationsService((line) => lines.push(line)))
  const value = { orderId: '4711', version: 5, address: '7 Mill Lane', state: 'delivered' } as const
  const then = await service.when(
    delivery.events.shipped,
    { orderId: '4711', version: 3 },
    { current: { state: 'found', value } },
  )
  assert.equal(then.outcome, 'done')
  assert.deepEqual(lines, ['4711 version 3: delivered to 7 Mill Lane, which is version 5'])
})

test('an order that was erased', async () => {
  const lines: string[] = []
  await using service = await testService(notificationsService((line) => lines.push(line)))
  const gone = { current: { state: 'gone', data: { version: 6 } } } as const
  await service.when(delivery.events.shipped, { orderId: '4711', version: 6 }, gone)
  assert.deepEqual(lines, ['4711 was erased'])
})
