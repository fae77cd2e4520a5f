// The spy must hear of every outcome, on a running topology and on channels without contexts, and say what it saw instead.
import { expect, test, vi } from 'vitest'
import { context, event, queue } from '../../core/contract.ts'
import { deadLetter } from '../../core/outcome.ts'
import { unchecked } from '../../core/schema.ts'
import { open } from '../../spillway.ts'
import { run } from '../../topology/run.ts'
import { type AnyService, service } from '../../topology/service.ts'
import { topology } from '../../topology/topology.ts'
import { fakeClock } from '../fake-clock.ts'
import { memoryDatabase } from '../memory/database.ts'
import { memory } from '../memory/engine.ts'
import { MemoryTable } from '../memory/table.ts'
import { handlerSpy } from './handler-spy.ts'

const shop = context('shop', {
  events: { sold: event({ data: unchecked<{ item: string }>(), key: ({ item }) => item }) },
  queues: { pack: queue({ data: unchecked<{ item: string }>(), retry: { attempts: 2, initial: '1ms' } }) },
})
const post = context('post', {})

const database = () => memoryDatabase({ db: new MemoryTable<string>() })
const start = async (...contexts: AnyService[]) => {
  const spy = handlerSpy()
  const engine = memory()
  const running = await run(topology({ contexts, engine: 'memory:', partitions: 1 }), {
    engine,
    onSettled: spy,
  })
  return { spy, running, engine }
}

test('of a queue: done, retried, dead-lettered, each once it is stored', async () => {
  const works = service(shop).work(shop.queues.pack, ({ data }, { attempt }) => {
    if (data.item === 'broken') throw new Error('it is broken')
    if (data.item === 'late' && attempt === 1) throw new Error('not yet')
    if (data.item === 'unwanted') return deadLetter('nobody wants it')
  })
  const { spy, running } = await start(works)
  const pack = running.queue(shop.queues.pack)
  const ids = await pack.sendMany(['cup', 'late', 'broken', 'unwanted'].map((item) => ({ item })))

  const done = await spy.until(shop.queues.pack, 'done', { id: ids[0]! })
  expect(done.message.data.item).toBe('cup')
  expect(await spy.until(shop.queues.pack, 'retried', { id: ids[1]! })).toMatchObject({
    attempt: 1,
    reason: 'not yet',
    by: 'shop',
  })
  expect(
    await spy.until(shop.queues.pack, 'done', { where: ({ data }) => data.item === 'late' }),
  ).toMatchObject({
    attempt: 2,
  })
  expect(await spy.until(shop.queues.pack, 'dead-lettered', { id: ids[2]! })).toMatchObject({
    reason: 'attempt 2 of 2: it is broken',
  })
  await spy.until(shop.queues.pack, 'dead-lettered', { nth: 2 })
  expect(await pack.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 2 })
  expect(spy.seen(shop.queues.pack, { id: ids[2]! }).map(({ outcome }) => outcome)).toEqual([
    'retried',
    'dead-lettered',
  ])
  await running.stop()
})

test.each([
  ['with a database', () => ({ database: database() })],
  ['without', () => ({})],
])('of a stream, %s: done, retried, dead-lettered, by each of its groups', async (_, options) => {
  const billing = service(context('billing', {}), options()).on(shop.events.sold, () => {})
  const posts = service(post, options()).on(
    shop.events.sold,
    ({ data }, { attempt }) => {
      if (data.item === 'heavy') throw new Error('too heavy')
      if (data.item === 'late' && attempt === 1) throw new Error('not yet')
    },
    { onFailure: 'skip', retry: { attempts: 2, initial: '1ms' } },
  )
  const seller = service(shop, options())
  const { spy, running } = await start(seller, billing, posts)
  await running.service(seller).transaction((tx) => {
    for (const item of ['cup', 'late', 'heavy']) tx.publish(shop.events.sold, { item })
  })
  await spy.until(shop.events.sold, 'done', { by: 'billing', nth: 3 })
  await spy.until(shop.events.sold, 'done', { by: 'post', nth: 2 })
  expect(await spy.until(shop.events.sold, 'retried', { nth: 2 })).toMatchObject({ by: 'post', attempt: 1 })
  const heavy = await spy.until(shop.events.sold, 'dead-lettered')
  expect(heavy).toMatchObject({ reason: 'attempt 2 of 2: too heavy', message: { data: { item: 'heavy' } } })
  await running.drained()
  expect(await running.service(posts).group(shop).deadLetters()).toHaveLength(1)
  await running.stop()
})

test('parked events, those behind them, and what becomes of them when they are let go', async () => {
  let broken = true
  const posts = service(post, { database: database() }).on(
    shop.events.sold,
    () => {
      if (broken) throw new Error('no stamps')
    },
    { onFailure: 'park', retry: { attempts: 1 } },
  )
  const seller = service(shop, { database: database() })
  const { spy, running } = await start(seller, posts)
  await running.service(seller).transaction((tx) => {
    for (let n = 0; n < 2; n++) tx.publish(shop.events.sold, { item: 'cup' })
  })
  await spy.until(shop.events.sold, 'parked', { nth: 2 })
  expect(spy.seen(shop.events.sold).map(({ attempt, reason }) => [attempt, reason])).toEqual([
    [1, 'attempt 1 of 1: no stamps'],
    [0, 'an event of its key was parked before it'],
  ])
  await running.service(posts).group(shop).unpark()
  await spy.until(shop.events.sold, 'parked', { nth: 3 })
  broken = false
  await running.service(posts).group(shop).unpark()
  await spy.until(shop.events.sold, 'done', { nth: 2 })
  await running.stop()
})

test('what no handler was given: it cannot be read', async () => {
  const strict = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no' }] }) },
  } as const
  const { spy, running, engine } = await start(
    service(context('shop', { queues: { pack: queue({ data: strict }) } })).work(
      context('shop', { queues: { pack: queue({ data: strict }) } }).queues.pack,
      () => {},
    ),
  )
  const pack = await (await open(engine)).queue(shop.queues.pack)
  await pack.send({ item: 'cup' })
  const refused = await spy.until(shop.queues.pack, 'dead-lettered')
  expect(refused.message).toBeUndefined()
  expect(refused.reason).toContain('does not satisfy its schema')
  await running.stop()
})

test('cancelled, and batches, outside contexts', async () => {
  const clock = fakeClock()
  const spillway = await open(memory({ clock }), { clock })
  const spy = handlerSpy()
  const frames = await spillway.queue('frames', { data: unchecked<number>() })
  const begun = Promise.withResolvers<void>()
  const one = frames.consume(
    (_, { signal }) => {
      begun.resolve()
      return new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
    { onSettled: spy },
  )
  const id = await frames.send(1)
  await begun.promise
  await frames.cancel(id)
  await clock.advance('3s')
  expect(await spy.until(frames.contract, 'cancelled', { id })).toMatchObject({ by: 'frames', attempt: 1 })
  await one.stop()

  const batches = frames.consumeBatch(
    (messages) => messages.map(({ data }) => (data === 3 ? deadLetter('odd') : undefined)),
    {
      onSettled: spy,
    },
  )
  await frames.sendMany([2, 3])
  await spy.until(frames.contract, 'done', { where: ({ data }) => data === 2 })
  await spy.until(frames.contract, 'dead-lettered', { where: ({ data }) => data === 3 })
  await batches.stop()
  await spillway.close()
})

test('a wait in vain says what was seen, and what the spy heard of at all', async () => {
  const works = service(shop).work(shop.queues.pack, () => deadLetter('nobody wants it'))
  const { spy, running } = await start(works)
  await expect(spy.until(shop.queues.pack, 'done', { within: '20ms' })).rejects.toThrow(
    /Nothing of shop.pack was handled at all.\nThe spy heard of nothing: is it the `onSettled` of what runs\?.*\[NOT_SEEN\]$/s,
  )
  const id = await running.queue(shop.queues.pack).send({ item: 'cup' })
  await spy.until(shop.queues.pack, 'dead-lettered')
  await expect(spy.until(shop.queues.pack, 'done', { id, by: 'shop', within: '20ms' })).rejects.toThrow(
    `No shop.pack with the id ${id} handled by shop ended 'done' within 20 ms.\nOf shop.pack there was:\n` +
      `  dead-lettered at attempt 1 by shop: ${id} {"item":"cup"} (nobody wants it)`,
  )
  await expect(spy.until(shop.events.sold, 'done', { nth: 2, within: '20ms' })).rejects.toThrow(
    /No 2 of shop.sold .*Of others: 1 shop.pack dead-lettered by shop\./s,
  )
  await expect(spy.until(shop.events.sold, 'done', { nth: 0 })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  })
  await running.stop()
})

test('an onSettled that throws ends nothing', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const spillway = await open(memory())
  const frames = await spillway.queue('frames', { data: unchecked<number>() })
  const consumer = frames.consume(() => {}, {
    onSettled: () => {
      throw new Error('a mistake')
    },
  })
  await frames.sendMany([1, 2])
  await vi.waitFor(async () => expect(await frames.count()).toMatchObject({ ready: 0, leased: 0 }), 10_000)
  await consumer.stop()
  expect(warned).toHaveBeenCalledWith('onSettled threw: a mistake', 'SpillwayWarning')
  await spillway.close()
})
