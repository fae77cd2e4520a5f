// Compaction: the capability `compaction`, both ways.
import assert from 'node:assert/strict'
import type { AppendRecord, StreamPort, StreamRecord } from '../../../ports/stream.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { fresh, numbers } from '../sample.ts'
import { type EngineSubject, owners } from '../subject.ts'
import { pass } from '../wait.ts'
import {
  appended,
  bodies,
  lookOnce,
  manyRecords,
  readAll,
  records,
  type StreamCase,
  streamBench,
  streamPorts,
} from './bench.ts'

const hour = 3_600_000
const keys = ['a', 'b', 'c', 'd', 'e']

function of(key: string, body: number | string, tombstone = false): AppendRecord {
  return { partition: 0, key, body: JSON.stringify(body), tombstone }
}

function compactBench(subject: EngineSubject, tombstonesMs: number, more: { versions?: boolean } = {}) {
  return streamBench(subject, { partitions: 1, retention: { compact: { tombstonesMs } }, ...more })
}

/** In each round a record of every key, with the number of the round. */
async function rounds(port: StreamPort, stream: string, count: number): Promise<void> {
  for (const round of numbers(count))
    await appended(
      port,
      stream,
      keys.map((key) => of(key, round)),
    )
}

/** Everything that can be read from a position on. */
async function readFrom(port: StreamPort, stream: string, position: number): Promise<StreamRecord[]> {
  const found: StreamRecord[] = []
  for (let at = position; ; ) {
    const { next } = (await port.bounds(stream)).find(({ partition }) => partition === 0)!
    if (at >= next) return found
    const page = await port.read(
      stream,
      [{ partition: 0, position: at }],
      found.length > 0 ? lookOnce : manyRecords,
    )
    if (page.length === 0) return found
    found.push(...page)
    at = found.at(-1)!.position + 1
  }
}

function ticks(turn: number): AppendRecord[] {
  return numbers(20).map((index) => of('tick', 20 * turn + index))
}

/** Appends now and then under a key of its own, so that the log goes on, until what is left suits; resolves with it. */
async function compacted(
  subject: EngineSubject,
  port: StreamPort,
  stream: string,
  suits: (left: readonly StreamRecord[]) => boolean,
  more: (turn: number) => AppendRecord[] = ticks,
): Promise<readonly StreamRecord[]> {
  const end = performance.now() + subject.access.compactsWithinMs!
  for (let turn = 0; ; turn++) {
    await appended(port, stream, more(turn))
    const left = (await readFrom(port, stream, 0)).filter(({ key }) => key !== 'tick')
    if (suits(left)) return left
    assert.ok(
      performance.now() < end,
      `${left.length} records are left: ${left.map(({ key }) => key).slice(0, 20)}`,
    )
    await pass(250)
  }
}

export const compactCases: readonly StreamCase[] = [
  {
    id: 'stream.compact.last',
    title:
      'of each key the last record stays, with its position; what is left is in order, never an older one after a newer one',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, hour)
      const positions = new Map<string, number>()
      for (const round of numbers(40)) {
        const list = keys.map((key) => of(key, round))
        for (const [index, position] of (await appended(round % 2 ? one : two, stream, list)).entries())
          positions.set(`${keys[index]}${round}`, position)
      }
      const [gone, , back] = await appended(one, stream, [
        of('e', 'gone', true),
        of('d', 'gone', true),
        of('d', 'back'),
      ])
      positions.set('egone', gone!).set('dback', back!)
      const last = (left: readonly StreamRecord[]) => new Map(left.map(({ key, body }) => [key, body]))
      // Of the key with the tombstone only that: it has come as far.
      const left = await compacted(
        subject,
        two,
        stream,
        (found) => found.length < 100 && found.filter(({ key }) => key === 'e').length <= 1,
      )
      assert.deepEqual(
        last(left),
        new Map([
          ['a', '39'],
          ['b', '39'],
          ['c', '39'],
          ['d', '"back"'],
          ['e', '"gone"'],
        ]),
        'the last of each key, also one that says that there is nothing more',
      )
      let before = -1
      const newest = new Map<string, number>()
      for (const { key, body, position } of left) {
        assert.ok(position > before, 'positions rise')
        before = position
        const round = JSON.parse(body) as number | string
        assert.equal(position, positions.get(`${key}${round}`) ?? position, 'it stands where it stood')
        if (typeof round === 'string') continue
        assert.ok(round > (newest.get(key!) ?? -1), `of ${key}, ${round} comes after ${newest.get(key!)}`)
        newest.set(key!, round)
      }
      for (const index of [0, Math.floor(left.length / 2), left.length - 1]) {
        const at = left[index]!.position
        const [first] = await one.read(stream, [{ partition: 0, position: at }], {
          ...manyRecords,
          maxRecords: 1,
        })
        assert.equal(first?.position, at, 'reading begins at what is left')
      }
    },
  },
  {
    id: 'stream.compact.tombstone',
    title: 'a tombstone that was the last of its key goes too, in the end, with all that stood before it',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, 0)
      for (const round of numbers(20))
        await appended(one, stream, [of('a', round), of('b', round), of('c', round)])
      await appended(two, stream, [of('a', 'gone', true), of('b', 'gone', true), of('b', 'back')])
      const left = await compacted(
        subject,
        one,
        stream,
        (found) => found.length < 40 && found.every(({ key }) => key !== 'a'),
      )
      const last = new Map(left.map(({ key, body }) => [key, body]))
      assert.deepEqual([...last].sort(), [
        ['b', '"back"'],
        ['c', '19'],
      ])
    },
  },
  {
    id: 'stream.compact.end',
    title:
      'the last record of a partition stays, also a tombstone whose time is over: who reads comes to the end',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, 0)
      const more = (turn: number) => [...ticks(turn), ...ticks(turn), ...ticks(turn), of('end', turn, true)]
      await rounds(two, stream, 20)
      await compacted(
        subject,
        one,
        stream,
        (found) => found.filter(({ key }) => key !== 'end').length < 60,
        more,
      )
      const [last] = await appended(two, stream, [of('end', 'last', true)])
      await pass(1_000)
      const { next } = (await two.bounds(stream))[0]!
      const found = await readFrom(one, stream, 0)
      assert.equal(found.at(-1)?.position, last, 'the last record is there')
      assert.ok(next > last!, 'and the end stands behind it')
    },
  },
  {
    id: 'stream.compact.beside',
    title: 'who reads while it is compacted, and who had begun before, sees the last of each key, in order',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, hour)
      await rounds(one, stream, 40)
      const small = { ...manyRecords, maxRecords: 3 }
      /** From a position on, in small pages, to the end as it is when it comes there. */
      const readOn = async (seen: StreamRecord[]) => {
        for (let at = (seen.at(-1)?.position ?? -1) + 1; at < (await two.bounds(stream))[0]!.next; ) {
          seen.push(...(await two.read(stream, [{ partition: 0, position: at }], small)))
          at = seen.at(-1)!.position + 1
        }
        const last = new Map(seen.map(({ key, body }) => [key, body]))
        for (const key of keys) assert.equal(last.get(key), '39', `the last of ${key}`)
        for (const [index, { position }] of seen.entries())
          assert.ok(position > (seen[index - 1]?.position ?? -1), 'positions rise')
      }
      const begun = await two.read(stream, [{ partition: 0, position: 0 }], small)
      let done = false
      const reading = (async () => {
        while (!done) await readOn([])
      })()
      reading.catch(() => {})
      try {
        await compacted(subject, one, stream, ({ length }) => length < 100)
      } finally {
        done = true
      }
      await reading
      await readOn([...begun])
    },
  },
  {
    id: 'stream.compact.behind',
    title:
      'a group that stands where nothing is left goes on behind it, and nothing was trimmed; after a trim, something was',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, hour)
      await rounds(one, stream, 40)
      const [, , third] = await readFrom(one, stream, 0)
      const wanted = third!.position
      const left = await compacted(subject, two, stream, (found) => found[0]!.position > wanted)
      const [first] = await one.read(stream, [{ partition: 0, position: wanted }], manyRecords)
      assert.equal(first?.position, left[0]!.position, 'the first that is left')
      const rest = new Map((await readFrom(one, stream, wanted)).map(({ key, body }) => [key, body]))
      for (const key of keys) assert.equal(rest.get(key), '39', `the last of ${key}`)
      const completeFrom = async () => {
        const { earliest, completeFrom = earliest } = (await two.bounds(stream))[0]!
        return completeFrom
      }
      assert.ok((await completeFrom()) <= wanted, 'nothing was trimmed')
      const [below] = await appended(one, stream, [of('a', 'after')])
      await one.trim(stream, [{ partition: 0, position: below! }])
      assert.equal(await completeFrom(), below, 'what is below was trimmed')
    },
  },
  {
    id: 'stream.compact.producers',
    title: 'an append that was stored is recognised also when its records are gone',
    requires: ['stream.compaction', 'compaction', 'stream.producers'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, hour)
      const id = fresh('producer')
      for (const sequence of numbers(80))
        await one.append(stream, [of('a', sequence)], { producer: { id, sequence } })
      await compacted(subject, two, stream, (found) => found[0]!.body !== '0')
      const again = await two.append(stream, [of('a', 'again')], { producer: { id, sequence: 79 } })
      assert.deepEqual(again, { status: 'duplicate', sequence: 79 })
      assert.equal((await readFrom(one, stream, 0)).findLast(({ key }) => key === 'a')?.body, '79')
    },
  },
  {
    id: 'stream.compact.versions',
    title:
      'versions go on counting, also of a key of which nothing is left; readKey gives what is left with its numbers',
    requires: ['stream.compaction', 'compaction', 'stream.versions'],
    async run(subject) {
      const { stream, one, two } = await compactBench(subject, 0, { versions: true })
      for (const round of numbers(30)) await appended(one, stream, [of('a', round), of('b', round)])
      await appended(one, stream, [of('b', 'gone', true)])
      const left = await compacted(
        subject,
        two,
        stream,
        (found) => found.length < 30 && found.every(({ key }) => key !== 'b'),
      )
      assert.equal(left.at(-1)!.version, 30)
      const a = await two.readKey(stream, 'a', { fromVersion: 1, limit: 100 })
      assert.deepEqual(
        a.map(({ version }) => version),
        left.map(({ version }) => version),
      )
      assert.deepEqual(await one.readKey(stream, 'b', { fromVersion: 1, limit: 100 }), [])
      const stale = await two.append(stream, [{ ...of('b', 'new'), expectedVersion: 0 }])
      assert.deepEqual(stale, { status: 'conflict', index: 0, version: 31 })
      await appended(two, stream, [
        { ...of('b', 'new'), expectedVersion: 31 },
        { ...of('a', 'new'), expectedVersion: 30 },
      ])
      for (const limit of [1, 100]) {
        const b = await one.readKey(stream, 'b', { fromVersion: 1, limit })
        assert.deepEqual(
          b.map(({ version, body }) => [version, body]),
          [[32, '"new"']],
          'what is gone does not count within the limit',
        )
      }
    },
  },
  {
    id: 'stream.compact.changes',
    title:
      'a stream that is not compacted keeps every record, also tombstones; one that is to be from now on is, as a whole',
    requires: ['stream.compaction', 'compaction'],
    async run(subject) {
      const { stream, one, two } = await streamBench(subject, { partitions: 1 })
      for (const round of numbers(30)) await appended(one, stream, [of('a', round), of('b', round, true)])
      await pass(1_000)
      assert.equal((await readAll(two, stream, 1, 60)).length, 60)
      await two.declare({ name: stream, partitions: 1, retention: { compact: { tombstonesMs: hour } } })
      await one.declare({ name: stream, partitions: 1 })
      const left = await compacted(subject, one, stream, ({ length }) => length < 30)
      assert.equal(left.findLast(({ key }) => key === 'a')?.body, '29')
      assert.equal(left.findLast(({ key }) => key === 'b')?.body, '29')
    },
  },
  {
    id: 'stream.compact.numbers',
    title:
      'compaction with limits, a time that is none, and a tombstone without a key are refused: INVALID_OPTION',
    requires: ['stream.compaction'],
    async run(subject) {
      const { one } = streamPorts(subject)
      for (const retention of [
        { compact: { tombstonesMs: 0 }, maxAgeMs: 5_000 },
        { compact: { tombstonesMs: 0 }, maxBytes: 5_000 },
        { compact: { tombstonesMs: -1 } },
        { compact: { tombstonesMs: 0.5 } },
      ]) {
        const declaring = () => one.declare({ name: fresh('stream'), partitions: 1, retention })
        await refused('INVALID_OPTION', declaring, JSON.stringify(retention))
      }
      const { stream, two } = await streamBench(subject, { partitions: 1 })
      const keyless = [...records(1), { partition: 0, body: '1', tombstone: true }]
      await refused('INVALID_OPTION', () => one.append(stream, keyless), 'a tombstone without a key')
      await appended(two, stream, records(1))
      assert.deepEqual(bodies(await readAll(one, stream, 1, 1)), ['"r0"'])
    },
  },
  {
    id: 'stream.compact.missing',
    title: 'compaction is refused where there is none; a tombstone is a record like any other',
    requires: ['stream', 'without stream.compaction'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      const name = fresh('stream')
      const declaring = () =>
        one.declare({ name, partitions: 1, retention: { compact: { tombstonesMs: 0 } } })
      await refusedForLack(
        subject.one.name,
        owners('stream', 'compaction'),
        declaring,
        'a stream that is compacted',
      )
      await refused('UNKNOWN_STREAM', () => two.bounds(name), 'a stream that was not declared')
      const { stream } = await streamBench(subject, { partitions: 1 })
      await appended(one, stream, [of('a', 1), of('a', 'gone', true)])
      assert.deepEqual(bodies(await readAll(two, stream, 1, 2)), ['1', '"gone"'])
    },
  },
]
