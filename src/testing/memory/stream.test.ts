import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { Clock } from '../../core/clock.ts'
import { isSpillwayError } from '../../core/errors.ts'
import type { PartitionPosition, ReadOptions, StreamPort, StreamRecord } from '../../ports/stream.ts'
import { type FakeClock, fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'

async function bench(
  partitions: number,
  versions = false,
): Promise<{ stream: StreamPort; clock: FakeClock }> {
  const clock = fakeClock(1_000)
  const stream = memory({ clock }).stream!
  await stream.declare({ name: 's', partitions, versions })
  return { stream, clock }
}

const once: ReadOptions = { maxRecords: 1_000, maxBytes: 1_000_000, waitMs: 0 }
const from = (...positions: number[]): PartitionPosition[] =>
  positions.map((position, partition) => ({ partition, position }))
const places = (records: readonly StreamRecord[]) =>
  records.map(({ partition, position }) => `${partition}/${position}`)

async function fill(stream: StreamPort, ...counts: number[]): Promise<void> {
  for (const [partition, count] of counts.entries())
    await stream.append(
      's',
      Array.from({ length: count }, (_, index) => ({ partition, body: `${index}` })),
    )
}

/** Reads on from where the last read ended, as a subscriber does. */
async function readOn(stream: StreamPort, partitions: number, options: ReadOptions, rounds: number) {
  const positions = Array.from({ length: partitions }, () => 0)
  const shares = positions.map(() => 0)
  for (let round = 0; round < rounds; round++)
    for (const record of await stream.read('s', from(...positions), options)) {
      assert.equal(record.position, positions[record.partition])
      positions[record.partition] = record.position + 1
      shares[record.partition]!++
    }
  return shares
}

test('partitions take turns, within a read and from read to read, whatever the bounds are', async () => {
  for (const partitions of [2, 3, 4, 7])
    for (const maxRecords of [1, 2, 3, 5, 8]) {
      const { stream } = await bench(partitions)
      await fill(stream, ...Array.from({ length: partitions }, () => 100))
      const shares = await readOn(stream, partitions, { ...once, maxRecords }, 20)
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `${partitions}, ${maxRecords}: ${shares}`)
    }
})

test('bytes bound a read too, in UTF-8, and the turn goes on behind them', async () => {
  const { stream } = await bench(2)
  const body = 'é'.repeat(50)
  const records = Array.from({ length: 40 }, (_, index) => ({ partition: index % 2, body }))
  await stream.append('s', records)
  assert.equal((await stream.read('s', from(0, 0), { ...once, maxBytes: 300 })).length, 3)
  assert.equal((await stream.read('s', from(0, 0), { ...once, maxBytes: 299 })).length, 2)
  assert.equal((await stream.read('s', from(0, 0), { ...once, maxBytes: 1 })).length, 1)
  assert.deepEqual(await readOn(stream, 2, { ...once, maxBytes: 100 }, 10), [5, 5])
})

test('an empty partition costs the others nothing', async () => {
  const { stream } = await bench(3)
  await fill(stream, 3, 0, 2)
  const found = places(await stream.read('s', from(0, 0, 0), once))
  assert.deepEqual(found, ['0/0', '2/0', '0/1', '2/1', '0/2'])
})

test('a waiting read wakes for its partitions and positions only, and ends at its time', async () => {
  const { stream, clock } = await bench(2)
  const options = { ...once, waitMs: 5_000 }
  let resolved: StreamRecord[] | undefined
  const reading = stream.read('s', [{ partition: 1, position: 1 }], options).then((found) => {
    resolved = found
  })
  await fill(stream, 3, 1)
  await clock.advance(4_999)
  assert.equal(resolved, undefined)
  await fill(stream, 0, 1)
  await reading
  assert.deepEqual(places(resolved!), ['1/1'])
  const nothing = stream.read('s', [{ partition: 1, position: 2 }], options)
  await clock.advance(5_000)
  assert.deepEqual(await nothing, [])
  assert.equal(clock.timers, 0)
})

test('a loop of reads does not keep timers from running', async () => {
  const { stream } = await bench(1)
  await fill(stream, 1)
  for (const position of [0, 1]) {
    let stopped = false
    setTimeout(() => {
      stopped = true
    }, 5)
    while (!stopped) await stream.read('s', from(position), once)
  }
})

test('times never fall, though the clock steps back', async () => {
  const times = [1_000, 5_000, 2_000, 6_000]
  const clock: Clock = { now: () => times.shift()!, elapsed: () => 0, after: () => () => {} }
  const stream = memory({ clock }).stream!
  await stream.declare({ name: 's', partitions: 1 })
  for (let index = 0; index < 4; index++) await stream.append('s', [{ partition: 0, body: '' }])
  const found = await stream.read('s', from(0), once)
  assert.deepEqual(
    found.map(({ appendedAt }) => appendedAt),
    [1_000, 5_000, 5_000, 6_000],
  )
  assert.deepEqual(await stream.positionsAt('s', 4_000), from(1))
  assert.deepEqual(await stream.positionsAt('s', 6_000), from(3))
  assert.deepEqual(await stream.positionsAt('s', 6_001), from(4))
})

test('a conflict says what the key really has, and stores nothing', async () => {
  const { stream } = await bench(2, true)
  const record = (key: string, expectedVersion?: number) => ({
    partition: 0,
    key,
    body: key,
    expectedVersion,
  })
  await stream.append('s', [record('k'), record('k'), record('other')])
  assert.deepEqual(await stream.append('s', [record('k', 2), record('k'), record('k', 3)]), {
    status: 'conflict',
    index: 2,
    version: 2,
  })
  assert.deepEqual(await stream.bounds('s'), [
    { partition: 0, earliest: 0, next: 3 },
    { partition: 1, earliest: 0, next: 0 },
  ])
  const appended = await stream.append('s', [record('k', 2), record('k'), record('k', 4)])
  assert.deepEqual(appended, { status: 'appended', positions: [3, 4, 5] })
  const found = await stream.readKey('s', 'k', { fromVersion: 3, limit: 2 })
  assert.deepEqual(
    found.map(({ position, version }) => [position, version]),
    [
      [3, 3],
      [4, 4],
    ],
  )
})

test('versions are asked for at the declaration; a stream that has records keeps its choice', async () => {
  const { stream } = await bench(1)
  const refused = (error: unknown) => isSpillwayError(error, 'CONFIGURATION')
  await assert.rejects(
    stream.append('s', [{ partition: 0, key: 'k', body: '', expectedVersion: 0 }]),
    refused,
  )
  await assert.rejects(stream.readKey('s', 'k', { fromVersion: 1, limit: 1 }), refused)
  await stream.declare({ name: 's', partitions: 1, versions: true })
  await stream.append('s', [{ partition: 0, key: 'k', body: '', expectedVersion: 0 }])
  assert.deepEqual(await stream.declare({ name: 's', partitions: 9 }), { partitions: 1 })
  await assert.rejects(stream.declare({ name: 's', partitions: 1, versions: false }), (error) =>
    isSpillwayError(error, 'CONFIGURATION'),
  )
})

test('BACKLOG_FULL and options that cannot work store nothing', async () => {
  const stream = memory({ clock: fakeClock(), maxMessages: 2 }).stream!
  await stream.declare({ name: 's', partitions: 2 })
  const record = (partition: number) => ({ partition, body: '' })
  const code = (expected: 'BACKLOG_FULL' | 'INVALID_OPTION') => (error: unknown) =>
    isSpillwayError(error, expected)
  await assert.rejects(stream.append('s', [record(0), record(1), record(0)]), code('BACKLOG_FULL'))
  for (const partition of [2, -1, 0.5])
    await assert.rejects(stream.append('s', [record(0), record(partition)]), code('INVALID_OPTION'))
  await assert.rejects(stream.read('s', [{ partition: 2, position: 0 }], once), code('INVALID_OPTION'))
  await assert.rejects(stream.declare({ name: 't', partitions: 0 }), code('INVALID_OPTION'))
  assert.deepEqual(places(await stream.read('s', from(0, 0), once)), [])
  await stream.append('s', [record(0), record(1)])
})
