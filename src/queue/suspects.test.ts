// Messages whose last holder vanished: who they may stand beside, and for how long.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type QueueContract, queueContract } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Consumer } from './consumer.ts'
import { Queue } from './queue.ts'
import { Gate } from './suspects.ts'

const leaseMs = 3_000
const handlingMs = 10_000

let clock: FakeClock
let engine: Engine
const consumers: Consumer[] = []

beforeEach(() => {
  clock = fakeClock()
  engine = memory({ clock })
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop()))
  await clock.advance(2 * handlingMs)
  await stopped
  await engine.close()
})

const contract = (name: string) =>
  queueContract(name, { data: unchecked<string>(), retry: { attempts: 3, initial: 0, max: 0 } })

async function open(of: QueueContract<string, string> = contract('work')): Promise<Queue<string, string>> {
  await engine.queue!.declare([of.queue], {})
  return new Queue(of, engine.queue!, engine.name, clock)
}

/** A holder takes all that is there, so many times, and is never heard of again. */
async function vanish(name: string, times = 1): Promise<void> {
  for (let i = 0; i < times; i++) {
    await engine.queue!.claim(name, { limit: 100, leaseMs, waitMs: 0 })
    await clock.advance(leaseMs)
  }
}

interface Diary {
  /** Who ran when somebody began, the beginner last. */
  readonly beside: string[][]
  readonly now: Set<string>
  handler(message: { readonly data: string }): Promise<void>
}

/** Handlers that take ten seconds each, and what was seen of them. */
function diary(): Diary {
  const now = new Set<string>()
  const beside: string[][] = []
  return {
    now,
    beside,
    async handler({ data }) {
      beside.push([...now, data])
      now.add(data)
      await new Promise<void>((resolve) => clock.after(handlingMs, resolve))
      now.delete(data)
    },
  }
}

function consume(from: Queue<string, string>, { handler }: Diary, concurrency = 10): void {
  consumers.push(from.consume(handler, { concurrency, lease: leaseMs }))
}

test('suspects begin one after the other, each when those before have lived through a second', async () => {
  const work = await open()
  await work.sendMany(['a', 'b', 'c'])
  await vanish('work')
  const seen = diary()
  consume(work, seen)
  await clock.advance(900)
  expect(seen.beside).toEqual([['a']])
  await clock.advance(1_000)
  expect(seen.beside).toEqual([['a'], ['a', 'b']])
  await clock.advance(1_000)
  expect(seen.beside).toEqual([['a'], ['a', 'b'], ['a', 'b', 'c']])
  await clock.advance(handlingMs)
  expect(await work.count()).toMatchObject({ ready: 0, leased: 0, dead: 0 })
})

test('there are never more of them than places', async () => {
  const work = await open()
  await work.sendMany(['a', 'b', 'c'])
  await vanish('work')
  const seen = diary()
  consume(work, seen, 2)
  await clock.advance(handlingMs - 1)
  expect([...seen.now]).toEqual(['a', 'b'])
  await clock.advance(2_000)
  expect([...seen.now]).toContain('c')
})

test('from their third start on they run one after the other, and nothing else is in hand', async () => {
  const work = await open()
  await work.sendMany(['a', 'b', 'c'])
  await vanish('work', 2)
  const seen = diary()
  const leased: number[] = []
  consumers.push(
    work.consume(
      async (message) => {
        leased.push((await work.count()).leased)
        await seen.handler(message)
      },
      { lease: leaseMs },
    ),
  )
  await clock.advance(3 * handlingMs + 5_000)
  expect(seen.beside).toEqual([['a'], ['b'], ['c']])
  expect(leased).toEqual([1, 1, 1])
  expect(await work.count()).toMatchObject({ ready: 0, leased: 0, dead: 0 })
})

test('a suspect waits until nothing else runs; others begin beside it after its first second', async () => {
  const work = await open()
  await work.send('suspect')
  await vanish('work')
  await engine.queue!.claim('work', { limit: 1, leaseMs, waitMs: 0 })
  await work.send('before')
  const seen = diary()
  consume(work, seen)
  await clock.advance(leaseMs)
  expect([...seen.now]).toEqual(['before'])
  await clock.advance(handlingMs - leaseMs - 1)
  expect([...seen.now]).toEqual(['before'])
  await clock.advance(1)
  expect([...seen.now]).toEqual(['suspect'])
})

test('others begin beside a suspect after its first second', async () => {
  const work = await open()
  await work.send('suspect')
  await vanish('work')
  await work.send('other')
  const seen = diary()
  consume(work, seen)
  await clock.advance(0)
  const [first] = seen.beside[0]!
  // The order of the two is the engine's; whichever is the suspect was alone when it began.
  if (first === 'other') await clock.advance(handlingMs)
  expect([...seen.now]).toEqual(['suspect'])
  await work.send('third')
  await clock.advance(900)
  expect([...seen.now]).toEqual(['suspect'])
  await clock.advance(101)
  expect(seen.now.has('third')).toBe(true)
  expect(seen.now.has('suspect')).toBe(true)
})

test('at its last permitted start a suspect is alone to its end', async () => {
  const work = await open()
  await work.send('suspect')
  await vanish('work', 2)
  const seen = diary()
  consume(work, seen)
  await clock.advance(0)
  expect([...seen.now]).toEqual(['suspect'])
  await work.send('other')
  await clock.advance(handlingMs - 1)
  expect([...seen.now]).toEqual(['suspect'])
  await clock.advance(1)
  expect([...seen.now]).toEqual(['other'])
})

test('two suspects never begin at once in one process, though their queues are others', async () => {
  const [one, two] = [await open(contract('one')), await open(contract('two'))]
  await one.send('1')
  await two.send('2')
  await vanish('one')
  await vanish('two')
  const seen = diary()
  consume(one, seen)
  consume(two, seen)
  await clock.advance(900)
  expect(seen.now.size).toBe(1)
  await clock.advance(2_000)
  expect(seen.now.size).toBe(2)
})

test('two that must be alone never run in one process; what is no suspect goes on meanwhile', async () => {
  const [one, two] = [await open(contract('one')), await open(contract('two'))]
  await one.send('1')
  await two.send('2')
  await vanish('one', 2)
  await vanish('two', 2)
  const seen = diary()
  consume(one, seen)
  consume(two, seen)
  await clock.advance(0)
  expect(seen.now.size).toBe(1)
  await two.send('fresh')
  await clock.advance(2_000)
  expect(seen.now.has('fresh')).toBe(true)
  await clock.advance(5 * handlingMs)
  expect(seen.beside.map((names) => names.at(-1)).toSorted()).toEqual(['1', '2', 'fresh'])
  expect(seen.beside).not.toContainEqual(expect.arrayContaining(['1', '2']))
})

test('a retry is no suspect', async () => {
  const work = await open()
  await work.sendMany(['a', 'b'])
  const seen = diary()
  consumers.push(
    work.consume((message, { attempt }) => {
      if (attempt === 1) throw new Error('once')
      return seen.handler(message)
    }),
  )
  await clock.advance(1)
  expect([...seen.now]).toEqual(['a', 'b'])
})

test('where batches are handled a suspect is a batch of its own', async () => {
  const work = await open()
  await work.sendMany(['a', 'b', 'c'])
  await vanish('work')
  const batches: string[][] = []
  consumers.push(
    work.consumeBatch((messages) => {
      batches.push(messages.map(({ data }) => data))
    }),
  )
  await clock.advance(5_000)
  expect(batches).toEqual([['a'], ['b'], ['c']])
})

test('the gate: one at a time, in turn, and whoever gave up is passed over', async () => {
  const gate = new Gate()
  const never = new AbortController().signal
  const leave = gate.tryEnter()!
  expect(gate.tryEnter()).toBeUndefined()
  const stop = new AbortController()
  const stopped = gate.enter(clock, 10_000, stop.signal)
  const impatient = gate.enter(clock, 100, never)
  const next = gate.enter(clock, 10_000, never)
  stop.abort()
  await clock.advance(100)
  expect([await stopped, await impatient]).toEqual([undefined, undefined])
  leave()
  leave()
  const leaveNext = (await next)!
  expect(gate.tryEnter()).toBeUndefined()
  leave()
  expect(gate.tryEnter()).toBeUndefined()
  leaveNext()
  expect(gate.tryEnter()).toBeDefined()
  expect(clock.timers).toBe(0)
})
