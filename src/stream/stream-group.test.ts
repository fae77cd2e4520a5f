// What a group of a stream tells of itself, and how its dead letters are put back: with a database that keeps its progress and without one.
import { expect, test, vi } from 'vitest'
import { address, type Step, withAndWithoutDatabase } from '../../test/stream/group-members.ts'
import { deadLetter } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { PendingOrders } from './pending-orders.ts'

withAndWithoutDatabase((members) => {
  test('the lag is told for each partition and in total', async () => {
    const stream = await members.open(2)
    await stream.appendMany(Array.from({ length: 30 }, (_, n) => ({ key: `k${n}`, n })))
    const before = await stream.group('g').lag()
    expect(before.total).toBe(30)
    expect(before.partitions.map(({ committed }) => committed)).toEqual([null, null])
    let handled = 0
    await members.start(() => {
      handled += 1
    })
    await members.settled()
    expect(handled).toBe(30)
  })

  test('a dead letter is redriven once, with its id, and is no longer listed', async () => {
    const stream = await members.open()
    await stream.appendMany([1, 2, 3].map((n) => ({ key: 'k', n })))
    let dying = true
    const seen: string[] = []
    await members.start(({ n }) => {
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
    await members.stopLast()
    await members.start(({ n }) => void seen.push(`again ${n}`))
    await stream.append({ key: 'k', n: 4 })
    await vi.waitFor(() => expect(seen).toContain('again 4'), { timeout: 5_000 })
    expect(seen).toEqual(['1', '3', '2', 'again 4'])
  })

  test('letters are chosen by their reason; what dies again is a new letter', async () => {
    const stream = await members.open()
    await stream.appendMany([1, 2, 3, 4].map((n) => ({ key: `${n}`, n })))
    await members.start(({ n }) => deadLetter(n % 2 ? 'odd' : 'even'))
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
    const stream = await members.open()
    await stream.append({ key: 'k', n: 0 })
    let dying = true
    let running = 0
    let most = 0
    const seen: number[] = []
    await members.start(async ({ n }) => {
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
    const stream = await members.open()
    const large = `${'"'.repeat(300_000)}`
    await stream.append({ key: large.slice(0, 1), n: 1, large } as Step)
    let dying = true
    let length = 0
    await members.start((step) => {
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

  test('a letter that two people redrive at the same moment has its effects once', async () => {
    const { store } = members
    const stream = await members.open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let dying = true
    let done = 0
    await members.start(({ n }, delivery) => {
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
    const orders = new PendingOrders(members.engine.stream!, address)
    await vi.waitFor(async () => expect(await orders.count()).toBe(0), { timeout: 5_000 })
    expect(done).toBe(store ? 1 : 0)
    expect(await group.deadLetters()).toEqual([])
  })

  test('an engine that needs long to fetch what is asked for loses no order and no letter', async () => {
    const stream = await members.open()
    const large = '"'.repeat(300_000)
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n, large })))
    let dying = true
    let seen = 0
    await members.start(() => {
      seen += dying ? 0 : 1
      return dying ? deadLetter('large') : undefined
    })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(2), { timeout: 5_000 })
    await members.stopLast()
    dying = false
    const port = members.engine.stream!
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
      await members.start(() => {
        seen += 1
      })
      await vi.waitFor(() => expect(seen).toBe(2), { timeout: 8_000 })
      expect(members.reports.filter(({ error }) => error.code === 'EVENTS_TRIMMED')).toEqual([])
    } finally {
      port.read = read
    }
  })

  test("what is no dead letter stands in nobody's way: it is named, and passed over", async () => {
    const stream = await members.open()
    await stream.appendMany([1, 2].map((n) => ({ key: 'k', n })))
    let dying = true
    const seen: number[] = []
    await members.start(({ n }) => {
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
    const result = await members.engine.stream!.append(
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

  test('a letter that was redriven is gone before the word that it was', async () => {
    const stream = await members.open()
    await stream.append({ key: 'k', n: 1 })
    let dying = true
    let seen = 0
    const handler = () => {
      if (dying) return deadLetter('not today')
      seen += 1
    }
    await members.start(handler, {}, { keepDeadLetters: '1m' })
    const group = stream.group('g')
    await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(1), { timeout: 5_000 })
    dying = false
    members.later += 5_000
    expect(await group.redrive(() => true)).toBe(1)
    await vi.waitFor(() => expect(seen).toBe(1), { timeout: 5_000 })
    for (let step = 0; step < 12; step++) {
      members.later += 10_000
      expect(await group.deadLetters(), `${members.later} ms after it died`).toEqual([])
    }
  })
})
