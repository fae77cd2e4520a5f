// The steps of a saga, without a broker: what each sends, and what becomes of events that find no instance.
import { expect, test } from 'vitest'
import { context, event, queue } from '../../core/contract.ts'
import { unchecked } from '../../core/schema.ts'
import { saga } from '../../saga/saga.ts'
import { service } from '../../topology/service.ts'
import { memoryDatabase } from '../memory/database.ts'
import { MemoryTable } from '../memory/table.ts'
import { testService } from './test-service.ts'

const data = unchecked<{ readonly id: string }>()
const shop = context('shop', {
  events: { placed: event({ data, key: ({ id }) => id }), paid: event({ data, key: ({ id }) => id }) },
  queues: { charge: queue({ data }), refund: queue({ data }) },
})
const by = ({ id }: { readonly id: string }) => id
const sale = saga('sale', { state: unchecked<{ readonly paid: boolean }>() })
  .startedBy(shop.events.placed, { by }, (order, step) => {
    step.send(shop.queues.charge, order)
    step.compensate('charged', shop.queues.refund, order)
    step.timeout('payment', '1h')
    return { paid: false }
  })
  .on(shop.events.paid, { by, retry: { attempts: 2, initial: '1s', max: '1s' } }, (_, __, step) => {
    step.undo()
    return step.end()
  })
  .onTimeout('payment', (_, step) => step.end())

test('a step is handled as any handler is, in the real database', async () => {
  const database = memoryDatabase({ db: new MemoryTable<number>() })
  await using sales = await testService(service(context('sales', {}), { database }).saga(sale))
  const early = await sales.when(shop.events.paid, { id: 'a' })
  expect(early).toMatchObject({ outcome: 'retried', reason: expect.stringContaining('has not started') })
  const started = await sales.when(shop.events.placed, { id: 'a' })
  expect(started.outcome).toBe('done')
  expect(started.sent(shop.queues.charge)).toMatchObject([{ id: 'a' }])
  const ended = await sales.when(shop.events.paid, { id: 'a' })
  expect(ended.outcome).toBe('done')
  expect(ended.sent(shop.queues.refund)).toMatchObject([{ id: 'a' }])
  const late = await sales.when(shop.events.paid, { id: 'a' })
  expect(late.outcome).toBe('done')
  expect(late.sent(shop.queues.refund)).toEqual([])
})
