// What an operator does to a queue: pause, look, cancel, empty, and put dead letters back.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { queueContract } from '../core/contract.ts'
import { isSpillwayError } from '../core/errors.ts'
import { deadLetter, retry } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Handler } from './attempts.ts'
import type { ConsumeOptions, Consumer } from './consumer.ts'
import { Queue } from './queue.ts'

const Job = z.object({ name: z.string() })
type Job = z.infer<typeof Job>
const contract = queueContract('jobs', {
  data: Job,
  deadline: '20s',
  retry: { attempts: 3, initial: '10s', max: '10s' },
})

let clock: FakeClock
let engine: Engine
let jobs: Queue<Job, Job>
let reports: Report[]
const consumers: Consumer[] = []

beforeEach(async () => {
  clock = fakeClock()
  engine = memory({ clock })
  await engine.queue!.declare(['jobs'], {})
  jobs = new Queue(contract, engine.queue!, engine.name, clock)
  reports = []
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 1 })))
  await clock.advance(60_000)
  await stopped
  await engine.close()
})

function consume(handler: Handler<Job>, options: ConsumeOptions = {}): void {
  consumers.push(jobs.consume(handler, { onReport: (report) => reports.push(report), ...options }))
}

test('a paused queue is handled no more until it is resumed; sending goes on', async () => {
  const seen: string[] = []
  consume(({ data }) => void seen.push(data.name))
  await jobs.pause()
  await jobs.send({ name: 'a' })
  await clock.advance(60_000)
  expect(seen).toEqual([])
  expect(await jobs.count()).toMatchObject({ ready: 1, paused: true })
  await jobs.resume()
  await clock.advance(0)
  expect(seen).toEqual(['a'])
  expect(await jobs.count()).toMatchObject({ ready: 0, paused: false })
})

test('peek opens messages in every state, and says which cannot be read', async () => {
  const id = await jobs.send({ name: 'first' })
  await engine.queue!.claim('jobs', { limit: 1, leaseMs: 5_000, waitMs: 0 })
  await jobs.send({ name: 'second' })
  await jobs.send({ name: 'third' }, { delay: '1m' })
  await engine.queue!.send('jobs', [{ id: 'x', body: '{' }])
  const peeked = await jobs.peek()
  expect(peeked.map(({ state, message }) => [state, message?.data.name]).toSorted()).toEqual([
    ['delayed', 'third'],
    ['leased', 'first'],
    ['ready', undefined],
    ['ready', 'second'],
  ])
  expect(peeked.find((each) => each.id === id)).toMatchObject({
    starts: 1,
    due: new Date(clock.now() + 5_000),
    problem: undefined,
  })
  expect(peeked.find((each) => each.id === 'x')).toMatchObject({ problem: { code: 'INVALID_MESSAGE' } })
  const [first, ...rest] = await jobs.peek({ limit: 1 })
  expect(rest).toEqual([])
  expect(await jobs.peek({ after: first!.handle })).toHaveLength(3)
})

test('purge removes what waits, or the dead letters, and says how many', async () => {
  await jobs.sendMany([{ name: 'a' }, { name: 'b' }])
  expect(await jobs.purge('dead')).toBe(0)
  expect(await jobs.purge('waiting')).toBe(2)
  await jobs.send({ name: 'c' })
  consume(() => deadLetter('no'))
  await clock.advance(0)
  expect(await jobs.purge('dead')).toBe(1)
  expect(await jobs.count()).toMatchObject({ ready: 0, dead: 0 })
})

test('a message that waits is cancelled at once', async () => {
  const [a, b] = await jobs.sendMany([{ name: 'a' }, { name: 'b' }])
  expect(await jobs.cancel(a!)).toBe('removed')
  expect(await jobs.cancelMany([a!, b!, 'nobody'])).toEqual(['unknown', 'removed', 'unknown'])
  expect(await jobs.count()).toMatchObject({ ready: 0 })
})

test.each<[string, (signal: AbortSignal) => unknown]>([
  ['throws', (signal) => signal.throwIfAborted()],
  ['asks for a retry', () => retry()],
  ['gives up', () => deadLetter('no')],
  ['returns', () => {}],
])(
  'a handler is told within two seconds that its message was cancelled; it %s, and that is all',
  async (_, ending) => {
    const id = await jobs.send({ name: 'a' })
    let reason: unknown
    let attempts = 0
    consume(async (_message, { signal }) => {
      attempts += 1
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reason = signal.reason
      return ending(signal)
    })
    await clock.advance(300)
    expect(await jobs.cancel(id)).toBe('signalled')
    await clock.advance(2_000)
    expect(isSpillwayError(reason, 'CANCELLED')).toBe(true)
    await clock.advance(60_000)
    expect(attempts).toBe(1)
    expect(reports).toEqual([])
    expect(await jobs.count()).toEqual({
      ready: 0,
      delayed: 0,
      waiting: 0,
      leased: 0,
      dead: 0,
      paused: false,
    })
  },
)

test('a cancelled message whose handler does not listen keeps its place, and goes at the deadline', async () => {
  const id = await jobs.send({ name: 'deaf' })
  await jobs.send({ name: 'next' })
  const seen: string[] = []
  consume(
    ({ data }) => {
      seen.push(data.name)
      return data.name === 'deaf' ? new Promise(() => {}) : undefined
    },
    { concurrency: 1, lease: '3s' },
  )
  await clock.advance(100)
  await jobs.cancel(id)
  await clock.advance(19_000)
  expect(seen).toEqual(['deaf'])
  await clock.advance(2_000)
  expect(seen).toEqual(['deaf', 'next'])
  expect(await jobs.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 0 })
})

test('leases are extended every third of their time where that is sooner, else as often as cancelling asks', async () => {
  await jobs.send({ name: 'a' })
  const port = engine.queue!
  const extended: number[] = []
  const watched = new Proxy(port, {
    get(target, name) {
      if (name === 'extend') extended.push(clock.elapsed())
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const gate = Promise.withResolvers<void>()
  consumers.push(new Queue(contract, watched, engine.name, clock).consume(() => gate.promise))
  await clock.advance(6_500)
  gate.resolve()
  expect(extended).toEqual([2_000, 4_000, 6_000])
})

test('a dead letter tells why it was tried before, each reason cut to a length', async () => {
  await jobs.send({ name: 'a' })
  consume((_, { attempt }) => {
    throw new Error(attempt === 1 ? 'é'.repeat(2_000) : `failed ${attempt}`)
  })
  await clock.advance(30_000)
  const [dead] = await jobs.deadLetters()
  expect(dead).toMatchObject({ starts: 3, reason: 'attempt 3 of 3: failed 3' })
  expect(dead!.history.map(({ start, reason }) => [start, reason])).toEqual([
    [1, 'é'.repeat(500)],
    [2, 'failed 2'],
  ])
})

/** So many dead letters, of which every third died of the network. */
async function die(count: number): Promise<void> {
  await jobs.sendMany(Array.from({ length: count }, (_, n) => ({ name: `${n}` })))
  const consumer = jobs.consume(({ data }) =>
    deadLetter(Number(data.name) % 3 === 0 ? `ECONNRESET at ${data.name}` : 'no such address'),
  )
  await clock.advance(10)
  await consumer.stop()
  expect(await jobs.count()).toMatchObject({ dead: count })
}

test('redriving one, several, all, and by reason over many pages', async () => {
  await die(1_200)
  const [one, two, three] = await jobs.deadLetters({ limit: 3 })
  expect(await jobs.redrive(one!.handle)).toBe(1)
  expect(await jobs.redrive([one!.handle, two!.handle, three!.handle])).toBe(2)
  expect(await jobs.redriveAll({ reason: 'ECONNRESET' })).toBe(399)
  expect(await jobs.redriveAll({ reason: /ECONNRESET at \d+$/g })).toBe(0)
  expect(await jobs.redriveAll({ where: ({ starts }) => starts > 1 })).toBe(0)
  expect(await jobs.count()).toMatchObject({ ready: 402, dead: 798 })
  expect(await jobs.redriveAll()).toBe(798)
  expect(await jobs.count()).toMatchObject({ ready: 1_200, dead: 0 })
})

test('what dies again while all are put back is left', async () => {
  await die(700)
  consume(() => deadLetter('again'))
  expect(await jobs.redriveAll()).toBe(700)
  await clock.advance(10)
  expect(await jobs.count()).toMatchObject({ ready: 0, dead: 700 })
})

test('redriving ends between pages when its signal fires', async () => {
  await die(1_200)
  const stop = new AbortController()
  let asked = 0
  const where = () => {
    asked += 1
    if (asked === 10) stop.abort()
    return true
  }
  expect(await jobs.redriveAll({ where, signal: stop.signal })).toBe(500)
})

test('what an engine cannot do is refused by its name', async () => {
  const capabilities = { ...engine.queue!.capabilities, delay: false }
  const limited = new Queue(contract, { ...engine.queue!, capabilities } as never, 'poor', clock)
  await expect(limited.send({ name: 'a' }, { delay: 1 })).rejects.toMatchObject({
    code: 'CAPABILITY_MISSING',
    engine: 'poor',
  })
  await expect(limited.send({ name: 'a' }, { at: new Date() })).rejects.toThrow('a later time')
})

test('slow handlers keep nothing from other consumers: what does not begin within a third of the lease is given back', async () => {
  const seen: string[] = []
  const quick = ({ data }: { readonly data: Job }) => void seen.push(data.name)
  consume(({ data }) => (data.name.startsWith('slow') ? new Promise(() => {}) : quick({ data })), {
    concurrency: 2,
    lease: '9s',
  })
  // Quick ones let it hold a lot; then come slow ones that take all places.
  await jobs.sendMany(Array.from({ length: 50 }, (_, n) => ({ name: `${n}` })))
  await clock.advance(10)
  await jobs.sendMany(['slow1', 'slow2', 'held1', 'held2', 'held3'].map((name) => ({ name })))
  await clock.advance(10)
  expect(await jobs.count()).toMatchObject({ ready: 0, leased: 5 })
  await clock.advance(4_000)
  expect(await jobs.count()).toMatchObject({ ready: 3, leased: 2 })
  consume(quick)
  await clock.advance(10)
  expect(seen.slice(50)).toEqual(['held1', 'held2', 'held3'])
  expect(await jobs.count()).toMatchObject({ ready: 0, leased: 2 })
})
