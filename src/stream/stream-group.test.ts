// What a group is told while it runs, with a database that keeps its progress and without one.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../core/clock.ts'
import type { Background } from '../core/lifecycle.ts'
import { deadLetter } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { Spillway } from '../spillway.ts'
import { MemoryTable, memory, memoryDatabase } from '../testing/index.ts'
import { Channels } from '../topology/channels.ts'
import { relay } from '../transaction/relay.ts'
import type { EventDelivery } from './event-delivery.ts'
import { PendingOrders } from './pending-orders.ts'
import { type FailureOptions, failurePolicy, type SubscriptionPlan } from './plan.ts'
import { type Subscription, subscribe } from './subscription.ts'

interface Step {
  key: string
  n: number
}
type Handler = (step: Step, delivery: EventDelivery) => unknown

let engine: Engine
let reports: Report[]
/** By how many milliseconds the clock of the engine is ahead. */
let later: number
const subscriptions: Subscription[] = []

beforeEach(() => {
  later = 0
  engine = memory({ clock: { ...systemClock, now: () => systemClock.now() + later } })
  reports = []
})
afterEach(async () => {
  await Promise.all(subscriptions.splice(0).map((each) => each.stop({ deadlineMs: 100 })))
  await engine.close()
})

const address = { stream: 'steps', group: 'g' }
const open = (partitions = 1) =>
  new Spillway(engine).stream('steps', { data: unchecked<Step>(), key: ({ key }) => key, partitions })

const stores = {
  'with a database': () => memoryDatabase({ db: new MemoryTable<number>() }).open('g'),
  'without one': async () => undefined,
}

describe.each(Object.entries(stores))('%s', (_, openStore) => {
  let store: Awaited<ReturnType<typeof openStore>>
  let relaying: Background | undefined
  beforeEach(async () => {
    store = await openStore()
    const channels = new Channels(engine, engine, 1, systemClock)
    relaying =
      store && relay(store.outbox, channels, { service: 'g', onReport: (report) => reports.push(report) })
  })
  afterEach(() => relaying?.stop())

  /** A member whose handler commits its progress, where there is a database for it. */
  async function member(
    handler: Handler,
    failure: FailureOptions = {},
    plan: Partial<SubscriptionPlan> = {},
  ) {
    const stream = await open()
    const handled = {
      contract: stream.contract as never,
      policy: failurePolicy({ retry: { initial: '1ms' }, ...failure }),
      handler: async (message: { data: unknown }, delivery: EventDelivery) => {
        const said = await handler(message.data as Step, delivery)
        if (said !== undefined || !store) return said
        return store.commit({ outbox: [], ...delivery.mark(), timeoutMs: 1_000 })
      },
    }
    const subscription = subscribe(engine.stream!, {
      stream: 'steps',
      group: 'g',
      handlers: new Map([['steps', handled]]),
      strictTypes: true,
      onReport: (report) => reports.push(report),
      ...(store ? { store } : {}),
      ...plan,
    })
    subscriptions.push(subscription)
    return subscription
  }

  /** Waits until what is under way in the group is finished and stored. */
  const settled = async () => {
    const group = (await open()).group('g')
    await vi.waitFor(async () => expect((await group.lag()).total).toBe(0), { timeout: 5_000 })
  }

  test('the lag is told for each partition and in total', async () => {
    const stream = await open(2)
    await stream.appendMany(Array.from({ length: 30 }, (_, n) => ({ key: `k${n}`, n })))
    const before = await stream.group('g').lag()
    expect(before.total).toBe(30)
    expect(before.partitions.map(({ committed }) => committed)).toEqual([null, null])
    let handled = 0
    await member(() => {
      handled += 1
    })
    await settled()
    expect(handled).toBe(30)
  })

  test('a dead letter is redriven once, with its id, and is no longer listed', async () => {
    const stream = await open()
    await stream.appendMany([1, 2, 3].map((n) => ({ key: 'k', n })))
    let dying = true
    const seen: string[] = []
    await member(({ n }) => {
      if (dying && n === 2) return deadLetter('not today')
      seen.push(`${n}`)
      return undefined
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    await vi.waitFor(() => expect(seen).toEqual(['1', '3']))
    dying = false
    const [letter] = await group.deadLetters()
    expect(await group.redrive([letter!.deadPosition])).toBe(1)
    await vi.waitFor(() => expect(seen).toEqual(['1', '3', '2']), { timeout: 5_000 })
    expect(await group.deadLetters()).toEqual([])
    expect(await group.redrive([letter!.deadPosition])).toBe(0)
    await subscriptions.pop()!.stop()
    await member(({ n }) => void seen.push(`again ${n}`))
    await stream.append({ key: 'k', n: 4 })
    await vi.waitFor(() => expect(seen).toContain('again 4'), { timeout: 5_000 })
    expect(seen).toEqual(['1', '3', '2', 'again 4'])
  })

  test('letters are chosen by their reason; what dies again is a new letter', async () => {
    const stream = await open()
    await stream.appendMany([1, 2, 3, 4].map((n) => ({ key: `${n}`, n })))
    await member(({ n }) => deadLetter(n % 2 ? 'odd' : 'even'))
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(4), { timeout: 5_000 })
    const before = (await group.deadLetters()).map(({ deadPosition }) => deadPosition)
    expect(await group.redrive(({ reason }) => reason === 'odd')).toBe(2)
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(4), { timeout: 5_000 })
    const after = await group.deadLetters()
    expect(after.map(({ reason }) => reason).toSorted()).toEqual(['even', 'even', 'odd', 'odd'])
    expect(after.filter(({ deadPosition }) => !before.includes(deadPosition))).toHaveLength(2)
  })

  test('a redriven event and another of its key never run at the same time', async () => {
    const stream = await open()
    await stream.append({ key: 'k', n: 0 })
    let dying = true
    let running = 0
    let most = 0
    const seen: number[] = []
    await member(async ({ n }) => {
      if (dying && n === 0) return deadLetter('first')
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 2))
      running -= 1
      seen.push(n)
      return undefined
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    dying = false
    await Promise.all([
      group.redrive(() => true),
      stream.appendMany(Array.from({ length: 20 }, (_, n) => ({ key: 'k', n: n + 1 }))),
    ])
    await vi.waitFor(() => expect(seen).toHaveLength(21), { timeout: 5_000 })
    expect(most).toBe(1)
    expect(seen.filter((n) => n > 0)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  })

  test('an event that is too large to be kept twice is read from its place', async () => {
    const stream = await open()
    const large = `${'"'.repeat(300_000)}`
    await stream.append({ key: large.slice(0, 1), n: 1, large } as Step)
    let dying = true
    let length = 0
    await member((step) => {
      if (dying) return deadLetter('large')
      length = (step as unknown as { large: string }).large.length
      return undefined
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    dying = false
    await group.redrive(() => true)
    await vi.waitFor(() => expect(length).toBe(300_000), { timeout: 5_000 })
  })

  test('a live group goes back to a position, and each order is carried out once', async () => {
    const stream = await open()
    await stream.appendMany([0, 1, 2, 3, 4].map((n) => ({ key: 'k', n })))
    const seen: number[] = []
    await member(({ n }) => void seen.push(n))
    await vi.waitFor(() => expect(seen).toHaveLength(5))
    await settled()
    const group = stream.group('g')
    await group.replay([{ partition: 0, position: 2 }])
    await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 3, 4, 2, 3, 4]), { timeout: 5_000 })
    await settled()
    await group.replay([{ partition: 0, position: 99 }])
    await subscriptions.pop()!.stop()
    await member(({ n }) => void seen.push(100 + n))
    await stream.append({ key: 'k', n: 5 })
    await vi.waitFor(() => expect(seen).toContain(105), { timeout: 5_000 })
    expect(seen).toEqual([0, 1, 2, 3, 4, 2, 3, 4, 105])
  })

  test('an order that is given while nobody runs is carried out by who starts', async () => {
    const stream = await open()
    await stream.appendMany([0, 1, 2].map((n) => ({ key: 'k', n })))
    const seen: number[] = []
    const first = await member(({ n }) => void seen.push(n))
    await vi.waitFor(() => expect(seen).toHaveLength(3))
    await settled()
    await first.stop()
    await stream.group('g').replay(new Date(0))
    await member(({ n }) => void seen.push(10 + n))
    await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 10, 11, 12]), { timeout: 5_000 })
  })

  test('going back while handlers run loses and reorders nothing', async () => {
    const stream = await open()
    await stream.appendMany(Array.from({ length: 60 }, (_, n) => ({ key: `k${n % 3}`, n })))
    const seen: number[] = []
    await member(async ({ n }) => {
      await new Promise((resolve) => setTimeout(resolve, 3))
      seen.push(n)
    })
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(5))
    await stream.group('g').replay([{ partition: 0, position: 0 }])
    await vi.waitFor(
      () => expect(seen.filter((n) => n === 59)).toHaveLength(seen.lastIndexOf(0) > 0 ? 1 : 2),
      {
        timeout: 5_000,
      },
    )
    await settled()
    const again = seen.slice(seen.lastIndexOf(0))
    expect(new Set(again).size).toBeGreaterThanOrEqual(59)
    for (const key of [0, 1, 2]) {
      const order = again.filter((n) => n % 3 === key)
      expect(order).toEqual(order.toSorted((a, b) => a - b))
    }
  })
  test('a letter that two people redrive at the same moment has its effects once', async () => {
    const stream = await open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let dying = true
    let done = 0
    await member(({ n }, delivery) => {
      if (dying && n === 1) return deadLetter('not today')
      if (n !== 1 || !store) return undefined
      return store.commit({
        effects: () => {
          done += 1
        },
        outbox: [],
        ...delivery.mark(),
        timeoutMs: 1_000,
      })
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    dying = false
    // Both look before either has ordered.
    const [one, other] = [group.redrive(() => true), stream.group('g').redrive(() => true)]
    expect(await Promise.all([one, other])).toEqual([1, 1])
    const orders = new PendingOrders(engine.stream!, address)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    expect(done).toBe(store ? 1 : 0)
    expect(await group.deadLetters()).toEqual([])
  })

  test('places that cannot be are refused before anybody is told of them', async () => {
    const stream = await open(2)
    await stream.append({ key: 'k', n: 1 })
    const group = stream.group('g')
    for (const [partition, position] of [
      [0, -1],
      [0, 0.5],
      [0, 2 ** 53],
      [-1, 0],
      [2, 0],
      [0, '1' as never],
    ] as const)
      await expect(group.replay([{ partition, position }])).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(group.replay([null as never])).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    expect(await engine.stream!.bounds('steps.group.g').catch(() => [{ next: 0 }])).toMatchObject([
      { next: 0 },
    ])
  })

  test('a partition that an order to go back does not name goes on as it was', async () => {
    const stream = await open(2)
    const steps = Array.from({ length: 12 }, (_, n) => ({ key: `k${n}`, n }))
    const places = await stream.appendMany(steps)
    const inFirst = steps.filter((_, index) => places[index]!.partition === 0).length
    expect([0, 12]).not.toContain(inFirst)
    let seen = 0
    await member(() => {
      seen += 1
    })
    await settled()
    const group = stream.group('g')
    await group.replay([{ partition: 0, position: 0 }])
    const orders = new PendingOrders(engine.stream!, address)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    await settled()
    await vi.waitFor(() => expect(seen).toBe(12 + inFirst))
  })

  test('an order to go back is not carried out by who lost the partition meanwhile', async () => {
    if (!store) return
    const stream = await open(2)
    await stream.appendMany(Array.from({ length: 12 }, (_, n) => ({ key: `k${n}`, n })))
    const [gate, rewinding] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const acquired: number[] = []
    const slow = Object.assign(Object.create(store) as NonNullable<typeof store>, {
      commit: store.commit.bind(store),
      parking: store.parking,
      async acquire(name: string, group: string, partition: number) {
        if (name === 'steps') acquired.push(partition)
        return store!.acquire(name, group, partition)
      },
      async rewind(...args: Parameters<NonNullable<typeof store>['rewind']>) {
        rewinding.resolve()
        await gate.promise
        return store!.rewind(...args)
      },
    })
    await member(() => undefined, {}, { store: slow })
    await settled()
    await stream.group('g').replay('earliest')
    await rewinding.promise
    const before = acquired.length
    // The other has a partition for certain once it has handled what was appended to it.
    const seen = new Set<number>()
    await member((_, { partition }) => void seen.add(partition))
    await vi.waitFor(
      async () => {
        await stream.appendMany(Array.from({ length: 12 }, (_, n) => ({ key: `k${n}`, n })))
        expect(seen.size).toBeGreaterThan(0)
      },
      { timeout: 5_000 },
    )
    gate.resolve()
    await settled()
    const again = acquired.slice(before)
    expect(again.filter((partition) => seen.has(partition))).toEqual([])
  })

  test('an engine that needs long to fetch what is asked for loses no order and no letter', async () => {
    const stream = await open()
    const large = '"'.repeat(300_000)
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n, large })))
    let dying = true
    let seen = 0
    await member(() => {
      seen += dying ? 0 : 1
      return dying ? deadLetter('large') : undefined
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(2), { timeout: 5_000 })
    await subscriptions.pop()!.stop()
    dying = false
    const port = engine.stream!
    const read = port.read.bind(port)
    const asked = new Set<string>()
    // The first look at a place comes back with nothing, as it does when the time is up.
    port.read = async (name, from, options) => {
      const place = JSON.stringify([name, from])
      if (!asked.has(place)) {
        asked.add(place)
        return []
      }
      return read(name, from, options)
    }
    try {
      expect(await group.deadLetters()).toHaveLength(2)
      expect(await group.redrive(() => true)).toBe(2)
      expect(await group.deadLetters()).toEqual([])
      await member(() => {
        seen += 1
      })
      await vi.waitFor(() => expect(seen).toBe(2), { timeout: 8_000 })
      expect(reports.filter(({ error }) => error.code === 'EVENTS_TRIMMED')).toEqual([])
    } finally {
      port.read = read
    }
  })

  test('what stands in the log of a group and is no order is passed over and reported once; orders behind it are carried out', async () => {
    const stream = await open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    const entry = (data: unknown) =>
      JSON.stringify({ specversion: '1.0', id: 'x', source: '/x', type: 'spillway.group-entry', data })
    const malformed = [
      '{"cut',
      JSON.stringify({ specversion: '1.0', id: 'x', source: '/x', type: 'other', data: {} }),
      entry(null),
      entry({ kind: 'replay' }),
      entry({ kind: 'replay', positions: [{ partition: 0, position: '1' }] }),
      entry({ kind: 'redrive', partition: 0, position: -1, dead: 0 }),
      entry({ kind: 'taken', member: 'm', partition: 0 }),
      entry({ kind: 'done', partition: 0, done: { below: 9_999, above: null } }),
    ]
    const toCome = entry({ kind: 'of a version to come' })
    const port = engine.stream!
    await port.declare({ name: 'steps.group.g', partitions: 1 })
    await port.append(
      'steps.group.g',
      [...malformed, toCome].map((body) => ({ partition: 0, body })),
    )
    let seen = 0
    const handler = () => {
      seen += 1
    }
    await member(handler)
    await vi.waitFor(() => expect([seen, reports.length]).toEqual([2, malformed.length]), { timeout: 5_000 })
    for (const [place, { error }] of reports.entries()) {
      expect(error.code).toBe('INVALID_MESSAGE')
      expect(error.message).toContain(`entry ${place} of steps.group.g`)
    }
    const orders = new PendingOrders(port, address)
    const replay = async (expected: number) => {
      await stream.group('g').replay('earliest')
      await vi.waitFor(async () => expect([seen, await orders.count()]).toEqual([expected, 0]), {
        timeout: 5_000,
      })
    }
    await replay(4)
    await settled()
    await subscriptions.pop()!.stop()
    await member(handler)
    await replay(6)
    expect(reports).toHaveLength(malformed.length)
  })

  test('an order that names no partition of the stream keeps nobody waiting', async () => {
    await open()
    const port = engine.stream!
    await port.declare({ name: 'steps.group.g', partitions: 1 })
    const data = { kind: 'redrive', partition: 7, position: 0, dead: 0 }
    const body = JSON.stringify({
      specversion: '1.0',
      id: 'x',
      source: '/x',
      type: 'spillway.group-entry',
      data,
    })
    await port.append('steps.group.g', [{ partition: 0, body }])
    expect(await new PendingOrders(port, address).count()).toBe(0)
  })

  test("what is no dead letter stands in nobody's way: it is named, and passed over", async () => {
    const stream = await open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let dying = true
    const seen: number[] = []
    await member(({ n }) => {
      if (dying) return deadLetter('not today')
      seen.push(n)
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(2), { timeout: 5_000 })
    const dead = JSON.stringify({
      specversion: '1.0',
      id: 'x',
      source: '/x',
      type: 'spillway.dead-event',
      data: { reason: 'of another time' },
    })
    const foreign = [
      'no json',
      dead,
      JSON.stringify({ specversion: '1.0', id: 'x', source: '/', type: 'a', data: 1 }),
    ]
    const result = await engine.stream!.append(
      'steps.dead.g',
      foreign.map((body) => ({ partition: 0, body })),
    )
    const places = result.status === 'appended' ? result.positions : []
    const named: Report[] = []
    const letters = await group.deadLetters({ onReport: (report) => named.push(report) })
    expect(letters.map(({ reason }) => reason)).toEqual(['not today', 'not today'])
    expect(named.map(({ from }) => from)).toEqual(places.map((place) => `steps.dead.g:${place}`))
    for (const { error } of named) expect(error.code).toBe('INVALID_MESSAGE')
    dying = false
    expect(await group.redrive([places[0]!])).toBe(0)
    expect(await group.redrive(() => true)).toBe(2)
    await vi.waitFor(() => expect(seen).toEqual([1, 2]), { timeout: 5_000 })
  })

  test('an order waits for as long as the log is kept; then it is lost, and nobody waits for it', async () => {
    const stream = await open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let seen = 0
    const start = () =>
      member(
        () => {
          seen += 1
        },
        {},
        { keepDeadLetters: '1m' },
      )
    const seenAre = (count: number) => vi.waitFor(() => expect(seen).toBe(count), { timeout: 5_000 })
    await start()
    await seenAre(2)
    await settled()
    await subscriptions.pop()!.stop()
    const group = stream.group('g')
    const orders = new PendingOrders(engine.stream!, address)
    await group.replay('earliest')
    expect(await orders.count()).toBe(1)
    // The log is kept for half as long again as the letters.
    later += 80_000
    expect(await orders.count()).toBe(1)
    await start()
    await seenAre(4)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    await settled()
    await subscriptions.pop()!.stop()
    await group.replay('earliest')
    expect(await orders.count()).toBe(1)
    later += 100_000
    expect(await orders.count()).toBe(0)
    await start()
    await group.replay([{ partition: 0, position: 1 }])
    await seenAre(5)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    expect(reports).toEqual([])
  })

  test('a letter that was redriven is gone before the word that it was', async () => {
    const stream = await open()
    await stream.append({ key: 'k', n: 1 })
    let dying = true
    let seen = 0
    const handler = () => {
      if (dying) return deadLetter('not today')
      seen += 1
    }
    await member(handler, {}, { keepDeadLetters: '1m' })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    dying = false
    later += 5_000
    expect(await group.redrive(() => true)).toBe(1)
    await vi.waitFor(() => expect(seen).toBe(1), { timeout: 5_000 })
    for (let step = 0; step < 12; step++) {
      later += 10_000
      expect(await group.deadLetters(), `${later} ms after it died`).toEqual([])
    }
  })
})
