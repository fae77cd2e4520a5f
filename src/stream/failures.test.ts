// What went wrong once: each case shows an event lost, doubled or held up by a failure of something else.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { streamContract } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { deadLetter } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { type Schema, unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import type { JoinOptions, Membership, StreamPort } from '../ports/stream.ts'
import { Spillway } from '../spillway.ts'
import { MemoryTable, memory, memoryDatabase } from '../testing/index.ts'
import { type EventHandler, type FailureOptions, failurePolicy, type SubscriptionPlan } from './plan.ts'
import { type Subscription, subscribe } from './subscription.ts'

interface Step {
  key: string
  n: number
}

let engine: Engine
let reports: Report[]
let subscription: Subscription | undefined

beforeEach(() => {
  engine = memory()
  reports = []
})
afterEach(async () => {
  await subscription?.stop({ deadlineMs: 200 })
  subscription = undefined
  await engine.close()
})

const codes = () => reports.map(({ error }) => error.code)

const open = (partitions: number, data: Schema<Step, Step> = unchecked<Step>()) =>
  new Spillway(engine).stream('steps', { data, key: (step) => step.key, partitions })

async function start(
  handler: EventHandler<Step>,
  change: {
    port?: Partial<StreamPort>
    plan?: Partial<SubscriptionPlan>
    partitions?: number
    failure?: FailureOptions
  } = {},
) {
  const stream = await open(change.partitions ?? 1)
  const handled = {
    contract: stream.contract as never,
    handler: handler as EventHandler<unknown>,
    policy: failurePolicy(change.failure ?? { retry: { initial: '1ms' } }),
  }
  const whole = engine.stream!
  const port: StreamPort = {
    capabilities: whole.capabilities,
    limits: whole.limits,
    declare: (...given) => whole.declare(...given),
    append: (...given) => whole.append(...given),
    read: (...given) => whole.read(...given),
    readKey: (...given) => whole.readKey(...given),
    trim: (...given) => whole.trim(...given),
    bounds: (...given) => whole.bounds(...given),
    positionsAt: (...given) => whole.positionsAt(...given),
    join: (...given) => whole.join(...given),
    committed: (...given) => whole.committed(...given),
    names: () => whole.names(),
    groups: (...given) => whole.groups(...given),
    ...change.port,
  }
  subscription = subscribe(port, {
    stream: 'steps',
    group: 'g',
    handlers: new Map([['steps', handled]]),
    strictTypes: true,
    onReport: (report) => reports.push(report),
    ...change.plan,
  })
  return stream
}

test('records that were read before a partition was taken again do not hide those below them', async () => {
  const database = await memoryDatabase({ db: new MemoryTable<number>() }).open('g')
  const gate = Promise.withResolvers<void>()
  const handled: number[] = []
  let slow = false
  const stream = await start(
    async ({ data }, delivery) => {
      if (data.n === 2 && !slow) await gate.promise
      const outcome = await database.commit({ outbox: [], progress: delivery.progress(), timeoutMs: 1_000 })
      if (outcome === 'committed') handled.push(data.n)
      return outcome
    },
    {
      plan: { store: database },
      port: {
        async read(...given) {
          const records = await engine.stream!.read(...given)
          if (slow && records.length > 0) await new Promise((resolve) => setTimeout(resolve, 700))
          return records
        },
      },
    },
  )
  await stream.appendMany([0, 1, 2].map((n) => ({ key: `${n}`, n })))
  await vi.waitFor(() => expect(handled).toHaveLength(2))
  slow = true
  await database.acquire('steps', 'g', 0)
  gate.resolve()
  await stream.append({ key: '3', n: 3 })
  await vi.waitFor(() => expect(handled.toSorted()).toEqual([0, 1, 2, 3]), { timeout: 8_000 })
})

test('more failing events than fit hold up no other partition', async () => {
  let good = 0
  const stream = await start(
    ({ data }) => {
      if (data.key.startsWith('bad')) throw new Error('never')
      good += 1
    },
    { partitions: 2 },
  )
  await stream.appendMany(Array.from({ length: 2_600 }, (_, n) => ({ key: `bad${n}`, n })))
  await stream.appendMany(Array.from({ length: 20 }, (_, n) => ({ key: `good${n}`, n })))
  await vi.waitFor(() => expect(good).toBe(20), { timeout: 8_000 })
})

test('an event whose burial takes longer than its deadline is buried once', async () => {
  const stream = await start(() => new Promise(() => {}), {
    plan: {},
    port: {
      async append(name, records) {
        await new Promise((resolve) => setTimeout(resolve, 400))
        return engine.stream!.append(name, records)
      },
    },
    failure: { deadline: '30ms', onFailure: 'skip', retry: { attempts: 1 } },
  })
  await stream.append({ key: 'k', n: 1 })
  const dead = () => engine.stream!.bounds('steps.dead.g')
  await vi.waitFor(async () => expect(await dead()).toMatchObject([{ next: 1 }]), { timeout: 5_000 })
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(await dead()).toMatchObject([{ next: 1 }])
})

test.each([
  [
    'throws',
    () => {
      throw new TypeError('lookup failed')
    },
  ],
  ['rejects', () => Promise.reject(new TypeError('lookup failed'))],
])('a validator that %s makes a dead letter of its event, and the rest is handled', async (_, fail) => {
  let armed = false
  const touchy: Schema<Step, Step> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => (armed && (value as Step).n === 2 ? fail() : { value: value as Step }),
    },
  }
  const stream = await open(1, touchy)
  await stream.appendMany([1, 2, 3].map((n) => ({ key: 'k', n })))
  armed = true
  const handled: number[] = []
  subscription = stream.subscribe('g', ({ data }) => void handled.push(data.n))
  await vi.waitFor(() => expect(handled).toEqual([1, 3]), { timeout: 5_000 })
  expect(await engine.stream!.bounds('steps.dead.g')).toMatchObject([{ next: 1 }])
})

test('a store that refuses for good ends the subscription, with a report, and blocks nothing', async () => {
  const database = await memoryDatabase({ db: new MemoryTable<number>() }).open('g')
  await database.close()
  await start(() => {}, { plan: { store: database } })
  await expect(subscription!.done).rejects.toMatchObject({ code: 'CLOSED' })
  expect(codes()).toContain('CLOSED')
})

test('a stream that nobody has made yet is waited for: said once, and read when it is there', async () => {
  const handled: number[] = []
  const handler: EventHandler<unknown> = ({ data }) => void handled.push((data as Step).n)
  const contract = streamContract('later', { data: unchecked<Step>(), key: ({ key }) => key })
  subscription = subscribe(engine.stream!, {
    stream: 'later',
    group: 'g',
    handlers: new Map([['later', { contract: contract as never, handler, policy: failurePolicy({}) }]]),
    strictTypes: true,
    onReport: (report) => reports.push(report),
  })
  await vi.waitFor(() => expect(codes()).toEqual(['UNKNOWN_STREAM']))
  const later = await new Spillway(engine).stream('later', { data: unchecked<Step>() })
  await later.append({ key: 'k', n: 1 })
  await vi.waitFor(() => expect(handled).toEqual([1]), { timeout: 5_000 })
  expect(codes()).toEqual(['UNKNOWN_STREAM'])
})

test('a policy or a start that is none is refused', async () => {
  const stream = await open(1)
  expect(() => stream.subscribe('g', () => {}, { onFailure: 'ignore' as never })).toThrow(
    /onFailure is "ignore".*INVALID_OPTION/,
  )
  for (const from of ['newest', new Date('never'), 7, null] as never[]) {
    expect(() => stream.subscribe('g', () => {}, { from })).toThrow(/from is .*INVALID_OPTION/)
    await expect(stream.read({ from: from ?? ('x' as never) }).toArray()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  }
})

test("what a handler without a database returns is its own affair, also 'stale'", async () => {
  const handled: number[] = []
  const stream = await start(({ data }) => {
    handled.push(data.n)
    return data.n === 1 ? 'stale' : 'committed'
  })
  await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
  await vi.waitFor(() => expect(handled).toEqual([1, 2]), { timeout: 5_000 })
  await vi.waitFor(async () =>
    expect(await engine.stream!.committed('steps', 'g')).toMatchObject([{ position: 2 }]),
  )
  expect(handled).toEqual([1, 2])
})

test('a failing event says whether it is tried on or set aside', async () => {
  const stream = await start(() => {
    throw new Error('no')
  })
  await stream.append({ key: 'k', n: 1 })
  await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0))
  expect(reports[0]!.error.message).toMatch(/tried again until it succeeds, and later events of its key wait/)
  expect(reports[0]!.error.message).not.toMatch(/dead-lettered/)
})

test('a dead letter without a reason is one all the same', async () => {
  const stream = await start(() => deadLetter(undefined as never))
  await stream.append({ key: 'k', n: 1 })
  await vi.waitFor(async () =>
    expect(await stream.deadLetters('g')).toMatchObject([{ reason: 'the handler gave no reason' }]),
  )
})

test('nothing starts after a stop, also when the membership ended by itself', async () => {
  let started = 0
  const stream = await start(async () => {
    started += 1
    await new Promise((resolve) => setTimeout(resolve, 5))
  })
  await stream.appendMany(Array.from({ length: 500 }, (_, n) => ({ key: `${n}`, n })))
  await vi.waitFor(() => expect(started).toBeGreaterThan(20))
  await engine.close()
  await subscription!.stop({ deadlineMs: 1_000 })
  const atStop = started
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(started).toBe(atStop)
  expect(started).toBeLessThan(500)
})

test('a membership that ends because the engine was away too long is entered anew', async () => {
  const joins: JoinOptions[] = []
  const memberships: Membership[] = []
  const handled: number[] = []
  const whole = engine.stream!
  const port = {
    async join(stream: string, group: string, options: JoinOptions) {
      joins.push(options)
      if (joins.length === 2) throw new SpillwayError('ENGINE_UNAVAILABLE', 'It is still away.')
      const membership = await whole.join(stream, group, options)
      memberships.push(membership)
      return membership
    },
  }
  const stream = await start(({ data }) => void handled.push((data as { n: number }).n), { port })
  await stream.append({ key: 'k', n: 1 })
  await vi.waitFor(() => expect(handled).toEqual([1]))
  await vi.waitFor(async () => expect((await stream.group('g').lag()).total).toBe(0))
  joins[0]!.failed(new SpillwayError('ENGINE_UNAVAILABLE', 'It is away for too long.'))
  await stream.append({ key: 'k', n: 2 })
  await vi.waitFor(() => expect(memberships).toHaveLength(2), { timeout: 5_000 })
  // What the first membership says now concerns nobody.
  joins[0]!.failed(new SpillwayError('CLOSED', 'It says so late.'))
  await memberships[0]!.leave()
  await vi.waitFor(() => expect(handled).toEqual([1, 2]), { timeout: 5_000 })
  expect(reports.map(({ error }) => error.code)).toContain('ENGINE_UNAVAILABLE')
})

test('an observer that throws stops nothing', async () => {
  const stream = await open(1)
  await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
  const handled: number[] = []
  let failing = true
  const onReport = () => {
    throw new Error('the observer is broken')
  }
  subscription = stream.subscribe(
    'g',
    ({ data }) => {
      if (failing) {
        failing = false
        throw new Error('once')
      }
      handled.push(data.n)
    },
    { onReport, retry: { initial: '1ms' } },
  )
  await vi.waitFor(() => expect(handled).toEqual([1, 2]), { timeout: 5_000 })
})
