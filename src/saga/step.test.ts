// What a step gathers: its compensations are messages as any it sends, also where a validator takes its time.
import { expect, test } from 'vitest'
import { context, queue } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import { type Schema, unchecked } from '../core/schema.ts'
import { GatheringSender, type Origin } from '../transaction/sender.ts'
import { GatheringStep } from './step.ts'

type Order = { readonly id: string }

/** A validator that takes its time, and refuses the order 'bad'. */
const slow: Schema<Order, Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    async validate(value) {
      await new Promise((resolve) => setImmediate(resolve))
      return (value as Order).id === 'bad' ? { issues: [{ message: 'no' }] } : { value: value as Order }
    },
  },
}
const bank = context('bank', {
  queues: { refund: queue({ data: unchecked<Order>() }), review: queue({ data: slow }) },
})
const message = {
  id: 'm1',
  correlationid: 'c1',
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  tracestate: 'vendor=1',
  data: {},
} as Message

function begin() {
  const home: Origin = { context: 'shop' }
  const sender = new GatheringSender(home, message)
  const delivery = { signal: new AbortController().signal }
  const timeouts = { queue: undefined, known: new Set<string>() }
  const step = new GatheringStep({ id: 'o1', stored: undefined }, message, delivery, home, sender, timeouts)
  const sent = async () =>
    (await sender.validated()).map(({ destination, body }) => [
      destination.name,
      (JSON.parse(body) as Message).data,
    ])
  return { step, sender, sent }
}

test('a compensation says why it is sent, as every other message of the step', async () => {
  const { step, sender } = begin()
  step.compensate('charged', bank.queues.refund, { id: 'a' })
  step.send(bank.queues.refund, { id: 'b' })
  const [compensation] = (await step.rest()).compensations
  const why = ({ source, correlationid, causationid, traceparent, tracestate }: Message) => ({
    source,
    correlationid,
    causationid,
    traceparent,
    tracestate,
  })
  const { correlationid, traceparent, tracestate } = message
  const expected = { source: '/shop', correlationid, causationid: 'm1', traceparent, tracestate }
  expect(why(JSON.parse(compensation!.body) as Message)).toEqual(expected)
  expect(why(JSON.parse(sender.messages[0]!.body) as Message)).toEqual(expected)
})

test('what a step remembers it may undo itself, in its place, also while a validator is at work', async () => {
  const { step, sent } = begin()
  step.compensate('reviewed', bank.queues.review, { id: 'first' })
  step.compensate('forgotten', bank.queues.review, { id: 'forgotten' })
  step.compensate('charged', bank.queues.refund, { id: 'second' })
  step.forget('forgotten')
  step.undo()
  step.send(bank.queues.refund, { id: 'after' })
  expect(await step.rest()).toEqual({ timeouts: {}, compensations: [] })
  expect(await sent()).toEqual([
    ['bank.refund', { id: 'second' }],
    ['bank.review', { id: 'first' }],
    ['bank.refund', { id: 'after' }],
  ])
})

test('what a validator refuses, the commit refuses, whether it is kept or undone', async () => {
  const kept = begin()
  kept.step.compensate('reviewed', bank.queues.review, { id: 'bad' })
  await expect(kept.step.rest()).rejects.toMatchObject({ code: 'INVALID_DATA' })
  const undone = begin()
  undone.step.compensate('reviewed', bank.queues.review, { id: 'bad' })
  undone.step.undo()
  await expect(undone.sent()).rejects.toMatchObject({ code: 'INVALID_DATA' })
})
