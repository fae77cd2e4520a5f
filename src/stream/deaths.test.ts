// An event that kills its process must end in the dead letters, and take no innocent one with it.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import { type MemoryStore, memory, memoryStore } from '../testing/index.ts'
import { GroupLog } from './group-log.ts'
import type { SubscribeOptions } from './plan.ts'
import type { Subscription } from './subscription.ts'

interface Step {
  key: string
  n: number
}

let store: MemoryStore
let engines: Engine[]
let subscriptions: Subscription[]

beforeEach(() => {
  store = memoryStore()
  engines = []
  subscriptions = []
})
afterEach(async () => {
  await Promise.all(subscriptions.map((each) => each.stop({ deadlineMs: 50 })))
  await Promise.all(engines.map((engine) => engine.close()))
})

async function process() {
  const engine = memory({ store })
  engines.push(engine)
  const spillway = new Spillway(engine)
  const data = { data: unchecked<Step>(), key: ({ key }: Step) => key, partitions: 1 }
  return { engine, stream: await spillway.stream('steps', data) }
}

/** Lives one after another, of processes that end the moment they handle a deadly event, until `over`. Resolves with how many died. */
async function lives(
  handle: (n: number) => 'dies' | 'fails' | 'succeeds',
  over: () => Promise<boolean>,
  options: SubscribeOptions = {},
): Promise<number> {
  for (let deaths = 0; ; deaths++) {
    const { engine, stream } = await process()
    const died = Promise.withResolvers<'died'>()
    let dead = false
    const subscription = stream.subscribe(
      'g',
      async ({ data }) => {
        await Promise.resolve()
        if (dead) return new Promise(() => {})
        const outcome = handle(data.n)
        if (outcome === 'fails') throw new Error('it failed')
        if (outcome !== 'dies') return undefined
        dead = true
        // As kill -9 would: memberships end without a word.
        void engine.close().then(() => died.resolve('died'))
        return new Promise(() => {})
      },
      { retry: { attempts: 3, initial: '1ms', max: '5ms' }, ...options },
    )
    subscriptions.push(subscription)
    const ended = vi.waitFor(async () => expect(await over()).toBe(true), { timeout: 4_000, interval: 20 })
    const end = await Promise.race([died.promise, ended.then(() => 'over' as const)])
    ended.catch(() => {})
    if (end === 'over') return deaths
    if (deaths > 20) throw new Error('it kills for ever')
  }
}

test.each(['block', 'skip'] as const)('it ends in the dead letters, with %s', async (onFailure) => {
  const { stream } = await process()
  await stream.appendMany(Array.from({ length: 40 }, (_, n) => ({ key: `k${n % 8}`, n })))
  const finished = new Set<number>()
  const handle = (n: number) => {
    if (n === 13) return 'dies'
    finished.add(n)
    return 'succeeds'
  }
  const over = async () => finished.size === 39 && (await stream.deadLetters('g')).length === 1
  expect(await lives(handle, over, { onFailure })).toBe(5)
  const [letter] = await stream.deadLetters('g')
  expect(letter).toMatchObject({
    position: 13,
    attempts: 3,
    reason: 'its process ended 3 times while it was handled',
  })
  const log = new GroupLog(engines.at(-1)!.stream!, { stream: 'steps', group: 'g' }, store.clock)
  await vi.waitFor(async () => expect(await log.lookBack(0)).toMatchObject({ deaths: 1, began: [] }))
})

test('events that only fail beside it are charged with none of its deaths', async () => {
  const { stream } = await process()
  await stream.appendMany(Array.from({ length: 20 }, (_, n) => ({ key: `k${n}`, n })))
  const finished = new Set<number>()
  let mended = false
  const handle = (n: number) => {
    if (n === 5) return 'dies'
    if (n === 3 && !mended) return 'fails'
    finished.add(n)
    return 'succeeds'
  }
  const over = async () => {
    mended = (await stream.deadLetters('g')).length === 1
    return mended && finished.size === 19
  }
  await lives(handle, over)
  expect(await stream.deadLetters('g')).toMatchObject([{ position: 5 }])
})

test('who leaves in good order before he came past a suspect leaves the suspicion to the next', async () => {
  const { stream } = await process()
  await stream.append({ key: 'k', n: 1 })
  const options = { retry: { attempts: 3, initial: '1ms', max: '5ms' } } as const
  const over = async () => (await stream.deadLetters('g')).length === 1
  let deaths = 0
  for (; deaths < 10 && !(await over()); deaths++) {
    // A deployment between two deaths: this one has the event in hand when it is told to go.
    const leaver = await process()
    const begun = Promise.withResolvers<void>()
    const leaving = leaver.stream.subscribe(
      'g',
      (_, { signal }) => {
        begun.resolve()
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      options,
    )
    const ended = vi.waitFor(async () => expect(await over()).toBe(true), { timeout: 4_000, interval: 20 })
    ended.catch(() => {})
    await Promise.race([begun.promise, ended])
    await leaving.stop({ deadlineMs: 10 })
    if (await over()) break
    const { engine, stream: dying } = await process()
    const died = Promise.withResolvers<void>()
    const subscription = dying.subscribe(
      'g',
      () => {
        void engine.close().then(died.resolve)
        return new Promise(() => {})
      },
      options,
    )
    subscriptions.push(subscription)
    await died.promise
  }
  expect(deaths).toBe(5)
  expect(await stream.deadLetters('g')).toMatchObject([{ attempts: 3 }])
})

test('who lost its partition, and lives, counts as no death', async () => {
  const { engine } = await process()
  const log = new GroupLog(engine.stream!, { stream: 'steps', group: 'g' }, store.clock)
  await log.declare()
  const handover = { partition: 0, deaths: 1, done: { below: 0, above: [] }, began: [] }
  await log.append({ kind: 'taken', member: 'a', ...handover })
  expect(await log.lookBack(0)).toMatchObject({ deaths: 2 })
  expect(await log.lookBack(0, 'a')).toMatchObject({ deaths: 1 })
  await log.append({ kind: 'alive', member: 'b', partition: 0 }, { kind: 'alive', member: 'a', partition: 1 })
  expect(await log.lookBack(0)).toMatchObject({ deaths: 2 })
  await log.append({ kind: 'alive', member: 'a', partition: 0 })
  expect(await log.lookBack(0)).toMatchObject({ deaths: 1 })
  // It took it again, and died.
  await log.append({ kind: 'taken', member: 'a', ...handover })
  expect(await log.lookBack(0)).toMatchObject({ deaths: 2 })
})

test('who leaves in good order leaves no suspicion', async () => {
  const { engine, stream } = await process()
  const log = new GroupLog(engine.stream!, { stream: 'steps', group: 'g' }, store.clock)
  await stream.append({ key: 'k', n: 1 })
  for (let round = 0; round < 3; round++) {
    const handled = Promise.withResolvers<void>()
    const subscription = stream.subscribe('g', () => handled.resolve())
    await handled.promise
    await subscription.stop()
    await stream.append({ key: 'k', n: 1 })
    expect(await log.lookBack(0)).toMatchObject({ deaths: 0, began: [] })
  }
})
