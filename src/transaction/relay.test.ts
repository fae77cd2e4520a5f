// What the relay does when it is stopped, and when a destination refuses.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import type { Message } from '../core/message.ts'
import type { Report } from '../core/report.ts'
import { missing } from '../ports/capability.ts'
import type { Database, Destination, OutboxPort, OutboxRow } from '../ports/database.ts'
import type { OutgoingMessage, QueuePort } from '../ports/queue.ts'
import type { AppendRecord, StreamPort } from '../ports/stream.ts'
import { fakeClock } from '../testing/fake-clock.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { type Destinations, type Relay, type RelayOptions, relay } from './relay.ts'

const mail: Destination = { kind: 'queue', name: 'mail' }
const news: Destination = { kind: 'stream', name: 'news' }

let database: Database<unknown>
let reports: Report[]
let running: Relay | undefined

beforeEach(async () => {
  database = await memoryDatabase({ db: new MemoryTable<number>() }).open('shop')
  reports = []
})
afterEach(async () => {
  await running?.stop({ deadlineMs: 0 })
  running = undefined
})

const commit = (count: number, destination = mail) => {
  const outbox = Array.from({ length: count }, () => ({
    destination,
    id: newId(),
    key: undefined,
    body: '{"n":0}',
  }))
  return database.commit({ outbox, timeoutMs: 1_000 })
}

/** A relay to a queue and a stream that are nothing but these functions. */
function start(
  send: (messages: readonly OutgoingMessage[]) => Promise<void>,
  append: (records: readonly AppendRecord[]) => void = () => {},
  outbox: OutboxPort = database.outbox,
  options: Partial<RelayOptions> = {},
): Relay {
  const queue = { send: (_: string, messages: readonly OutgoingMessage[]) => send(messages) }
  const port = { home: {}, append: async (_: string, records: readonly AppendRecord[]) => append(records) }
  const destinations: Destinations = {
    queue: () => queue as unknown as QueuePort,
    stream: async () => ({ port: port as unknown as StreamPort, partitions: 8 }),
  }
  running = relay(outbox, destinations, {
    service: 'shop',
    onReport: (report) => reports.push(report),
    pollMs: 5,
    ...options,
  })
  return running
}

test('a stop sends what is there, and does not wait for what others go on committing', async () => {
  await commit(1_200)
  const first = new Set((await peek()).map(({ id }) => id))
  let calls = 0
  const held = Promise.withResolvers<void>()
  const worker = start(async (messages) => {
    calls += 1
    await held.promise
    await new Promise((resolve) => setImmediate(resolve))
    for (const { id } of messages) first.delete(id)
    await commit(messages.length)
  })
  await vi.waitFor(() => expect(calls).toBe(1))
  const stopped = worker.stop({ deadlineMs: 60_000 })
  held.resolve()
  await stopped
  expect(first.size).toBe(0)
  expect(reports).toEqual([])
})

test('a destination that always has more does not hold up another', async () => {
  const appended: AppendRecord[] = []
  let sent = 0
  start(
    async () => {
      sent += 1
      await new Promise((resolve) => setImmediate(resolve))
      await commit(1)
      if (sent === 3) await commit(1, news)
    },
    (records) => void appended.push(...records),
  )
  await commit(1)
  await vi.waitFor(() => expect(appended).toHaveLength(1), { timeout: 10_000 })
  expect(sent).toBeGreaterThanOrEqual(3)
})

test('a stop gives up a send that does not end by its deadline, silently', async () => {
  await commit(1)
  const held = Promise.withResolvers<void>()
  let calls = 0
  const worker = start(async () => {
    calls += 1
    await held.promise
  })
  await vi.waitFor(() => expect(calls).toBe(1))
  await worker.stop({ deadlineMs: 10 })
  await database.close()
  held.reject(new Error('gone'))
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(reports).toEqual([])
})

test.each(['UNKNOWN_QUEUE', 'CAPABILITY_MISSING', 'CLOSED', 'ENGINE_FAILED'] as const)(
  'messages wait for a destination that answers %s',
  async (code) => {
    await commit(3)
    let refusals = 2
    let sent = 0
    start(async (messages) => {
      if (refusals-- > 0) throw new SpillwayError(code, 'Not yet.')
      sent += messages.length
    })
    await vi.waitFor(() => expect(sent).toBe(3), { timeout: 5_000 })
    // Told once, not at every try.
    expect(reports.map(({ error }) => error.code)).toEqual([code])
    expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 0 })
  },
)

test.each([
  'TOO_LARGE',
  // It carries what its queue has no rule for any more.
  'INVALID_OPTION',
] as const)('a message that can never be sent (%s) is set aside, and those around it go', async (code) => {
  await commit(5)
  let sent = 0
  const bad = (await peek())[2]!.id
  start(async (messages) => {
    if (messages.some(({ id }) => id === bad)) throw new SpillwayError(code, 'It is.')
    sent += messages.length
  })
  await vi.waitFor(() => expect(sent).toBe(4))
  await vi.waitFor(async () => expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 1 }))
  expect(reports.map(({ messageId }) => messageId)).toEqual([bad])
})

test('what the engine lacks for one message sets that one aside, at once; what it lacks for all makes them wait', async () => {
  await commit(5)
  let sent = 0
  let queues = false
  const bad = (await peek())[2]!.id
  start(async (messages) => {
    if (!queues) throw missing('kafka', 'queue')
    if (messages.some(({ id }) => id === bad)) throw missing('nats', 'queue', 'delay')
    sent += messages.length
  })
  await vi.waitFor(() => expect(reports.length).toBe(1))
  expect(await database.outbox.count()).toEqual({ waiting: 5, setAside: 0 })
  queues = true
  await vi.waitFor(async () => {
    expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 1 })
    expect(sent).toBe(4)
  }, 10_000)
  expect(reports.map(({ error, messageId }) => [error.code, messageId])).toEqual([
    ['CAPABILITY_MISSING', undefined],
    ['CAPABILITY_MISSING', bad],
  ])
  expect((await database.outbox.aside(1))[0]!.reason).toContain(
    "'nats' does not have sending for a later time",
  )
})

test('a row that a person put back says when, and only that one', async () => {
  await commit(3)
  let large = true
  const sent: Message[] = []
  const [, bad] = await peek()
  start(async (messages) => {
    if (large && messages.some(({ id }) => id === bad!.id)) throw new SpillwayError('TOO_LARGE', 'It is.')
    sent.push(...messages.map(({ body }) => JSON.parse(body) as Message))
  })
  await vi.waitFor(async () => expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 1 }))
  large = false
  const before = Date.now()
  expect(await database.outbox.retry([bad!.sequence])).toBe(1)
  await vi.waitFor(() => expect(sent.length).toBe(3), 10_000)
  expect(sent.map(({ redriventime }) => redriventime !== undefined)).toEqual([false, false, true])
  expect(Date.parse(sent[2]!.redriventime!)).toBeGreaterThanOrEqual(before)
})

test('events without a key spread over the partitions, whatever else is in their transactions', async () => {
  await commit(64, news)
  const { outbox } = database
  // As if each stood between seven messages to queues.
  const apart = (rows: readonly OutboxRow[], by: number) =>
    rows.map((row) => ({ ...row, sequence: row.sequence * by }))
  const sparse: OutboxPort = {
    ...outbox,
    take: async (...args) => apart(await outbox.take(...args), 8),
    remove: (rows) => outbox.remove(apart(rows, 1 / 8)),
  }
  const partitions = new Set<number>()
  let appended = 0
  start(
    async () => {},
    (records) => {
      for (const { partition } of records) partitions.add(partition)
      appended += records.length
    },
    sparse,
  )
  await vi.waitFor(() => expect(appended).toBe(64))
  expect(partitions.size).toBeGreaterThan(4)
})

/** The rows for the queue, in their order. */
async function peek() {
  await database.outbox.lock('test', 1_000)
  const rows = await database.outbox.take('test', mail, 10_000)
  await database.outbox.unlock('test')
  return rows
}

test('a tombstone is one for the stream too', async () => {
  const appended: AppendRecord[] = []
  const bodies = [
    '{"id":"1","tombstone":true,"data":1}',
    '{"id":"2","data":{"a":",\\"tombstone\\":true","tombstone":true}}',
  ]
  const outbox = bodies.map((body) => ({ destination: news, id: newId(), key: 'k', body }))
  await database.commit({ outbox, timeoutMs: 1_000 })
  start(
    async () => {},
    (records) => void appended.push(...records),
  )
  await vi.waitFor(() => expect(appended.map(({ tombstone }) => tombstone)).toEqual([true, false]), {
    timeout: 10_000,
  })
})

test('a destination that does not answer, and one that is down, delay no other; back again, it is sent what waited, in order', async () => {
  const received: number[] = []
  let down = true
  start(
    () => new Promise(() => {}),
    (records) => {
      if (down) throw new SpillwayError('ENGINE_UNAVAILABLE', 'It is away.')
      received.push(...records.map(({ body }) => Number(JSON.parse(body).sequence)))
    },
  )
  await commit(1, mail)
  await vi.waitFor(async () => expect(running).toBeDefined())
  await commit(3, news)
  await vi.waitFor(() => expect(reports.map(({ error }) => error.code)).toEqual(['ENGINE_UNAVAILABLE']))
  await commit(3, news)
  down = false
  await vi.waitFor(() => expect(received.length).toBe(6), { timeout: 10_000 })
  expect(received).toEqual(received.toSorted((a, b) => a - b))
  expect(reports.length).toBe(1)
})

test('the wait for a destination that is down grows and is bounded, however often the relay is woken', async () => {
  const clock = fakeClock()
  const tries: number[] = []
  const failing = async () => {
    tries.push(clock.elapsed())
    throw new SpillwayError('ENGINE_UNAVAILABLE', 'It is away.')
  }
  const waking = start(failing, () => {}, database.outbox, { clock })
  await commit(1)
  for (let ms = 0; ms < 60_000; ms += 100) {
    waking.wake([mail])
    await clock.advance(100)
  }
  expect(tries.length).toBeGreaterThan(10)
  expect(tries.length).toBeLessThan(60)
  expect(60_000 - (tries.at(-1)! - tries[0]!)).toBeLessThan(6_000)
  expect(reports.length).toBe(1)
})

test('what is for a queue that nobody knows is set aside after its time, and not before', async () => {
  await commit(3)
  await commit(2, news)
  let known = 0
  const refused = performance.now()
  start(
    async () => {
      throw new SpillwayError('UNKNOWN_QUEUE', 'Nobody has heard of it.')
    },
    (records) => {
      known += records.length
    },
    database.outbox,
    { unknownMs: 600 },
  )
  await vi.waitFor(async () => expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 3 }), {
    timeout: 10_000,
  })
  expect(performance.now() - refused).toBeGreaterThan(600)
  expect(known).toBe(2)
  // Once for the destination, and once for each that was given up.
  expect(reports.length).toBe(4)
})

test('who is told where something is for does not look for it, and now and then looks all the same', async () => {
  let looks = 0
  let sent = 0
  const { outbox } = database
  const counted: OutboxPort = {
    ...outbox,
    pending() {
      looks++
      return outbox.pending()
    },
  }
  const waking = start(
    async (messages) => {
      sent += messages.length
    },
    (records) => {
      sent += records.length
    },
    counted,
    { pollMs: 400 },
  )
  await vi.waitFor(() => expect(looks).toBe(1))
  for (let round = 1; round <= 5; round++) {
    await commit(1)
    waking.wake([mail])
    await vi.waitFor(() => expect(sent).toBe(round), { interval: 2 })
  }
  expect(looks).toBeLessThan(4)
  // Committed by a process that told nobody.
  await commit(1, news)
  await vi.waitFor(() => expect(sent).toBe(6), { timeout: 5_000 })
})

test('a backlog of long and of many rows goes in one stretch, in order, each once', async () => {
  const bodies: string[] = []
  await commit(5_500)
  const sequences: number[] = []
  start(
    async (messages) => {
      bodies.push(...messages.map(({ id }) => id))
      sequences.push(...messages.map(({ body }) => Number(JSON.parse(body).sequence)))
    },
    undefined,
    undefined,
    { pollMs: 60_000 },
  )
  await vi.waitFor(() => expect(bodies.length).toBe(5_500), { timeout: 10_000 })
  expect(new Set(bodies).size).toBe(5_500)
  expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  await vi.waitFor(async () => expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 0 }))
})

test('a relay that waits for another asks ever less often, and goes on when that one is gone', async () => {
  let sent = 0
  const other = newId()
  expect(await database.outbox.lock(other, 60_000)).toBe(true)
  let asked = 0
  const outbox: OutboxPort = {
    ...database.outbox,
    lock(holder, leaseMs) {
      asked += 1
      return database.outbox.lock(holder, leaseMs)
    },
  }
  await commit(1)
  start(
    async (messages) => {
      sent += messages.length
    },
    undefined,
    outbox,
    { pollMs: 500 },
  )
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  // Every 20 ms it would be 50.
  expect(asked).toBeGreaterThan(0)
  expect(asked).toBeLessThan(12)
  await database.outbox.unlock(other)
  await vi.waitFor(() => expect(sent).toBe(1), { timeout: 20_000 })
})

test('what can be moved is moved without the lock; what cannot is taken under it, and moved again when it can be', async () => {
  const locks: string[] = []
  let held = false
  let possible = true
  let moved = 0
  let appended = 0
  const { outbox } = database
  const moving: OutboxPort = {
    ...outbox,
    async lock(holder, leaseMs) {
      locks.push(holder)
      held = await outbox.lock(holder, leaseMs)
      return held
    },
    unlock(holder) {
      held = false
      return outbox.unlock(holder)
    },
    // In one transaction, the lock would be free again at its end.
    async move(holder, destination, limit) {
      if (!possible || !(held || (await outbox.lock(holder, 60_000)))) return undefined
      const rows = await outbox.take(holder, destination, limit)
      await outbox.remove(rows)
      if (!held) await outbox.unlock(holder)
      moved += rows.length
      return { rows: rows.length, more: rows.length === limit }
    },
  }
  const waking = start(
    async () => {},
    (records) => {
      appended += records.length
    },
    moving,
    { pollMs: 60_000 },
  )
  const publish = async (count: number) => {
    await commit(count, news)
    waking.wake([news])
  }
  await publish(2_500)
  await vi.waitFor(() => expect({ moved, appended }).toEqual({ moved: 2_500, appended: 0 }), 10_000)
  expect(locks).toEqual([])
  possible = false
  await publish(3)
  await vi.waitFor(() => expect({ moved, appended }).toEqual({ moved: 2_500, appended: 3 }), 10_000)
  expect(locks.length).toBeGreaterThan(0)
  possible = true
  // The first that is moved again may be so under the lock.
  for (let count = 1; count <= 3; count++) {
    await publish(1)
    await vi.waitFor(() => expect({ moved, appended }).toEqual({ moved: 2_500 + count, appended: 3 }), 10_000)
    await vi.waitFor(() => expect(held).toBe(false), 10_000)
    if (count === 1) locks.length = 0
  }
  expect(locks).toEqual([])
  // While another has the lock nothing leaves, and then all of it does.
  expect(await outbox.lock('other', 60_000)).toBe(true)
  await publish(2)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(moved).toBe(2_503)
  await outbox.unlock('other')
  await vi.waitFor(async () => expect(await outbox.count()).toEqual({ waiting: 0, setAside: 0 }), 10_000)
  expect(moved + appended).toBe(2_508)
  expect(reports).toEqual([])
})
