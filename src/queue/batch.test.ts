import { afterEach, beforeEach, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { queueContract } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import { deadLetter, retry } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import { type BatchHandler, outcomesOf } from './batch.ts'
import type { BatchOptions, Consumer } from './consumer.ts'
import { Queue } from './queue.ts'

const Row = z.object({ n: z.number() })
type Row = z.infer<typeof Row>
const contract = queueContract('rows', {
  data: Row,
  deadline: '2s',
  retry: { attempts: 2, initial: 0, max: 0 },
})

let clock: FakeClock
let engine: Engine
let rows: Queue<Row, Row>
let reports: Report[]
const consumers: Consumer[] = []

beforeEach(async () => {
  clock = fakeClock()
  engine = memory({ clock })
  await engine.queue!.declare(['rows'], {})
  rows = new Queue(contract, engine.queue!, engine.name, clock)
  reports = []
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 1 })))
  await clock.advance(60_000)
  await stopped
  await engine.close()
})

const send = (count: number) => rows.sendMany(Array.from({ length: count }, (_, n) => ({ n })))

function consume(handler: BatchHandler<Row>, options: BatchOptions = {}): Consumer {
  const consumer = rows.consumeBatch(handler, { onReport: (report) => reports.push(report), ...options })
  consumers.push(consumer)
  return consumer
}

const numbers = (messages: readonly Message<Row>[]) => messages.map(({ data }) => data.n)

test('what there is, up to the size, in the order of the queue', async () => {
  await send(25)
  const sizes: number[] = []
  const seen: number[] = []
  consume(
    (messages) => {
      sizes.push(messages.length)
      seen.push(...numbers(messages))
    },
    { size: 10 },
  )
  await clock.advance(0)
  expect(sizes).toEqual([10, 10, 5])
  expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => n))
  expect(await rows.count()).toMatchObject({ ready: 0, leased: 0, dead: 0 })
})

test('a batch waits for more, and no longer than it was told', async () => {
  const batches: number[][] = []
  consume((messages) => void batches.push(numbers(messages)), { size: 3, wait: 100 })
  await rows.send({ n: 0 })
  await clock.advance(60)
  await rows.send({ n: 1 })
  await clock.advance(39)
  expect(batches).toEqual([])
  await clock.advance(1)
  expect(batches).toEqual([[0, 1]])
  await send(3)
  await clock.advance(0)
  expect(batches).toEqual([
    [0, 1],
    [0, 1, 2],
  ])
})

test('each message has its outcome', async () => {
  await send(4)
  const attempts: string[] = []
  consume((messages, { deliveries }) => {
    for (const [index, { data }] of messages.entries())
      attempts.push(`${data.n}:${deliveries[index]!.attempt}`)
    return messages.map(({ data }) => {
      if (data.n === 1) return retry({ reason: 'not yet' })
      return data.n === 2 ? deadLetter('never') : undefined
    })
  })
  await clock.advance(0)
  expect(attempts).toEqual(['0:1', '1:1', '2:1', '3:1', '1:2'])
  const dead = await rows.deadLetters()
  expect(dead.map(({ reason }) => reason)).toEqual(['never', 'attempt 2 of 2: not yet'])
  expect(dead.map(({ history }) => history.map(({ reason }) => reason))).toEqual([[], ['not yet']])
  expect(await rows.count()).toMatchObject({ ready: 0, leased: 0, dead: 2 })
})

test('a throw retries all of them, each by its own count', async () => {
  await send(2)
  let calls = 0
  consume(() => {
    calls += 1
    throw new Error('the warehouse is away')
  })
  await clock.advance(0)
  expect(calls).toBe(2)
  expect((await rows.deadLetters()).map(({ reason }) => reason)).toEqual([
    'attempt 2 of 2: the warehouse is away',
    'attempt 2 of 2: the warehouse is away',
  ])
})

test('one outcome is that of all; a list of another length is a failure of all', async () => {
  expect(outcomesOf(undefined, 2)).toEqual([undefined, undefined])
  const all = deadLetter('x')
  expect(outcomesOf(all, 2)).toEqual([all, all])
  expect(outcomesOf([all, undefined], 2)).toEqual([all, undefined])
  expect(outcomesOf([all], 2)).toMatchObject({ code: 'INVALID_OPTION' })
  await send(2)
  consume(() => [undefined])
  await clock.advance(0)
  expect(await rows.deadLetters()).toMatchObject([
    { reason: expect.stringContaining('1 outcomes for 2 messages') },
    { reason: expect.stringContaining('1 outcomes for 2 messages') },
  ])
})

test('what cannot be read is no part of a batch', async () => {
  await send(1)
  await engine.queue!.send('rows', [{ id: 'x', body: '{' }])
  const seen: number[][] = []
  consume((messages) => void seen.push(numbers(messages)))
  await clock.advance(0)
  expect(seen).toEqual([[0]])
  expect(await rows.deadLetters()).toMatchObject([{ id: 'x' }])
})

test('past its deadline a batch is aborted as a whole, and its place is free again', async () => {
  await send(2)
  const reasons: unknown[] = []
  let calls = 0
  consume(
    async (messages, { signal }) => {
      calls += 1
      if (calls > 1) return
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reasons.push(signal.reason)
      await new Promise(() => {})
      expect(messages).toHaveLength(2)
    },
    { size: 2, concurrency: 1 },
  )
  await clock.advance(3_000)
  expect(reasons).toMatchObject([{ code: 'HANDLER_TIMEOUT' }])
  expect(calls).toBe(2)
  expect(await rows.count()).toMatchObject({ ready: 0, leased: 0, dead: 0 })
})

test('a lease is renewed for as long as the batch takes, and a stop waits for it', async () => {
  await send(3)
  const gate = Promise.withResolvers<void>()
  let calls = 0
  const consumer = consume(
    () => {
      calls += 1
      return gate.promise
    },
    { lease: 300, size: 3 },
  )
  await clock.advance(1_500)
  expect(await rows.count()).toMatchObject({ leased: 3 })
  const stopped = consumer.stop()
  await clock.advance(10)
  gate.resolve()
  await stopped
  expect(calls).toBe(1)
  expect(await rows.count()).toMatchObject({ ready: 0, leased: 0 })
})

test('options that cannot work are refused', () => {
  expect(() => rows.consumeBatch(() => {}, { size: 0 })).toThrow('INVALID_OPTION')
  expect(() => rows.consumeBatch(() => {}, { size: 10_001 })).toThrow('INVALID_OPTION')
  expect(() => rows.consumeBatch(() => {}, { wait: '11s' })).toThrow('a third of the lease')
})

test('types: what a handler is given and may return', () => {
  expectTypeOf<Parameters<BatchHandler<Row>>[0]>().toEqualTypeOf<readonly Message<Row>[]>()
  void (() => {
    rows.consumeBatch(() => {})
    rows.consumeBatch(async () => {})
    rows.consumeBatch(async (messages) => messages.map(({ data }) => (data.n > 1 ? retry() : undefined)))
    rows.consumeBatch(() => deadLetter('all of them'))
    // @ts-expect-error outcomes are not words
    rows.consumeBatch((messages) => messages.map(() => 'done'))
  })
})
