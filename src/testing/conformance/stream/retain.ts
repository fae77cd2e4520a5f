// Retention: what is to be kept is kept, what is not goes by itself.
import assert from 'node:assert/strict'
import type { StreamPort } from '../../../ports/stream.ts'
import { refused } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import type { EngineSubject } from '../subject.ts'
import { pass } from '../wait.ts'
import {
  appended,
  bodies,
  Cursor,
  manyRecords,
  records,
  type StreamCase,
  starts,
  streamBench,
  streamPorts,
} from './bench.ts'

/** Resolves when the first partition begins at or after a position. */
async function gone(
  subject: EngineSubject,
  port: StreamPort,
  stream: string,
  position: number,
): Promise<void> {
  const end = performance.now() + subject.access.retainsWithinMs!
  for (;;) {
    const { earliest } = (await port.bounds(stream)).find(({ partition }) => partition === 0)!
    if (earliest >= position) return
    assert.ok(performance.now() < end, `it begins at ${earliest} still, and should come to ${position}`)
    await pass(100)
  }
}

const bodyBytes = 100_000
const large = (count: number) =>
  numbers(count).map(() => ({ partition: 0, body: `"${'x'.repeat(bodyBytes - 2)}"` }))

export const retainCases: readonly StreamCase[] = [
  {
    id: 'stream.retain.age',
    title:
      'records older than maxAgeMs go by themselves, positions go on, and no reader misses what comes after',
    requires: ['stream', 'retention'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, {
        partitions: 2,
        retention: { maxAgeMs: 1_000 },
      })
      const positions = await appended(one, stream, records(5))
      await gone(subject, two, stream, positions[4]! + 1)
      const later = await appended(one, stream, records(2, 0, 'later'))
      assert.ok(later[0]! > positions[4]!, `${later[0]} comes after ${positions[4]}`)
      const found = await two.read(stream, starts(2), manyRecords)
      assert.deepEqual(bodies(found), ['"later0"', '"later1"'].slice(2 - found.length))
    },
  },
  {
    id: 'stream.retain.bytes',
    title: 'the oldest go when there is more than maxBytes, and at least maxBytes are kept',
    requires: ['stream', 'retention'],
    async run(subject) {
      const maxBytes = 20 * bodyBytes
      const { stream, one, two } = await streamBench(subject, { partitions: 1, retention: { maxBytes } })
      const positions: number[] = []
      // As much as any engine needs to find that it is too much.
      for (const _ of numbers(50)) positions.push(...(await appended(one, stream, large(5))))
      await gone(subject, two, stream, positions[1]!)
      await pass(500)
      const [bounds] = await two.bounds(stream)
      const kept = positions.filter((position) => position >= bounds!.earliest)
      assert.ok(kept.length * bodyBytes >= maxBytes, `${kept.length} records are kept`)
      const found = await new Cursor(two, stream, starts(1)).take(kept.length)
      assert.deepEqual(
        found.map(({ position }) => position),
        kept,
        'all from the earliest on are kept',
      )
    },
  },
  {
    id: 'stream.retain.keeps',
    title: 'nothing goes that is neither older nor more; without limits nothing goes',
    requires: ['stream', 'retention'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      const specs = [
        {},
        { maxAgeMs: 3_600_000 },
        { maxBytes: 50_000_000 },
        { maxAgeMs: 3_600_000, maxBytes: 50_000_000 },
      ]
      const streams = specs.map((retention) => ({ name: fresh('stream'), partitions: 1, retention }))
      for (const spec of streams) {
        await one.declare(spec)
        for (const round of numbers(3)) await appended(one, spec.name, records(10, 0, `${round}-`))
      }
      await pass(2_500)
      for (const { name } of streams) await new Cursor(two, name, starts(1)).take(30)
    },
  },
  {
    id: 'stream.retain.changes',
    title: 'whoever declares it last says what is kept; declaring without a retention leaves it as it is',
    requires: ['stream', 'retention'],
    async run(subject) {
      const { stream: name, one, two } = await streamBench(subject, { partitions: 1 })
      const positions = await appended(one, name, records(5))
      await two.declare({ name, partitions: 1, retention: { maxAgeMs: 1_000 } })
      await one.declare({ name, partitions: 1 })
      await gone(subject, one, name, positions[4]! + 1)
      await one.declare({ name, partitions: 1, retention: {} })
      await appended(two, name, records(3, 0, 'kept'))
      await pass(2_500)
      const found = await new Cursor(two, name, starts(1)).take(3)
      assert.deepEqual(bodies(found), bodies(records(3, 0, 'kept')))
    },
  },
  {
    id: 'stream.retain.numbers',
    title: 'limits that are none are refused before anything is done: INVALID_OPTION',
    requires: ['stream'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      for (const retention of [
        { maxAgeMs: 999 },
        { maxAgeMs: Number.NaN },
        { maxAgeMs: 1_000.5 },
        { maxBytes: 0 },
        { maxBytes: -1 },
        { maxBytes: Number.POSITIVE_INFINITY },
      ]) {
        const name = fresh('stream')
        const declaring = () => one.declare({ name, partitions: 1, retention })
        await refused('INVALID_OPTION', declaring, JSON.stringify(retention))
        await refused('UNKNOWN_STREAM', () => two.bounds(name), 'a stream that was not declared')
      }
    },
  },
]
