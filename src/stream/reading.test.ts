// Reading by pages must show the same events as reading one by one, and end when it should.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Schema } from '../core/schema.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import { memory } from '../testing/memory/engine.ts'
import { Reading } from './reading.ts'

interface Step {
  key: string
  n: number
}

let engine: Engine
beforeEach(() => {
  engine = memory()
})
afterEach(() => engine.close())

const open = (partitions = 4, data: Schema<Step, Step> = unchecked<Step>()) =>
  new Spillway(engine).stream('steps', { data, key: ({ key }) => key, partitions, versions: true })
const steps = (count: number): Step[] => Array.from({ length: count }, (_, n) => ({ key: `k${n % 7}`, n }))

test('pages hold what one by one is read, and are bounded', async () => {
  const stream = await open()
  await stream.appendMany(steps(2_500))
  const pages: (readonly unknown[])[] = []
  for await (const page of stream.read().pages()) pages.push(page)
  expect(Math.max(...pages.map(({ length }) => length))).toBe(1_000)
  const single: unknown[] = []
  for await (const event of stream.read()) single.push(event)
  expect(single).toEqual(pages.flat())
  expect(await stream.read().toArray()).toHaveLength(2_500)
})

test('an event costs one microtask', async () => {
  const reading = new Reading(async function* () {
    yield Array.from({ length: 100 }, (_, n) => n)
  })
  const iterator = reading[Symbol.asyncIterator]()
  await iterator.next()
  let turns = 0
  let counting = true
  const count = (): void => {
    turns += 1
    if (counting) queueMicrotask(count)
  }
  queueMicrotask(count)
  for (let n = 1; n < 100; n++) await iterator.next()
  counting = false
  expect(turns).toBeLessThan(110)
})

test('calls of next() that do not wait for each other get everything once, in order', async () => {
  const reading = new Reading(async function* () {
    for (let page = 0; page < 3; page++) yield [page * 2, page * 2 + 1]
  })
  const iterator = reading[Symbol.asyncIterator]()
  const results = await Promise.all(Array.from({ length: 8 }, () => iterator.next()))
  expect(results.map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5, undefined, undefined])
})

test('the events before one that cannot be read are handed out, then it throws', async () => {
  const stream = await open(1)
  await stream.appendMany(steps(3))
  await engine.stream!.append('steps', [{ partition: 0, body: 'no JSON' }])
  const seen: number[] = []
  const reading = async () => {
    for await (const { message } of stream.read()) seen.push(message.data.n)
  }
  await expect(reading()).rejects.toMatchObject({ code: 'INVALID_MESSAGE' })
  expect(seen).toEqual([0, 1, 2])
})

test('an asynchronous validator is waited for', async () => {
  const validate = async (value: unknown) => ({ value: { ...(value as Step), n: (value as Step).n + 100 } })
  const stream = await open(1, { '~standard': { version: 1, vendor: 'test', validate } })
  await stream.appendMany(steps(3))
  expect((await stream.read().toArray()).map(({ message }) => message.data.n)).toEqual([100, 101, 102])
})

test('following goes on with what is appended, and ends with its loop or its signal', async () => {
  const stream = await open()
  await stream.appendMany(steps(10))
  const seen: number[] = []
  const stopping = new AbortController()
  const ended = (async () => {
    for await (const { message } of stream.read({ follow: true, signal: stopping.signal }))
      seen.push(message.data.n)
  })()
  await vi.waitFor(() => expect(seen).toHaveLength(10))
  await stream.append({ key: 'k', n: 10 })
  await vi.waitFor(() => expect(seen).toContain(10))
  stopping.abort()
  await expect(ended).rejects.toThrow()
  for await (const { message } of stream.read({ follow: true })) if (message.data.n === 9) break
})

test('leaving a reading ends the call that was made ahead', async () => {
  const stream = await open(1)
  await stream.append({ key: 'k', n: 1 })
  const read = vi.spyOn(engine.stream!, 'read')
  for await (const _ of stream.read({ follow: true })) break
  expect(read.mock.calls.at(-1)![2].signal!.aborted).toBe(true)
})

test('a tail begins with the last events of all partitions, oldest first', async () => {
  const stream = await open()
  for (const step of steps(20)) {
    await stream.append(step)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const seen: number[] = []
  for await (const { message } of stream.tail(5)) {
    seen.push(message.data.n)
    if (seen.length === 5) await stream.append({ key: 'k', n: 99 })
    if (seen.length === 6) break
  }
  expect(seen).toEqual([15, 16, 17, 18, 19, 99])
  expect(() => stream.tail(-1)).toThrow('last events')
})

test('the last of each partition is a place to start', async () => {
  const stream = await open(1)
  await stream.appendMany(steps(20))
  const last = await stream.read({ from: { last: 3 } }).toArray()
  expect(last.map(({ message }) => message.data.n)).toEqual([17, 18, 19])
})

test('a key is read whole, however long, or to a limit', async () => {
  const stream = await open(2)
  await stream.appendMany(Array.from({ length: 2_345 }, (_, n) => ({ key: 'a', n })))
  const whole = await stream.readKey('a').toArray()
  expect(whole.map(({ message }) => message.data.n)).toEqual(Array.from({ length: 2_345 }, (_, n) => n))
  expect(whole.at(-1)!.version).toBe(2_345)
  const some = await stream.readKey('a', { fromVersion: 1_001, limit: 1_200 }).toArray()
  expect([some[0]!.version, some.length]).toEqual([1_001, 1_200])
  expect(await stream.readKey('nobody').toArray()).toEqual([])
})
