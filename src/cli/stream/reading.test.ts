import { InvalidArgumentError } from 'commander'
import { expect, test } from 'vitest'
import type { PartitionPosition, StreamPort } from '../../ports/stream.ts'
import { lastRecords } from '../../stream/last-records.ts'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { from } from './from.ts'
import { readOn } from './reading.ts'

const signal = new AbortController().signal

/** 40 records, a second apart, in turns in two partitions; every fifth has a key. */
async function filled() {
  const clock = fakeClock()
  const port = memory({ clock }).stream!
  await port.declare({ name: 's', partitions: 2 })
  for (let number = 0; number < 40; number++) {
    await port.append('s', [{ partition: number % 2, key: number % 5 ? undefined : 'k', body: `${number}` }])
    await clock.advance(1_000)
  }
  return port
}

/** The same stream with gaps between its positions, as NATS has them. */
function sparse(port: StreamPort): StreamPort {
  const wide = 512
  const changed: Partial<StreamPort> = {
    read: async (stream, places, options) =>
      (
        await port.read(
          stream,
          places.map(({ partition, position }) => ({ partition, position: Math.ceil(position / wide) })),
          options,
        )
      ).map((record) => ({ ...record, position: record.position * wide })),
    bounds: async (stream) =>
      (await port.bounds(stream)).map(({ partition, earliest, next }) => ({
        partition,
        earliest: earliest * wide,
        next: next * wide,
      })),
  }
  return new Proxy(port, {
    get: (_, name) => {
      if (name in changed) return changed[name as keyof StreamPort]
      const value: unknown = Reflect.get(port, name, port)
      return typeof value === 'function' ? value.bind(port) : value
    },
  })
}

const whole = await filled()

test.each([
  ['as they are', whole],
  ['with gaps', sparse(whole)],
])('the last records over all partitions, positions %s', async (_, port) => {
  const ends = await port.bounds('s')
  const read = (places: readonly PartitionPosition[]) => readOn(port, 's', places, { ends, signal })
  const last = async (count: number, fits: (key: string | undefined) => boolean = () => true) =>
    (await lastRecords(count, { ends, read, fits: ({ key }) => fits(key) })).map(({ body }) => Number(body))
  expect(await last(3)).toEqual([37, 38, 39])
  expect(await last(3, (key) => key === 'k')).toEqual([25, 30, 35])
  expect(await last(1_000)).toHaveLength(40)
  expect(await last(2, () => false)).toEqual([])
})

test('the last of a partition that is behind the others are not taken for the youngest', async () => {
  const clock = fakeClock()
  const port = memory({ clock }).stream!
  await port.declare({ name: 's', partitions: 2 })
  for (let number = 0; number < 20; number++) {
    await port.append('s', [{ partition: number < 10 ? 0 : 1, body: `${number}` }])
    await clock.advance(1_000)
  }
  const ends = await port.bounds('s')
  const last = await lastRecords(5, { ends, read: (places) => readOn(port, 's', places, { ends, signal }) })
  expect(last.map(({ body }) => Number(body))).toEqual([15, 16, 17, 18, 19])
})

test('reading up to the ends leaves out what came later', async () => {
  const port = await filled()
  const ends = await port.bounds('s')
  await port.append('s', [{ partition: 0, body: 'late' }])
  const found: string[] = []
  const starts = ends.map(({ partition, earliest }) => ({ partition, position: earliest }))
  for await (const records of readOn(port, 's', starts, { ends, signal }))
    found.push(...records.map(({ body }) => body))
  expect(found).toHaveLength(40)
  expect(found).not.toContain('late')
})

test('--from takes words, times and how long ago', () => {
  expect(from('earliest')).toBe('earliest')
  expect(from('latest')).toBe('latest')
  expect(from('15m', 1_000_000)).toEqual(new Date(100_000))
  expect(from('2026-11-23T06:50Z')).toEqual(new Date('2026-11-23T06:50:00Z'))
  for (const wrong of ['', 'yesterday', '15', '2026-13-45', '-5m'])
    expect(() => from(wrong)).toThrow(/It takes/)
  expect(() => from('99999999999d')).toThrow(InvalidArgumentError)
})
