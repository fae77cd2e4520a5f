import { expect, test } from 'vitest'
import { context, event, open, queue, retry, run, service, topology, unchecked } from '../index.ts'
import { memory } from '../testing/index.ts'
import { checkHandler, checkOptions } from './known-options.ts'

const known = { timeZone: true, retry: true, concurrency: true, at: true } as const

test.each([
  ['timezone', 'timeZone'],
  ['time_zone', 'timeZone'],
  ['retries', 'retry'],
  ['concurency', 'concurrency'],
  ['maxConcurrency', 'concurrency'],
])('%s is refused, and %s was meant', (name, meant) => {
  expect(() => checkOptions('send()', { [name]: 1 } as object, known as never)).toThrow(
    `send() has no option \`${name}\`. Did you mean \`${meant}\`? There are timeZone, retry, concurrency, at.`,
  )
})

test('nothing is proposed for what is like none', () => {
  expect(() => checkOptions('send()', { colour: 1 } as object, known as never)).toThrow(
    'send() has no option `colour`. There are',
  )
})

test('undefined is no option; what is no object has none', () => {
  checkOptions<object>('send()', undefined, known as never)
  checkOptions<object>('send()', { colour: undefined }, known as never)
  for (const given of [5, 'x', null, true])
    expect(() => checkOptions('retry', given as never, known as never)).toThrow('is no object with options')
  expect(() => checkHandler('consume()', { concurrency: 5 })).toThrow('{"concurrency":5}, and no function')
})

// Without its types, as a program in JavaScript calls it.
const data = unchecked<string>()
const wrong = { colour: 1 } as never
const none = undefined as never
const spillway = await open(memory())
const jobs = await spillway.queue('jobs', { data })
const facts = await spillway.stream('facts', { data })
const shop = context('shop', { events: { sold: event({ data }) }, queues: { pack: queue({ data }) } })
const { events, queues } = shop
const till = service(shop)

test.each<[string, () => unknown]>([
  ['open', () => open(memory(), wrong)],
  ['queue', () => spillway.queue('other', { data, ...(wrong as object) })],
  ['retry of a queue', () => spillway.queue('other', { data, retry: wrong })],
  ['stream', () => spillway.stream('other', { data, ...(wrong as object) })],
  ['send', () => jobs.send('x', wrong)],
  ['sendMany', () => jobs.sendMany(['x'], wrong)],
  ['sendMany of no list', () => jobs.sendMany('x' as never)],
  ['at of no Date', () => jobs.send('x', { at: '2030-01-01' as never })],
  ['consume', () => jobs.consume(() => {}, wrong)],
  ['consume without a handler', () => jobs.consume(none)],
  ['consumeBatch', () => jobs.consumeBatch(() => {}, wrong)],
  ['schedule', () => jobs.schedule('each', { every: '1s', ...(wrong as object) }, 'x')],
  ['redriveAll', () => jobs.redriveAll(wrong)],
  ['append', () => facts.append('x', wrong)],
  ['appendMany', () => facts.appendMany(['x'], wrong)],
  ['appendMany of no list', () => facts.appendMany('x' as never)],
  ['subscribe', () => facts.subscribe('all', () => {}, wrong)],
  ['subscribe without a handler', () => facts.subscribe('all', none)],
  ['read', () => facts.read(wrong).toArray()],
  ['context', () => context('other', wrong)],
  ['event', () => context('other', { events: { sold: event({ data, ...(wrong as object) }) } })],
  ['service', () => service(shop, wrong)],
  ['on', () => till.on(events.sold, () => {}, wrong)],
  ['on without a handler', () => till.on(events.sold, none)],
  ['work', () => till.work(queues.pack, () => retry(), wrong)],
  ['workBatch', () => till.workBatch(queues.pack, () => {}, wrong)],
  ['topology', () => topology({ contexts: [till], engine: 'memory:', ...(wrong as object) })],
  ['run', () => run(topology({ contexts: [till], engine: 'memory:' }), wrong)],
])('%s refuses what it does not know', async (_, call) => {
  await expect((async () => call())()).rejects.toThrow(/INVALID_OPTION/)
})
