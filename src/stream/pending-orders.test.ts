// Orders to a group, above all to go back: who carries them out, when, and how often; with a database that keeps its progress and without one.
import { expect, test, vi } from 'vitest'
import { address, withAndWithoutDatabase } from '../../test/stream/group-members.ts'
import { PendingOrders } from './pending-orders.ts'

withAndWithoutDatabase((members) => {
  test('a live group goes back to a position, and each order is carried out once', async () => {
    const stream = await members.open()
    await stream.appendMany([0, 1, 2, 3, 4].map((n) => ({ key: 'k', n })))
    const seen: number[] = []
    await members.start(({ n }) => void seen.push(n))
    await vi.waitFor(() => expect(seen).toHaveLength(5))
    await members.settled()
    const group = stream.group('g')
    await group.replay([{ partition: 0, position: 2 }])
    await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 3, 4, 2, 3, 4]), { timeout: 5_000 })
    await members.settled()
    await group.replay([{ partition: 0, position: 99 }])
    await members.stopLast()
    await members.start(({ n }) => void seen.push(100 + n))
    await stream.append({ key: 'k', n: 5 })
    await vi.waitFor(() => expect(seen).toContain(105), { timeout: 5_000 })
    expect(seen).toEqual([0, 1, 2, 3, 4, 2, 3, 4, 105])
  })

  test('an order that is given while nobody runs is carried out by who starts', async () => {
    const stream = await members.open()
    await stream.appendMany([0, 1, 2].map((n) => ({ key: 'k', n })))
    const seen: number[] = []
    await members.start(({ n }) => void seen.push(n))
    await vi.waitFor(() => expect(seen).toHaveLength(3))
    await members.settled()
    await members.stopLast()
    await stream.group('g').replay(new Date(0))
    await members.start(({ n }) => void seen.push(10 + n))
    await vi.waitFor(() => expect(seen).toEqual([0, 1, 2, 10, 11, 12]), { timeout: 5_000 })
  })

  test('going back while handlers run loses and reorders nothing', async () => {
    const stream = await members.open()
    await stream.appendMany(Array.from({ length: 60 }, (_, n) => ({ key: `k${n % 3}`, n })))
    const seen: number[] = []
    await members.start(async ({ n }) => {
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
    await members.settled()
    const again = seen.slice(seen.lastIndexOf(0))
    expect(new Set(again).size).toBeGreaterThanOrEqual(59)
    for (const key of [0, 1, 2]) {
      const order = again.filter((n) => n % 3 === key)
      expect(order).toEqual(order.toSorted((a, b) => a - b))
    }
  })

  test('places that cannot be are refused before anybody is told of them', async () => {
    const stream = await members.open(2)
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
    expect(await members.engine.stream!.bounds('steps.group.g').catch(() => [{ next: 0 }])).toMatchObject([
      { next: 0 },
    ])
  })

  test('a partition that an order to go back does not name goes on as it was', async () => {
    const stream = await members.open(2)
    const steps = Array.from({ length: 12 }, (_, n) => ({ key: `k${n}`, n }))
    const places = await stream.appendMany(steps)
    const inFirst = steps.filter((_, index) => places[index]!.partition === 0).length
    expect([0, 12]).not.toContain(inFirst)
    let seen = 0
    await members.start(() => {
      seen += 1
    })
    await members.settled()
    const group = stream.group('g')
    await group.replay([{ partition: 0, position: 0 }])
    const orders = new PendingOrders(members.engine.stream!, address)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    await members.settled()
    await vi.waitFor(() => expect(seen).toBe(12 + inFirst))
  })

  test('an order to go back is not carried out by who lost the partition meanwhile', async () => {
    const { store } = members
    if (!store) return
    const stream = await members.open(2)
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
    await members.start(() => undefined, {}, { store: slow })
    await members.settled()
    await stream.group('g').replay('earliest')
    await rewinding.promise
    const before = acquired.length
    // The other has a partition for certain once it has handled what was appended to it.
    const seen = new Set<number>()
    await members.start((_, { partition }) => void seen.add(partition))
    await vi.waitFor(
      async () => {
        await stream.appendMany(Array.from({ length: 12 }, (_, n) => ({ key: `k${n}`, n })))
        expect(seen.size).toBeGreaterThan(0)
      },
      { timeout: 5_000 },
    )
    gate.resolve()
    await members.settled()
    const again = acquired.slice(before)
    expect(again.filter((partition) => seen.has(partition))).toEqual([])
  })

  test('what stands in the log of a group and is no order is passed over and reported once; orders behind it are carried out', async () => {
    const stream = await members.open()
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
    const port = members.engine.stream!
    await port.declare({ name: 'steps.group.g', partitions: 1 })
    await port.append(
      'steps.group.g',
      [...malformed, toCome].map((body) => ({ partition: 0, body })),
    )
    let seen = 0
    const handler = () => {
      seen += 1
    }
    await members.start(handler)
    await vi.waitFor(() => expect([seen, members.reports.length]).toEqual([2, malformed.length]), {
      timeout: 5_000,
    })
    for (const [place, { error }] of members.reports.entries()) {
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
    await members.settled()
    await members.stopLast()
    await members.start(handler)
    await replay(6)
    expect(members.reports).toHaveLength(malformed.length)
  })

  test('an order that names no partition of the stream keeps nobody waiting', async () => {
    await members.open()
    const port = members.engine.stream!
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

  test('an order waits for as long as the log is kept; then it is lost, and nobody waits for it', async () => {
    const stream = await members.open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let seen = 0
    const start = () =>
      members.start(
        () => {
          seen += 1
        },
        {},
        { keepDeadLetters: '1m' },
      )
    const seenAre = (count: number) => vi.waitFor(() => expect(seen).toBe(count), { timeout: 5_000 })
    await start()
    await seenAre(2)
    await members.settled()
    await members.stopLast()
    const group = stream.group('g')
    const orders = new PendingOrders(members.engine.stream!, address)
    await group.replay('earliest')
    expect(await orders.count()).toBe(1)
    // The log is kept for half as long again as the letters.
    members.later += 80_000
    expect(await orders.count()).toBe(1)
    await start()
    await seenAre(4)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    await members.settled()
    await members.stopLast()
    await group.replay('earliest')
    expect(await orders.count()).toBe(1)
    members.later += 100_000
    expect(await orders.count()).toBe(0)
    await start()
    await group.replay([{ partition: 0, position: 1 }])
    await seenAre(5)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    expect(members.reports).toEqual([])
  })
})
