import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { retry } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import { memory } from '../testing/memory/engine.ts'
import type { SubscribeOptions } from './plan.ts'
import type { Stream } from './stream.ts'
import type { Subscription } from './subscription.ts'

interface Step {
  key: string
  n: number
}

let engine: Engine
let spillway: Spillway
let reports: Report[]
const subscriptions: Subscription[] = []

beforeEach(async () => {
  engine = memory()
  spillway = new Spillway(engine)
  reports = []
})
afterEach(async () => {
  await Promise.all(subscriptions.splice(0).map((subscription) => subscription.stop({ deadlineMs: 100 })))
  await engine.close()
})

const open = (partitions = 4) =>
  spillway.stream('steps', {
    data: z.object({ key: z.string(), n: z.number() }),
    key: (step) => step.key,
    partitions,
  })

function subscribe(
  to: Stream<Step, Step>,
  group: string,
  handler: Parameters<Stream<Step, Step>['subscribe']>[1],
  options: SubscribeOptions = {},
) {
  const subscription = to.subscribe(group, handler, {
    onReport: (report) => reports.push(report),
    retry: { initial: '1ms' },
    ...options,
  })
  subscriptions.push(subscription)
  return subscription
}

const steps = (keys: number, each: number): Step[] =>
  Array.from({ length: keys * each }, (_, i) => ({ key: `k${i % keys}`, n: Math.floor(i / keys) }))

test('every group reads everything, in order per key, keys in parallel', async () => {
  const stream = await open()
  await stream.appendMany(steps(10, 20))
  for (const group of ['a', 'b']) {
    const seen = new Map<string, number[]>()
    let running = 0
    let most = 0
    subscribe(
      stream,
      group,
      async ({ data }) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
        running -= 1
        seen.set(data.key, [...(seen.get(data.key) ?? []), data.n])
      },
      { concurrency: 5 },
    )
    await vi.waitFor(() => expect([...seen.values()].flat()).toHaveLength(200), { timeout: 5_000 })
    for (const order of seen.values()) expect(order).toEqual(Array.from({ length: 20 }, (_, n) => n))
    expect(most).toBe(5)
  }
  expect(reports).toEqual([])
})

test('a failing event blocks its key and no other, and is tried until it succeeds', async () => {
  const stream = await open(1)
  await stream.appendMany(steps(3, 3))
  const seen: string[] = []
  let failing = true
  subscribe(stream, 'a', ({ data }) => {
    if (failing && data.key === 'k1') throw new Error('not today')
    seen.push(`${data.key}:${data.n}`)
  })
  await vi.waitFor(() => expect(seen).toHaveLength(6))
  expect(seen.filter((step) => step.startsWith('k1'))).toEqual([])
  failing = false
  await vi.waitFor(() => expect(seen).toHaveLength(9), { timeout: 5_000 })
  expect(seen.filter((step) => step.startsWith('k1'))).toEqual(['k1:0', 'k1:1', 'k1:2'])
  expect(reports[0]!.error.code).toBe('HANDLER_FAILED')
})

test('with skip it goes to the dead letters of its group after its attempts, and its key goes on', async () => {
  const stream = await open()
  await stream.appendMany(steps(2, 2))
  const seen: string[] = []
  subscribe(
    stream,
    'a',
    ({ data }) => {
      if (data.key === 'k0' && data.n === 0) return retry({ after: 1, reason: 'never' })
      seen.push(`${data.key}:${data.n}`)
      return undefined
    },
    { onFailure: 'skip', retry: { attempts: 3, initial: '1ms' } },
  )
  await vi.waitFor(() => expect(seen.toSorted()).toEqual(['k0:1', 'k1:0', 'k1:1']), { timeout: 5_000 })
  expect(await deadLetters('a')).toMatchObject([
    { stream: 'steps', group: 'a', key: 'k0', attempts: 3, reason: expect.stringContaining('never') },
  ])
})

test.each([
  ['cannot be read', '[]', 'INVALID_MESSAGE'],
  [
    'fails its schema',
    JSON.stringify({
      specversion: '1.0',
      id: 'i',
      source: '/',
      type: 'steps',
      dataschema: 'urn:spillway:steps:1',
      data: {},
    }),
    'INVALID_MESSAGE',
  ],
  [
    'has no handler',
    JSON.stringify({
      specversion: '1.0',
      id: 'i',
      source: '/',
      type: 'other',
      dataschema: 'urn:spillway:other:1',
      data: {},
    }),
    'INVALID_MESSAGE',
  ],
])('an event that %s goes to the dead letters, and the rest is handled', async (_, body, code) => {
  const stream = await open(1)
  await engine.stream!.append('steps', [{ partition: 0, body }])
  await stream.append({ key: 'k', n: 1 })
  const handler = vi.fn()
  subscribe(stream, 'a', handler)
  await vi.waitFor(() => expect(handler).toHaveBeenCalledTimes(1), { timeout: 5_000 })
  expect(await deadLetters('a')).toMatchObject([{ body, reason: expect.stringContaining(code) }])
})

test('events without a key of one call stay together and in order; calls take the partitions in turn', async () => {
  const stream = await spillway.stream('free', { data: unchecked<{ n: number }>(), partitions: 4 })
  const numbers = Array.from({ length: 20 }, (_, n) => ({ n }))
  const calls = []
  for (let call = 0; call < 4; call++) calls.push(await stream.appendMany(numbers))
  for (const places of calls) {
    expect(new Set(places.map(({ partition }) => partition)).size).toBe(1)
    expect(places.map(({ position }) => position)).toEqual(
      places.map((_, index) => places[0]!.position + index),
    )
  }
  expect(new Set(calls.map(([first]) => first!.partition)).size).toBe(4)
})

test('a subscription that starts again goes on where the group was', async () => {
  const stream = await open()
  await stream.appendMany(steps(5, 4))
  const first = vi.fn()
  const subscription = subscribe(stream, 'a', first)
  await vi.waitFor(() => expect(first).toHaveBeenCalledTimes(20))
  await subscription.stop()
  await stream.append({ key: 'k0', n: 99 })
  const second = vi.fn()
  subscribe(stream, 'a', second)
  await vi.waitFor(() => expect(second).toHaveBeenCalled())
  expect(second.mock.calls.map(([message]) => message.data)).toEqual([{ key: 'k0', n: 99 }])
})

test('members share the partitions, and those of one that stops go to the others', async () => {
  const stream = await open(4)
  const handled = { a: 0, b: 0 }
  const a = subscribe(stream, 'g', () => {
    handled.a += 1
  })
  subscribe(stream, 'g', () => {
    handled.b += 1
  })
  await vi.waitFor(
    async () => {
      await stream.appendMany(steps(40, 1))
      expect(Math.min(handled.a, handled.b)).toBeGreaterThan(0)
    },
    { timeout: 5_000 },
  )
  await a.stop()
  const before = { ...handled }
  await stream.appendMany(steps(40, 1))
  await vi.waitFor(() => expect(handled.b).toBeGreaterThanOrEqual(before.b + 40), { timeout: 5_000 })
  expect(handled.a).toBe(before.a)
})

test('a group can start at the latest event, at a time, and at positions', async () => {
  const stream = await open(1)
  await stream.append({ key: 'k', n: 0 })
  const [second] = await stream.appendMany([{ key: 'k', n: 1 }])
  const latest = vi.fn()
  const positioned = vi.fn()
  const future = vi.fn()
  subscribe(stream, 'latest', latest, { from: 'latest' })
  subscribe(stream, 'positioned', positioned, { from: [second!] })
  subscribe(stream, 'future', future, { from: new Date(Date.now() + 3_600_000) })
  await vi.waitFor(() => expect(positioned.mock.calls[0]?.[0].data.n).toBe(1))
  await vi.waitFor(async () => {
    await stream.append({ key: 'k', n: 2 })
    expect(latest).toHaveBeenCalled()
  })
  for (const [message] of latest.mock.calls) expect(message.data.n).toBe(2)
})

test('reading ends at the end as it was, in order per partition', async () => {
  const stream = await open()
  await stream.appendMany(steps(7, 30))
  const seen = new Map<string, number[]>()
  for await (const { message } of stream.read())
    seen.set(message.data.key, [...(seen.get(message.data.key) ?? []), message.data.n])
  expect(seen.size).toBe(7)
  for (const order of seen.values()) expect(order).toEqual(Array.from({ length: 30 }, (_, n) => n))
})

test('an aggregate: read by key, decide, append with the expected version', async () => {
  const stream = await spillway.stream('accounts', {
    data: unchecked<{ id: string; amount: number }>(),
    key: (entry) => entry.id,
    versions: true,
  })
  expect(await stream.append({ id: 'x', amount: 5 }, { expectedVersion: 0 })).toMatchObject({
    status: 'appended',
  })
  expect(await stream.append({ id: 'x', amount: -9 }, { expectedVersion: 0 })).toEqual({
    status: 'conflict',
    version: 1,
  })
  const history = await stream.readKey('x').toArray()
  expect(history.map(({ message, version }) => [message.data.amount, version])).toEqual([[5, 1]])
})

test('a handler past its deadline is aborted and tried again', async () => {
  const stream = await open(1)
  await stream.append({ key: 'k', n: 1 })
  let calls = 0
  subscribe(stream, 'a', () => (++calls === 1 ? new Promise(() => {}) : undefined), { deadline: '40ms' })
  await vi.waitFor(() => expect(calls).toBe(2), { timeout: 5_000 })
  expect(reports[0]!.error.code).toBe('HANDLER_TIMEOUT')
})

async function deadLetters(group: string): Promise<unknown[]> {
  const stream = await open()
  return vi.waitFor(
    async () => {
      const dead = await stream.deadLetters(group)
      expect(dead.length).toBeGreaterThan(0)
      return dead
    },
    { timeout: 5_000 },
  )
}

test('a blocked key with more events than fit holds up neither other keys nor other partitions', async () => {
  const stream = await open(2)
  await stream.appendMany(Array.from({ length: 4_000 }, (_, n) => ({ key: 'stuck', n })))
  await stream.appendMany(steps(50, 10))
  let others = 0
  let stuck = true
  const handled: number[] = []
  subscribe(stream, 'a', ({ data }) => {
    if (data.key !== 'stuck') others += 1
    else if (stuck) throw new Error('stuck')
    else handled.push(data.n)
  })
  await vi.waitFor(() => expect(others).toBe(500), { timeout: 5_000 })
  stuck = false
  await vi.waitFor(() => expect(handled).toHaveLength(4_000), { timeout: 10_000 })
  expect(handled).toEqual(handled.toSorted((a, b) => a - b))
})

test('a trim takes what is before its place from everyone, and a group that was behind says what it lost', async () => {
  const stream = await open(1)
  await stream.appendMany(steps(1, 10))
  const seen: number[] = []
  const first = subscribe(stream, 'behind', ({ data }) => seen.push(data.n))
  await vi.waitFor(() => expect(seen).toHaveLength(10))
  await first.stop()
  await stream.appendMany(steps(1, 5))
  await stream.trim([{ partition: 0, position: 13 }])
  const numbers = async () => (await stream.read().toArray()).map(({ position }) => position)
  expect(await numbers()).toEqual([13, 14])
  subscribe(stream, 'behind', ({ data }) => seen.push(data.n))
  await vi.waitFor(() => {
    expect(seen.slice(10)).toEqual([3, 4])
    expect(reports.map(({ error }) => error.code)).toEqual(['EVENTS_TRIMMED'])
  })
  expect(reports[0]!.error.message).toContain('begins at 13, but the group wanted 10')
  await stream.trim({ last: 1 })
  expect(await numbers()).toEqual([14])
  await stream.trim('latest')
  expect(await numbers()).toEqual([])
  await expect(stream.trim(new Date(Number.NaN))).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('who reads a key of which the beginning is gone is told, or says that a part is enough', async () => {
  const stream = await spillway.stream('kept', { data: unchecked<number>(), key: () => 'k', versions: true })
  await stream.appendMany([1, 2, 3, 4, 5])
  const { partition, position } = (await stream.readKey('k').toArray())[3]!
  await stream.trim([{ partition, position }])
  await expect(stream.readKey('k').toArray()).rejects.toMatchObject({
    code: 'EVENTS_TRIMMED',
    details: { key: 'k', earliest: 4 },
  })
  await expect(stream.readKey('k', { fromVersion: 3 }).toArray()).rejects.toThrow(/versions 3 to 3 are gone/)
  const versions = async (options: { fromVersion?: number; partial?: boolean }) =>
    (await stream.readKey('k', options).toArray()).map(({ version }) => version)
  expect(await versions({ fromVersion: 4 })).toEqual([4, 5])
  expect(await versions({ partial: true })).toEqual([4, 5])
  expect(await stream.append(6, { expectedVersion: 0 })).toEqual({ status: 'conflict', version: 5 })
})

test('a stream keeps what its declaration says, and the dead letters and the log of a group are bounded too', async () => {
  const asked = new Map<string, unknown>()
  const { declare } = engine.stream!
  vi.spyOn(engine.stream!, 'declare').mockImplementation((spec) => {
    if (spec.retention) asked.set(spec.name, spec.retention)
    return declare.call(engine.stream, spec)
  })
  const kept = await spillway.stream('kept', {
    data: unchecked<number>(),
    retain: { for: '30d', bytes: '2GB' },
  })
  subscribe(kept as never, 'group', () => {}, { keepDeadLetters: '10d' })
  await vi.waitFor(() => expect(asked.size).toBe(3))
  const day = 86_400_000
  expect(Object.fromEntries(asked)).toEqual({
    kept: { maxAgeMs: 30 * day, maxBytes: 2e9 },
    'kept.dead.group': { maxAgeMs: 10 * day },
    'kept.group.group': { maxAgeMs: 15 * day },
  })
  await expect(
    spillway.stream('wrong', { data: unchecked<number>(), retain: { for: '1ms' } }),
  ).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('a stream that is compacted keeps the last event of each key, and a group that is behind is told of no loss', async () => {
  const users = await spillway.stream('users', {
    data: unchecked<{ id: string; name?: string }>(),
    key: ({ id }) => id,
    tombstone: ({ name }) => name === undefined,
    partitions: 1,
    retain: { compact: true, tombstones: '1h' },
  })
  const names = async () => (await users.read().toArray()).map(({ message }) => message.data.name)
  await users.append({ id: 'ada', name: 'Ada' })
  const seen: string[] = []
  const reports: unknown[] = []
  const first = users.subscribe('view', ({ data }) => void seen.push(`${data.name}`))
  await vi.waitFor(() => expect(seen).toEqual(['Ada']), { timeout: 10_000 })
  await first.stop()
  const bobs = Array.from({ length: 80 }, (_, n) => ({ id: 'bob', name: `Bob ${n}` }))
  await users.appendMany([...bobs, { id: 'ada' }, { id: 'eve', name: 'Eve' }])
  expect(await names()).toEqual(['Bob 79', undefined, 'Eve'])
  const onReport = ({ error }: { error: unknown }) => reports.push(error)
  const second = users.subscribe('view', ({ data }) => void seen.push(`${data.name}`), { onReport })
  await vi.waitFor(() => expect(seen).toEqual(['Ada', 'Bob 79', 'undefined', 'Eve']), { timeout: 10_000 })
  await second.stop()
  expect(reports).toEqual([])
  await expect(
    spillway.stream('keyless', { data: unchecked<number>(), retain: { compact: true } }),
  ).rejects.toMatchObject({ code: 'CONFIGURATION' })
})

test('an append that is repeated is stored once; what was called behind one that failed is not stored before it', async () => {
  const stream = await spillway.stream('once', { data: unchecked<number>() })
  const producer = 'importer-7'
  expect(await stream.append(1, { producer, sequence: 1 })).toMatchObject({ status: 'appended' })
  expect(await stream.append(1, { producer, sequence: 1 })).toEqual({ status: 'duplicate', sequence: 1 })
  expect(await stream.appendMany([2, 3], { producer, sequence: 2 })).toHaveLength(2)
  expect(await stream.appendMany([2, 3], { producer, sequence: 2 })).toEqual([])
  const { append } = engine.stream!
  let calls = 0
  const spy = vi.spyOn(engine.stream!, 'append').mockImplementation(async (...args) => {
    if (++calls === 2) throw new Error('the line is cut')
    return append.apply(engine.stream, args)
  })
  const tries = [3, 4, 5].map((sequence) => stream.append(sequence + 1, { producer, sequence }))
  const ends = await Promise.allSettled(tries)
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  spy.mockRestore()
  for (const sequence of [4, 5]) await stream.append(sequence + 1, { producer, sequence })
  const found = (await stream.read().toArray()).map(({ message }) => message.data)
  expect(found.sort()).toEqual([1, 2, 3, 4, 5, 6])
  await expect(stream.append(9, { producer })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})
