// Messages that wait for others, as their users see it: across queues, when something fails, and through a handler.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { context, queue, queueContract } from '../core/contract.ts'
import { attributesOf } from '../core/envelope.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Consumer } from './consumer.ts'
import { carriedBy, outgoing } from './outgoing.ts'
import { Queue } from './queue.ts'
import { declareQueues } from './rules.ts'

const data = unchecked<string>()
const retry = { attempts: 2, initial: '1s', max: '1s' } as const
const contracts = {
  cut: queueContract('cut', { data, flow: true, retry }),
  sew: queueContract('sew', { data, flow: true, retry }),
  plain: queueContract('plain', { data }),
}

let clock: FakeClock
let engine: Engine
let cut: Queue<string, string>
let sew: Queue<string, string>
const consumers: Consumer[] = []

beforeEach(async () => {
  clock = fakeClock()
  engine = memory({ clock })
  await declareQueues(engine.name, engine.queue!, Object.values(contracts))
  cut = new Queue(contracts.cut, engine.queue!, engine.name, clock)
  sew = new Queue(contracts.sew, engine.queue!, engine.name, clock)
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 1 })))
  await clock.advance(60_000)
  await stopped
  await engine.close()
})

function work(seen: string[], fail: (text: string) => boolean = () => false): void {
  for (const each of [cut, sew])
    consumers.push(
      each.consume(({ data: text }) => {
        seen.push(text)
        if (fail(text)) throw new Error('broken')
      }),
    )
}

test('a message waits for others in other queues, and is looked at meanwhile', async () => {
  const left = await cut.send('left')
  const right = await cut.send('right', { delay: '10s' })
  const whole = await sew.send('whole', { after: [left, right] })
  await sew.send('label', { after: [whole] })
  const seen: string[] = []
  work(seen)
  await clock.advance(9_000)
  expect(seen).toEqual(['left'])
  expect((await sew.peek()).map(({ state, after }) => [state, after])).toEqual([
    ['waiting', [right]],
    ['waiting', [whole]],
  ])
  expect(await sew.count()).toMatchObject({ ready: 0, delayed: 0, waiting: 2 })
  await clock.advance(1_000)
  expect(seen).toEqual(['left', 'right', 'whole', 'label'])
})

test('steps that are sent together name each other by their ids', async () => {
  const steps = ['a', 'b', 'c']
  await cut.sendMany(steps, (id, index) => ({ id, ...(index === 0 ? {} : { after: [steps[index - 1]!] }) }))
  const seen: string[] = []
  work(seen)
  await clock.advance(0)
  expect(seen).toEqual(steps)
})

test('what is not known is refused, and so is waiting in a queue that is no part of a flow', async () => {
  await expect(cut.send('x', { after: ['nobody'] })).rejects.toMatchObject({ code: 'UNKNOWN_MESSAGE' })
  const plain = new Queue(contracts.plain, engine.queue!, engine.name, clock)
  const elsewhere = await plain.send('x')
  await expect(cut.send('x', { after: [elsewhere] })).rejects.toMatchObject({ code: 'UNKNOWN_MESSAGE' })
  await expect(plain.send('x', { after: [elsewhere] })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  for (const options of [{ after: [''] }, { after: ['a'], ifFailed: 'cry' as 'run' }])
    await expect(cut.send('x', options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  await cut.send('free', { after: [] })
  expect(await cut.count()).toMatchObject({ ready: 1, waiting: 0 })
})

test('for a dead letter it waits until that was redriven; with ifFailed run it does not', async () => {
  const a = await cut.send('a')
  await sew.send('patient', { after: [a] })
  await sew.send('hasty', { after: [a], ifFailed: 'run' })
  const seen: string[] = []
  let broken = true
  work(seen, (text) => text === 'a' && broken)
  await clock.advance(30_000)
  expect(seen).toEqual(['a', 'a', 'hasty'])
  broken = false
  await cut.redriveAll()
  await clock.advance(0)
  expect(seen).toEqual(['a', 'a', 'hasty', 'a', 'patient'])
})

test('what waits for a cancelled message is a dead letter with that reason; put back it runs', async () => {
  const a = await cut.send('a')
  await sew.send('b', { after: [a] })
  await sew.send('c', { after: [a], ifFailed: 'run' })
  await cut.cancel(a)
  const seen: string[] = []
  work(seen)
  await clock.advance(0)
  expect(seen).toEqual(['c'])
  const [dead] = await sew.deadLetters()
  expect(dead).toMatchObject({ reason: 'a message that it was to wait for was cancelled or purged' })
  await sew.redrive(dead!.handle)
  await clock.advance(0)
  expect(seen).toEqual(['c', 'b'])
})

test('through an outbox a message waits also for what is still on its way', async () => {
  const { body } = await outgoing(
    contracts.sew,
    'b',
    { after: ['a"1', 'a,2'], ifFailed: 'run' },
    { source: '/' },
    clock,
  )
  expect(carriedBy(body, clock.now())).toEqual({
    after: { ids: ['a"1', 'a,2'], anyEnd: true, mayCome: true },
  })
  expect(attributesOf(body)).toMatchObject({ after: '["a\\"1","a,2"]', iffailed: 'run' })
  const waits = await outgoing(contracts.sew, 'b', { after: ['a'], id: 'b' }, { source: '/' }, clock)
  await engine.queue!.send('sew', [{ id: 'b', body: waits.body, ...carriedBy(waits.body, clock.now()) }])
  const seen: string[] = []
  work(seen)
  await clock.advance(1_000)
  expect(seen).toEqual([])
  await cut.send('a', { id: 'a' })
  await clock.advance(0)
  expect(seen).toEqual(['a', 'b'])
})

test('a contract with flow is refused on an engine without it', async () => {
  const { queues } = context('tailor', { queues: { cut: queue({ data, flow: true }) } })
  const port = engine.queue!
  const lacking = Object.create(port, {
    capabilities: { value: { ...port.capabilities, flow: false } },
  }) as typeof port
  await expect(declareQueues('nats', lacking, [queues.cut])).rejects.toMatchObject({
    code: 'CAPABILITY_MISSING',
  })
})

test('a message cannot be told to wait for itself, also where nobody knows it yet', async () => {
  const own = { id: 'own', after: ['own'] }
  await expect(cut.send('a', own)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  // As a handler sends it: what it names may still come.
  expect(() => outgoing(contracts.cut, 'a', own, { source: '/' })).toThrow(/wait for itself/)
})

test('one that ran out of its time lets go once it is sent anew with its id', async () => {
  const id = await cut.send('late', { ttl: '1s' })
  await sew.send('then', { after: [id] })
  await clock.advance(2_000)
  const seen: string[] = []
  work(seen)
  await clock.advance(2_000)
  const [letter] = await cut.deadLetters()
  expect([letter?.id, seen]).toEqual([id, []])
  await cut.redriveAll()
  await clock.advance(2_000)
  expect(seen, 'its time is over for ever').toEqual([])
  await cut.send('in time', { id })
  await clock.advance(2_000)
  expect(seen).toEqual(['in time', 'then'])
})

test('a step that failed and is redriven comes before the one of its key that waits for it', async () => {
  const keyed = queueContract('keyed', { data, flow: true, key: () => 'k', retry: { attempts: 1 } })
  await declareQueues(engine.name, engine.queue!, [keyed])
  const steps = new Queue(keyed, engine.queue!, engine.name, clock)
  const first = await steps.send('first')
  await steps.sendMany(['second', 'third'], (text) => (text === 'second' ? { after: [first] } : {}))
  const seen: string[] = []
  consumers.push(
    steps.consume(({ data: text }) => {
      seen.push(text)
      if (seen.length === 1) throw new Error('broken')
    }),
  )
  await clock.advance(5_000)
  expect(seen).toEqual(['first'])
  await steps.redriveAll()
  await clock.advance(5_000)
  expect(seen).toEqual(['first', 'first', 'second', 'third'])
})
