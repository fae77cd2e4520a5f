// Waiting for what a handler needs beside its event must cost the event nothing, hold up nobody else, and end when it is to end.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Message } from '../core/message.ts'
import { unchecked } from '../core/schema.ts'
import type { Settled } from '../core/settled.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import { type MemoryStore, memory, memoryStore } from '../testing/index.ts'
import { GroupLog } from './group-log.ts'
import { type FailureOptions, failurePolicy, type GroupOptions, type Handled } from './plan.ts'
import type { Prepared } from './preparation.ts'
import { StreamGroup } from './stream-group.ts'
import { type Subscription, subscribe } from './subscription.ts'

interface Step {
  readonly key: string
  readonly n: number
}

const patience = { timeout: 10_000, interval: 10 }

let store: MemoryStore
let engines: Engine[]
let subscriptions: Subscription[]
let settled: Settled[]

beforeEach(() => {
  store = memoryStore()
  engines = []
  subscriptions = []
  settled = []
})
afterEach(async () => {
  await Promise.all(subscriptions.map((each) => each.stop({ deadlineMs: 50 })))
  await Promise.all(engines.map((engine) => engine.close()))
})

interface Preparer {
  readonly prepare: (step: Step, signal: AbortSignal) => Promise<Prepared>
  readonly coalesce?: boolean
  readonly failure?: FailureOptions
  readonly group?: GroupOptions
  readonly partitions?: number
}

/** Another process that subscribes. */
async function start(
  handler: (step: Step, attempt: number, prepared: unknown) => unknown,
  { prepare, coalesce, failure, group, partitions = 1 }: Preparer,
) {
  const engine = memory({ store })
  engines.push(engine)
  const contract = { data: unchecked<Step>(), key: ({ key }: Step) => key, partitions }
  const stream = await new Spillway(engine).stream('steps', contract)
  const stepOf = (message: Message) => message.data as Step
  const handled: Handled = {
    contract: stream.contract as never,
    handler: (message, delivery, prepared) => handler(stepOf(message), delivery.attempt, prepared),
    policy: failurePolicy({ retry: { attempts: 3, initial: '1ms', max: '5ms' }, ...failure }),
    preparation: {
      prepare: (message, signal) => prepare(stepOf(message), signal),
      ...(coalesce ? { versionOf: (message: Message) => stepOf(message).n } : {}),
    },
  }
  const subscription = subscribe(engine.stream!, {
    stream: 'steps',
    group: 'g',
    handlers: new Map([['steps', handled]]),
    strictTypes: true,
    onSettled: (end) => settled.push(end),
    ...group,
  })
  subscriptions.push(subscription)
  return { engine, stream, subscription }
}

test('waiting takes no place, no attempt and no part of the deadline, and only its own key waits', async () => {
  const handled: unknown[] = []
  const payload = Promise.withResolvers<Prepared>()
  const { stream } = await start((step, attempt, prepared) => handled.push([step.n, attempt, prepared]), {
    prepare: ({ key, n }) => (key === 'slow' ? payload.promise : Promise.resolve({ value: `for ${n}` })),
    failure: { deadline: '20ms' },
    group: { concurrency: 1 },
  })
  const keys = ['slow', 'slow', 'a', 'b', 'a']
  await stream.appendMany(keys.map((key, n) => ({ key, n })))
  await vi.waitFor(() => expect(handled).toHaveLength(3), patience)
  // Several deadlines long.
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(handled).toEqual([2, 3, 4].map((n) => [n, 1, `for ${n}`]))
  payload.resolve({ value: 'late' })
  await vi.waitFor(() => expect(handled).toHaveLength(5), patience)
  expect(handled.slice(3)).toEqual([
    [0, 1, 'late'],
    [1, 1, 'late'],
  ])
  expect(settled.map(({ outcome }) => outcome)).toEqual(Array(5).fill('done'))
})

test('what cannot be prepared is a failed attempt; every attempt is prepared anew', async () => {
  const prepared: number[] = []
  const handled: unknown[] = []
  const { stream } = await start((step, attempt) => handled.push([step.n, attempt]), {
    prepare: async ({ key, n }) => {
      prepared.push(n)
      if (key === 'never' || (n === 1 && prepared.length < 3)) throw new Error('there is none')
      return { value: undefined }
    },
    failure: { onFailure: 'skip' },
  })
  await stream.appendMany([
    { key: 'once', n: 1 },
    { key: 'never', n: 2 },
  ])
  await vi.waitFor(async () => {
    expect(handled).toEqual([[1, 2]])
    expect(prepared.filter((n) => n === 2)).toHaveLength(3)
    expect(await stream.deadLetters('g')).toMatchObject([
      { position: 1, attempts: 3, reason: 'attempt 3 of 3: there is none' },
    ])
  }, patience)
})

test('a stop ends the wait at once, and what waited is handled by the next', async () => {
  const waiting = Promise.withResolvers<AbortSignal>()
  const first = await start(() => {}, {
    prepare: (_, signal) => {
      waiting.resolve(signal)
      return new Promise(() => {})
    },
  })
  await first.stream.append({ key: 'k', n: 1 })
  const signal = await waiting.promise
  await first.subscription.stop({ deadlineMs: 60_000 })
  expect(signal.aborted).toBe(true)
  await start(() => {}, { prepare: async () => ({ value: 1 }) })
  await vi.waitFor(() => expect(settled).toMatchObject([{ outcome: 'done', attempt: 1 }]), patience)
})

test('the wait ends when the partition goes to another member', async () => {
  const signals: AbortSignal[] = []
  const wait = (_: Step, signal: AbortSignal) => {
    signals.push(signal)
    return new Promise<Prepared>(() => {})
  }
  const { stream } = await start(() => {}, { prepare: wait, partitions: 2 })
  await stream.appendMany(Array.from({ length: 40 }, (_, n) => ({ key: `k${n}`, n })))
  await vi.waitFor(() => expect(signals).toHaveLength(40), patience)
  const taken: Step[] = []
  await start((step) => taken.push(step), { prepare: async () => ({ value: 1 }), partitions: 2 })
  await vi.waitFor(() => {
    expect(taken.length).toBeGreaterThan(0)
    expect(signals.filter(({ aborted }) => aborted)).toHaveLength(taken.length)
  }, patience)
  expect(taken.length).toBeLessThan(40)
})

test('a process that is killed while it waits leaves nothing against the event', async () => {
  const { stream, engine, subscription } = await start(() => {}, { prepare: async () => ({ value: 0 }) })
  await subscription.stop()
  await stream.append({ key: 'k', n: 1 })
  for (let life = 0; life < 8; life++) {
    const waiting = Promise.withResolvers<void>()
    const dying = await start(() => {}, {
      prepare: () => {
        waiting.resolve()
        return new Promise(() => {})
      },
    })
    await waiting.promise
    // As kill -9 would: memberships end without a word.
    await dying.engine.close()
  }
  const log = new GroupLog(engine.stream!, { stream: 'steps', group: 'g' }, store.clock)
  expect(await log.lookBack(0)).toMatchObject({ deaths: 8, began: [] })
  await start(() => {}, { prepare: async () => ({ value: 1 }), failure: { retry: { attempts: 1 } } })
  await vi.waitFor(() => expect(settled).toMatchObject([{ outcome: 'done', attempt: 1 }]), patience)
  expect(await stream.deadLetters('g')).toEqual([])
})

test('no more than 200 events are prepared or hold what was prepared for them', async () => {
  let held = 0
  let most = 0
  const release = Promise.withResolvers<void>()
  const handled: number[] = []
  const { stream } = await start(
    async ({ n }) => {
      await release.promise
      held -= 1
      handled.push(n)
    },
    {
      prepare: async () => {
        held += 1
        most = Math.max(most, held)
        return { value: 'something large' }
      },
      group: { concurrency: 3 },
    },
  )
  await stream.appendMany(Array.from({ length: 500 }, (_, n) => ({ key: `k${n}`, n })))
  await vi.waitFor(() => expect(held).toBe(200), patience)
  release.resolve()
  await vi.waitFor(() => expect(handled).toHaveLength(500), patience)
  expect(most).toBe(200)
  expect(held).toBe(0)
})

test('who coalesces is run for the newest, and again after going back; what is redriven always runs', async () => {
  const handled: string[] = []
  let newest = 5
  let fails = true
  const { stream, engine } = await start(
    ({ key, n }) => {
      if (key === 'b' && n === 1 && fails) throw new Error('not yet')
      handled.push(`${key}${n}`)
    },
    {
      prepare: async () => ({ value: 'today', version: newest }),
      coalesce: true,
      failure: { onFailure: 'skip', retry: { attempts: 1 } },
    },
  )
  const steps = [1, 2, 3, 4, 5].flatMap((n) => ['a', 'b'].map((key) => ({ key, n })))
  await stream.appendMany(steps)
  const group = new StreamGroup(engine.stream!, 'steps', 'g', store.clock)
  await vi.waitFor(async () => {
    // What failed showed its handler nothing.
    expect([...handled].sort()).toEqual(['a1', 'b2'])
    expect((await group.lag()).total).toBe(0)
  }, patience)
  fails = false
  expect(await group.redrive(({ reason }) => reason.includes('not yet'))).toBe(1)
  newest = 6
  await stream.append({ key: 'a', n: 6 })
  await vi.waitFor(() => expect([...handled].sort()).toEqual(['a1', 'a6', 'b1', 'b2']), patience)
  await group.replay('earliest')
  await vi.waitFor(() => expect([...handled].sort()).toEqual(['a1', 'a1', 'a6', 'b1', 'b1', 'b2']), patience)
})
