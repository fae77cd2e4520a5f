// Schedules of a queue as their user sees them: declared again and again, fired once by whichever consumer is awake, missed by rule.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { queueContract } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import type { Report } from '../core/report.ts'
import type { Engine } from '../ports/engine.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import { memoryStore } from '../testing/memory/store.ts'
import type { Consumer } from './consumer.ts'
import { Queue } from './queue.ts'

const Sums = z.object({ kind: z.string() })
type Sums = z.infer<typeof Sums>
const contract = queueContract('reports', { data: Sums })
const nightly = { cron: '0 3 * * *', timeZone: 'Europe/Berlin' }
const [minuteMs, hourMs] = [60_000, 3_600_000]

let clock: FakeClock
let engines: Engine[]
let open: () => Promise<Queue<Sums, Sums>>
let reports: Report[]
let seen: Message[]
const consumers: Consumer[] = []

beforeEach(async () => {
  // 01:00 in Berlin.
  clock = fakeClock(Date.UTC(2026, 0, 1))
  const store = memoryStore({ clock })
  engines = []
  open = async () => {
    const engine = memory({ store })
    engines.push(engine)
    await engine.queue!.declare(['reports'], {})
    return new Queue(contract, engine.queue!, engine.name, clock)
  }
  reports = []
  seen = []
})
afterEach(async () => {
  await stopAll()
  await Promise.all(engines.map((engine) => engine.close()))
  expect(clock.timers, 'no timer is left').toBe(0)
})

function consume(queue: Queue<Sums, Sums>): void {
  const consumer = queue.consume((message) => void seen.push(message), {
    onReport: (report) => reports.push(report),
  })
  consumers.push(consumer)
}

async function stopAll(): Promise<void> {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop()))
  await clock.advance(1_000)
  await stopped
}

const fired = () => seen.map(({ scheduledfor }) => scheduledfor!.slice(0, 16))

test('each due time fires once, however many consumers of however many processes there are', async () => {
  const queues = await Promise.all([open(), open(), open()])
  const often = { cron: '2,4,6 1 * * *', timeZone: 'Europe/Berlin' }
  await Promise.all(queues.map((queue) => queue.schedule('early', often, { kind: 'sums' })))
  for (const queue of [...queues, queues[0]!]) consume(queue)
  await clock.advance(2 * minuteMs - 1)
  expect(seen).toEqual([])
  await clock.advance(1)
  expect(fired()).toEqual(['2026-01-01T00:02'])
  await clock.advance(10 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T00:02', '2026-01-01T00:04', '2026-01-01T00:06'])
  const [first, second] = seen
  expect(first).toMatchObject({
    type: contract.type,
    schedule: 'early',
    data: { kind: 'sums' },
    correlationid: first!.id,
    time: '2026-01-01T00:02:00.000Z',
  })
  expect(second!.id).not.toBe(first!.id)
  expect(reports).toEqual([])
  expect(await queues[1]!.schedules()).toMatchObject([{ due: new Date('2026-01-02T00:02Z') }])
})

test('one that is declared while a consumer waits fires in time, and one of another process within ten seconds', async () => {
  const [queue, other] = [await open(), await open()]
  consume(queue)
  await clock.advance(hourMs)
  await queue.schedule('often', { every: '5s' }, { kind: 'ticks' })
  await clock.advance(10_000)
  expect(seen).toHaveLength(2)
  await queue.unschedule('often')
  await other.schedule('often', { every: '20s' }, { kind: 'ticks' })
  await clock.advance(20_000)
  expect(seen).toHaveLength(3)
  expect(await other.unschedule('often')).toBe(true)
  expect(await other.unschedule('often')).toBe(false)
  await clock.advance(hourMs)
  expect(seen).toHaveLength(3)
})

test('the same due time has the same id, in every process and in every year', async () => {
  const ids: string[] = []
  for (const _ of [1, 2]) {
    const queue = await open()
    await queue.schedule('nightly', nightly, { kind: 'sums' })
    consume(queue)
    await clock.advance(2 * hourMs)
    ids.push(...seen.splice(0).map(({ id }) => id))
    await stopAll()
    await queue.unschedule('nightly')
    clock = fakeClock(Date.UTC(2026, 0, 1))
    const store = memoryStore({ clock })
    open = async () => {
      const engine = memory({ store })
      engines.push(engine)
      await engine.queue!.declare(['reports'], {})
      return new Queue(contract, engine.queue!, engine.name, clock)
    }
  }
  expect(ids).toHaveLength(2)
  expect(ids[0]).toBe(ids[1])
  expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('what is declared again keeps its due time; other data, options and rules are taken over, other times count from now', async () => {
  const queue = await open()
  const first = await queue.schedule('sums', { every: '1h' }, { kind: 'a' })
  expect(first.due).toEqual(new Date('2026-01-01T01:00Z'))
  await clock.advance(90 * minuteMs)
  const same = await queue.schedule('sums', { every: '60m' }, { kind: 'a' })
  expect(same).toEqual(first)
  const changed = await queue.schedule('sums', { every: '1h', missed: 'all' }, { kind: 'b' })
  expect(changed).toEqual({ ...first, missed: 'all' })
  consume(queue)
  await clock.advance(0)
  expect(seen.map(({ data }) => data)).toEqual([{ kind: 'b' }])
  const other = await queue.schedule('sums', { every: '20m', missed: 'all' }, { kind: 'b' })
  expect(other.due).toEqual(new Date('2026-01-01T01:40Z'))
  expect(other.last).toEqual(new Date('2026-01-01T01:00Z'))
  expect(await queue.schedules()).toEqual([other])
})

test('a due time that was fired is not fired again by other times', async () => {
  const queue = await open()
  await queue.schedule('sums', { every: '1h' }, { kind: 'a' })
  consume(queue)
  await clock.advance(hourMs)
  const changed = await queue.schedule('sums', { cron: '0 * * * *' }, { kind: 'a' })
  expect(changed.due).toEqual(new Date('2026-01-01T02:00Z'))
  await clock.advance(1_000)
  expect(seen).toHaveLength(1)
})

const missedBy = async (missed: 'once' | 'skip' | 'all', ms: number) => {
  const queue = await open()
  await queue.schedule('hourly', { every: '1h', missed }, { kind: 'a' })
  await clock.advance(ms)
  consume(queue)
  await clock.advance(0)
}

test('once: one run for all that were missed, the latest', async () => {
  await missedBy('once', 5 * hourMs + 30 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T05:00'])
  expect(reports.map(({ error, from }) => [error.code, from])).toEqual([
    ['RUNS_MISSED', 'the schedules of reports'],
  ])
  expect(reports[0]!.error.details).toMatchObject({ schedule: 'hourly', from: '2026-01-01T01:00:00.000Z' })
  await clock.advance(30 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T05:00', '2026-01-01T06:00'])
})

test('once: a single one that was missed is sent, and nothing is left out', async () => {
  await missedBy('once', hourMs + 30 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T01:00'])
  expect(reports).toEqual([])
})

test('skip: none that were missed, and the next one in its time', async () => {
  await missedBy('skip', 5 * hourMs + 30 * minuteMs)
  expect(seen).toEqual([])
  expect(reports.map(({ error }) => error.code)).toEqual(['RUNS_MISSED'])
  await clock.advance(30 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T06:00'])
})

test('skip: within a minute a due time is on time, and not after', async () => {
  await missedBy('skip', hourMs + minuteMs)
  expect(fired()).toEqual(['2026-01-01T01:00'])
  expect(reports).toEqual([])
  await stopAll()
  await clock.advance(hourMs)
  consume(await open())
  await clock.advance(0)
  expect(fired()).toEqual(['2026-01-01T01:00'])
  expect(reports.map(({ error }) => error.code)).toEqual(['RUNS_MISSED'])
})

test('all: each that was missed, in order', async () => {
  await missedBy('all', 3 * hourMs + 30 * minuteMs)
  expect(fired()).toEqual(['2026-01-01T01:00', '2026-01-01T02:00', '2026-01-01T03:00'])
  expect(reports).toEqual([])
})

test('all: the latest hundred, and the others are reported', async () => {
  await missedBy('all', 102 * hourMs)
  expect(seen).toHaveLength(100)
  expect(fired()[0]).toBe('2026-01-01T03:00')
  expect(fired()[99]).toBe('2026-01-05T06:00')
  expect(reports.map(({ error }) => error.code)).toEqual(['RUNS_MISSED'])
})

test('while the queue is paused due times are missed', async () => {
  const queue = await open()
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  consume(queue)
  await queue.pause()
  await clock.advance(3 * hourMs)
  expect(await queue.count()).toMatchObject({ ready: 0 })
  await queue.resume()
  await clock.advance(10_000)
  expect(fired()).toEqual(['2026-01-01T03:00'])
})

test('without a consumer nothing is sent', async () => {
  const queue = await open()
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  await clock.advance(3 * hourMs)
  expect(await queue.count()).toMatchObject({ ready: 0 })
})

test('what the contract and the options say of a message holds for each run', async () => {
  const ruled = queueContract('ruled', {
    data: z.object({ tenant: z.string() }),
    key: ({ tenant }) => `key of ${tenant}`,
    group: ({ tenant }) => tenant,
    priority: true,
    dedup: true,
  })
  await open()
  const port = engines[0]!.queue!
  await port.declare(['ruled'], { keyOrder: true, groups: {}, priority: true, dedup: true })
  const queue = new Queue(ruled, port, 'memory', clock)
  const options = { every: '1h', priority: 7, ttl: '90m', dedup: { key: 'one', for: '2h' } } as const
  const messages: Message[] = []
  const release = Promise.withResolvers<void>()
  const consumer = queue.consume(async (message) => {
    messages.push(message)
    await release.promise
  })
  consumers.push(consumer)
  await queue.schedule('sums', options, { tenant: 'acme' })
  await clock.advance(hourMs + minuteMs)
  expect(await queue.peek()).toMatchObject([{ key: 'key of acme', priority: 7, group: 'acme' }])
  expect(messages).toMatchObject([
    {
      partitionkey: 'key of acme',
      group: 'acme',
      priority: 7,
      dedupkey: 'one',
      dedupuntil: '2026-01-01T03:00:00.000Z',
      expirytime: '2026-01-01T02:30:00.000Z',
    },
  ])
  // The former run has the deduplication key: the next one is not sent, and the one after is.
  release.resolve()
  await clock.advance(hourMs)
  expect(messages).toHaveLength(1)
  await clock.advance(hourMs)
  expect(messages.map(({ scheduledfor }) => scheduledfor)).toEqual([
    '2026-01-01T01:00:00.000Z',
    '2026-01-01T03:00:00.000Z',
  ])
})

test('an older consumer fires what a newer program declared, and the newer one reads it', async () => {
  const newer = queueContract('reports', {
    data: z.object({ kind: z.string(), format: z.string() }),
    version: 2,
    upcast: { 1: (data) => ({ ...(data as Sums), format: 'pdf' }) },
  })
  const old = await open()
  const queue = new Queue(newer, engines[0]!.queue!, 'memory', clock)
  await queue.schedule('sums', { every: '10m' }, { kind: 'a', format: 'csv' })
  consume(old)
  await clock.advance(10 * minuteMs)
  // Whole, though the one who sent it does not know its version.
  expect(await queue.deadLetters()).toMatchObject([{ body: expect.stringContaining('"format":"csv"') }])
  await stopAll()
  await old.schedule('sums', { every: '10m' }, { kind: 'b' })
  const data: unknown[] = []
  consumers.push(queue.consume((message) => void data.push(message.data)))
  await clock.advance(10 * minuteMs)
  expect(data).toEqual([{ kind: 'b', format: 'pdf' }])
})

test('what cannot be is refused where it is declared, and nothing is stored', async () => {
  const queue = await open()
  const good = { every: '1h' } as const
  await expect(queue.schedule('a b', good, { kind: 'a' })).rejects.toMatchObject({ code: 'INVALID_NAME' })
  await expect(queue.schedule('a', good, { kind: 1 } as never)).rejects.toMatchObject({
    code: 'INVALID_DATA',
  })
  for (const options of [
    { cron: '0 0 31 2 *' },
    { cron: '0 3 * * *', timeZone: 'Mars/Olympus' },
    { every: '1ms' },
    { every: '1h', missed: 'later' },
    { every: '1h', priority: 3 },
    { every: '1h', dedup: 'one' },
    { every: '1h', ttl: '0s' },
  ])
    await expect(queue.schedule('a', options as never, { kind: 'a' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  const large = { kind: 'x'.repeat(70_000) }
  await expect(queue.schedule('a', good, large)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  expect(await queue.schedules()).toEqual([])
})

test('an engine without schedules refuses to take one, and its consumers do without', async () => {
  await open()
  const real = engines[0]!.queue!
  const port = new Proxy(real, {
    get: (target, name) => {
      if (name === 'capabilities') return { ...target.capabilities, schedules: false }
      if (name === 'schedules') throw new Error('it was asked for schedules')
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const queue = new Queue(contract, port, 'memory', clock)
  await expect(queue.schedule('a', { every: '1h' }, { kind: 'a' })).rejects.toMatchObject({
    code: 'CAPABILITY_MISSING',
  })
  consume(queue)
  await queue.send({ kind: 'a' })
  await clock.advance(20_000)
  expect(seen).toHaveLength(1)
  expect(reports).toEqual([])
})

test('what cannot be read or sent is reported once, and the others go on', async () => {
  const queue = await open()
  const port = engines[0]!.queue!
  const raw = { due: clock.now(), version: undefined, messages: [] }
  await port.putSchedule('reports', { ...raw, name: 'future', spec: '{"timing":{"moon":"full"}}' })
  await port.putSchedule('reports', { ...raw, name: 'broken', spec: 'no JSON' })
  const timing = { cron: '0 3 * * *', timeZone: 'Mars/Olympus' }
  const spec = JSON.stringify({ timing, missed: 'once', message: '{}' })
  await port.putSchedule('reports', { ...raw, name: 'elsewhere', spec })
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  consume(queue)
  await clock.advance(2 * hourMs)
  expect(fired()).toEqual(['2026-01-01T01:00', '2026-01-01T02:00'])
  expect(reports.map(({ error }) => error.code).sort()).toEqual([
    'INVALID_OPTION',
    'UNKNOWN_VERSION',
    'UNKNOWN_VERSION',
  ])
  expect((await queue.schedules()).map(({ name }) => name)).toEqual(['elsewhere', 'hourly'])
})

test('those that cannot be read or sent keep none of the others waiting, however many they are and however long due', async () => {
  const queue = await open()
  const port = engines[0]!.queue!
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  await queue.schedule('half-hourly', { every: '30m' }, { kind: 'b' })
  const spec = '{"timing":{"moon":"full"}}'
  for (let index = 0; index < 250; index++)
    await port.putSchedule('reports', {
      name: `broken-${index}`,
      spec,
      due: index,
      version: undefined,
      messages: [],
    })
  consume(queue)
  await clock.advance(2 * hourMs)
  expect(seen).toHaveLength(6)
  expect(fired().slice(-2)).toEqual(['2026-01-01T02:00', '2026-01-01T02:00'])
  expect(reports).toHaveLength(250)
})

test('a timing that nobody would write is a schedule that cannot be read, and the others are told of', async () => {
  const queue = await open()
  const port = engines[0]!.queue!
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  const good = { timing: { everyMs: 1_000 }, missed: 'once', message: '{}' }
  const broken = [
    { ...good, timing: null },
    { ...good, timing: { cron: 5, timeZone: 'UTC' } },
    { ...good, timing: { everyMs: 0 } },
    { ...good, timing: { cron: '0 3 * * *' } },
    { ...good, message: 'no JSON' },
    { ...good, message: 'null' },
  ]
  for (const [index, each] of broken.entries())
    await port.putSchedule('reports', {
      name: `broken-${index}`,
      spec: JSON.stringify(each),
      due: 1,
      version: undefined,
      messages: [],
    })
  expect((await queue.schedules()).map(({ name }) => name)).toEqual(['hourly'])
  consume(queue)
  await clock.advance(hourMs)
  expect(fired()).toEqual(['2026-01-01T01:00'])
  expect(reports.map(({ error }) => error.code)).toEqual(broken.map(() => 'UNKNOWN_VERSION'))
})

test('declaring one schedule does not read all the others', async () => {
  await open()
  const real = engines[0]!.queue!
  const asked: unknown[] = []
  const port = new Proxy(real, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (name !== 'schedules') return typeof value === 'function' ? value.bind(target) : value
      return (of: string, which: Parameters<typeof real.schedules>[1]) => {
        asked.push(which)
        return real.schedules(of, which)
      }
    },
  })
  const queue = new Queue(contract, port, 'memory', clock)
  await queue.schedule('hourly', { every: '1h' }, { kind: 'a' })
  await queue.schedule('hourly', { every: '1h' }, { kind: 'b' })
  expect(asked).toEqual([{ name: 'hourly' }, { name: 'hourly' }])
})

test('an engine that is away is tried again, and the due time fires once', async () => {
  await open()
  const real = engines[0]!.queue!
  let away = true
  const port = new Proxy(real, {
    get: (target, name) => {
      if (name === 'schedules' && away)
        return async () => {
          throw new Error('connection lost')
        }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const other = await open()
  await other.schedule('hourly', { every: '1h' }, { kind: 'a' })
  consume(new Queue(contract, port, 'memory', clock))
  await clock.advance(hourMs)
  expect(seen).toEqual([])
  expect(reports.length).toBeGreaterThan(2)
  away = false
  await clock.advance(10_000)
  expect(fired()).toEqual(['2026-01-01T01:00'])
})
