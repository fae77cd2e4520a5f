// The outbox: rows wait in the order of their commits and get durable sequences when they are taken.
import assert from 'node:assert/strict'
import type { OutboxRow } from '../../../ports/database.ts'
import { service } from '../database-subject.ts'
import { largeBody, numbers, unusualBodies, unusualKeys } from '../sample.ts'
import { soonMs, turns, within } from '../wait.ts'
import {
  type DatabaseCase,
  longLockMs,
  outgoing,
  ownBench,
  relay,
  rising,
  rowIds,
  takeRows,
  toQueue,
  toStream,
  unit,
} from './bench.ts'

export const outboxCases: readonly DatabaseCase[] = [
  {
    id: 'database.outbox.order',
    title: 'take gives the rows of a destination in the order of commit, with sequences from 1 that rise',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      for (const index of numbers(6))
        await (index % 2 ? one : two).commit(unit({ outbox: outgoing(3, toQueue, `u${index}-`) }))
      const rows = await takeRows(two)
      assert.deepEqual(
        rowIds(rows),
        numbers(6).flatMap((index) => rowIds(outgoing(3, toQueue, `u${index}-`))),
      )
      rising(rows)
      const { sequence: _, ...first } = rows[0]!
      assert.deepEqual(first, outgoing(1, toQueue, 'u0-')[0], 'a row is the message that was committed')
    },
  },
  {
    id: 'database.outbox.bodies',
    title: 'bodies, keys and ids come back byte for byte',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      const list = [...unusualBodies, largeBody()].map((body, index) => {
        const key = unusualKeys[index % unusualKeys.length]
        return { destination: toStream, id: `${key}`, key, body }
      })
      await one.commit(unit({ outbox: list }))
      const rows = await takeRows(two, toStream)
      assert.equal(rows.length, list.length)
      for (const [index, { id, key, body }] of rows.entries()) {
        assert.deepEqual([id, key], [list[index]!.id, list[index]!.key])
        assert.ok(body === list[index]!.body, `body ${index}`)
      }
    },
  },
  {
    id: 'database.outbox.stays',
    title: 'rows stay when they are taken, with the same sequences, also over a restart',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, test } = bench
      await one.commit(unit({ outbox: outgoing(4) }))
      const first = await takeRows(one)
      assert.deepEqual(await takeRows(one), first)
      assert.deepEqual(await takeRows(two), first)
      await two.commit(unit({ outbox: outgoing(2, toQueue, 'later') }))
      const third = await test.open(service)
      const again = await takeRows(third)
      assert.deepEqual(again.slice(0, 4), first)
      assert.deepEqual(rowIds(again.slice(4)), ['later0', 'later1'])
      rising(again)
      await third.close()
    },
  },
  {
    id: 'database.outbox.limit',
    title: 'take gives up to limit rows, the first by sequence; of the rest nothing is lost',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      await one.commit(unit({ outbox: outgoing(10) }))
      assert.deepEqual(rowIds(await takeRows(one, toQueue, 3)), ['o0', 'o1', 'o2'])
      assert.deepEqual(rowIds(await takeRows(one, toQueue, 5)), ['o0', 'o1', 'o2', 'o3', 'o4'])
      const all = await takeRows(one)
      assert.deepEqual(rowIds(all), rowIds(outgoing(10)))
      rising(all)
    },
  },
  {
    id: 'database.outbox.after',
    title: 'take goes on after a sequence while the rows before it are still there; the same rows come again',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      await one.commit(unit({ outbox: [...outgoing(7), ...outgoing(1, toStream, 's')] }))
      const first = await takeRows(one, toQueue, 3)
      const second = await one.outbox.take(relay, toQueue, 3, first[2]!.sequence)
      const third = await one.outbox.take(relay, toQueue, 3, second[2]!.sequence)
      assert.deepEqual(rowIds([...first, ...second, ...third]), rowIds(outgoing(7)))
      rising([...first, ...second, ...third])
      assert.deepEqual(await one.outbox.take(relay, toQueue, 3, third[0]!.sequence), [])
      await one.outbox.remove(second)
      assert.deepEqual(await one.outbox.take(relay, toQueue, 9, first[0]!.sequence), [
        ...first.slice(1),
        ...third,
      ])
      await one.commit(unit({ outbox: outgoing(1, toQueue, 'later') }))
      const later = await one.outbox.take(relay, toQueue, 9, third[0]!.sequence)
      assert.deepEqual(rowIds(later), ['later0'])
      assert.deepEqual(await takeRows(one), [...first, ...third, ...later])
    },
  },
  {
    id: 'database.outbox.destinations',
    title:
      'destinations are apart; a queue and a stream of one name are two; sequences are unique over all of them',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      const kinds = [toQueue, toStream, { kind: 'stream', name: toQueue.name }] as const
      for (const [index, destination] of kinds.entries())
        await one.commit(unit({ outbox: outgoing(3, destination, `d${index}-`) }))
      await one.commit(unit({ outbox: kinds.flatMap((each, index) => outgoing(1, each, `last${index}-`)) }))
      const pending = await two.outbox.pending()
      assert.equal(pending.length, 3)
      const address = ({ kind, name }: { kind: string; name: string }) => `${kind} ${name}`
      assert.deepEqual(pending.map(address).sort(), kinds.map(address).sort())
      const taken: OutboxRow[] = []
      for (const [index, destination] of kinds.entries()) {
        const rows = await takeRows(two, destination)
        assert.deepEqual(rowIds(rows), [...rowIds(outgoing(3, destination, `d${index}-`)), `last${index}-0`])
        for (const row of rows) assert.deepEqual(row.destination, destination)
        rising(rows)
        taken.push(...rows)
      }
      assert.equal(new Set(taken.map(({ sequence }) => sequence)).size, 12)
      const unknown = { kind: 'queue', name: 'nobody' } as const
      assert.deepEqual(await takeRows(two, unknown), [])
    },
  },
  {
    id: 'database.outbox.remove',
    title: 'remove forgets the rows that were sent and no others; again it does nothing',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: outgoing(5) }))
      const rows = await takeRows(one)
      await one.outbox.remove([rows[0]!, rows[2]!])
      assert.deepEqual(await takeRows(two), [rows[1], rows[3], rows[4]])
      await two.outbox.remove([rows[0]!])
      await two.outbox.remove([])
      assert.deepEqual(await one.outbox.count(), { waiting: 3, setAside: 0 })
      await one.outbox.remove(rows)
      assert.deepEqual(await one.outbox.pending(), [])
      assert.deepEqual(await one.outbox.count(), { waiting: 0, setAside: 0 })
    },
  },
  {
    id: 'database.outbox.never-reused',
    title:
      'a sequence is never given twice: not after its row was removed or set aside, and not after a restart',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, test } = bench
      let highest = 0
      for (const round of numbers(4)) {
        const database = round === 2 ? await test.open(service) : round % 2 ? two : one
        await database.commit(unit({ outbox: outgoing(3, round % 2 ? toStream : toQueue, `r${round}-`) }))
        const rows = await takeRows(database, round % 2 ? toStream : toQueue)
        assert.equal(rows.length, 3)
        for (const { sequence } of rows) assert.ok(sequence > highest, `${sequence} is above ${highest}`)
        highest = rows[2]!.sequence
        await database.outbox.setAside(rows[2]!, 'too large')
        await database.outbox.remove(rows.slice(0, 2))
        if (round === 2) await database.close()
      }
    },
  },
  {
    id: 'database.outbox.set-aside',
    title: 'a row that cannot be sent is kept aside, out of the way of the others',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: [...outgoing(3), ...outgoing(1, toStream, 's')] }))
      const rows = await takeRows(one)
      await one.outbox.setAside(rows[0]!, `the engine said: "TOO_LARGE", 'really' ${'x'.repeat(2_000)}`)
      assert.deepEqual(await takeRows(two), [rows[1], rows[2]])
      assert.deepEqual(await two.outbox.count(), { waiting: 3, setAside: 1 })
      const [other] = await takeRows(one, toStream)
      await one.outbox.setAside(other!, 'no such stream')
      assert.deepEqual(await two.outbox.pending(), [toQueue])
      await one.outbox.remove(rows)
      assert.deepEqual(
        await two.outbox.count(),
        { waiting: 0, setAside: 2 },
        'what was set aside is not removed',
      )
      assert.deepEqual(await two.outbox.pending(), [])
    },
  },
  {
    id: 'database.outbox.aside',
    title:
      'what was set aside is listed with its reason; put back it is sent at the end, as new; or it is dropped',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: [...outgoing(4), ...outgoing(1, toStream, 's')] }))
      const rows = [...(await takeRows(one)), ...(await takeRows(one, toStream))]
      for (const at of [1, 2, 4]) await one.outbox.setAside(rows[at]!, `too large ${at}`)
      const aside = [1, 2, 4].map((at) => ({ ...rows[at]!, reason: `too large ${at}` }))
      assert.deepEqual(await two.outbox.aside(10), aside)
      assert.deepEqual(await two.outbox.aside(1, aside[0]!.sequence), [aside[1]])
      assert.equal(await two.outbox.drop([aside[1]!.sequence, rows[0]!.sequence]), 1)
      assert.equal(await two.outbox.retry([aside[2]!.sequence, aside[0]!.sequence, rows[3]!.sequence]), 2)
      assert.equal(await two.outbox.retry([aside[0]!.sequence]), 0)
      assert.deepEqual(await one.outbox.aside(10), [])
      assert.deepEqual(await one.outbox.count(), { waiting: 4, setAside: 0 })
      const again = await takeRows(one)
      assert.deepEqual(rowIds(again), ['o0', 'o3', 'o1'])
      const { retriedAt } = again[2]!
      assert.ok(Math.abs(retriedAt! - Date.now()) < 3_600_000, `when it was put back: ${retriedAt}`)
      assert.ok(Number.isInteger(retriedAt), 'in whole milliseconds')
      for (const row of again.slice(0, 2)) assert.equal(row.retriedAt, undefined, 'it was never set aside')
      rising(again)
      assert.ok(again[2]!.sequence > rows[4]!.sequence, 'above all that were given')
      assert.deepEqual(rowIds(await takeRows(one, toStream)), ['s0'])
    },
  },
  {
    id: 'database.outbox.late',
    title: 'rows get their sequence when they are taken: a late commit is sent late, never skipped',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      const open = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const late = one.commit(
        unit({
          outbox: outgoing(1, toQueue, 'late'),
          effects: bench.effects(
            bench.inserting('a'),
            () => open.resolve(),
            () => gate.promise,
          ),
        }),
      )
      late.catch(() => {})
      try {
        await within(soonMs, 'the late unit is open', open.promise)
        assert.equal(await two.commit(unit({ outbox: outgoing(1, toQueue, 'early') })), 'committed')
        const first = await takeRows(two)
        assert.deepEqual(rowIds(first), ['early0'])
        await two.outbox.remove(first)
        gate.resolve()
        assert.equal(await late, 'committed')
        const second = await takeRows(two)
        assert.deepEqual(rowIds(second), ['late0'])
        assert.ok(second[0]!.sequence > first[0]!.sequence)
      } finally {
        gate.resolve()
      }
    },
  },
  {
    id: 'database.outbox.relay',
    title: 'while processes commit, a relay that takes and removes gets every row once, in rising sequences',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      const producers = 4
      const units = 25
      let committing = true
      const committed = Promise.all(
        numbers(producers).map(async (producer) => {
          for (const index of numbers(units)) {
            const outbox = outgoing(2, toQueue, `p${producer}-${index}-`)
            assert.equal(await (producer % 2 ? one : two).commit(unit({ outbox })), 'committed')
            await turns(producer)
          }
        }),
      ).finally(() => {
        committing = false
      })
      const taken: OutboxRow[] = []
      const relaying = (async () => {
        for (let last = false; !last && taken.length <= 2 * producers * units; ) {
          last = !committing
          assert.equal(await two.outbox.lock(relay, longLockMs), true)
          const rows = await two.outbox.take(relay, toQueue, 7)
          taken.push(...rows)
          await two.outbox.remove(rows)
          if (rows.length > 0) last = false
          await turns(1)
        }
      })()
      await Promise.all([committed, relaying])
      rising(taken)
      assert.equal(taken.length, producers * units * 2)
      for (const producer of numbers(producers))
        assert.deepEqual(
          rowIds(taken).filter((id) => id.startsWith(`p${producer}-`)),
          numbers(units).flatMap((index) => rowIds(outgoing(2, toQueue, `p${producer}-${index}-`))),
          'what one producer committed one after another is in that order',
        )
    },
  },
  {
    id: 'database.outbox.producer',
    title:
      'the producer id is the same for every process and over restarts, and another for another database',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, test } = bench
      const third = await test.open(service)
      await using other = await subject.create()
      const id = one.outbox.producerId
      assert.ok(typeof id === 'string' && id.length > 0)
      assert.deepEqual([two.outbox.producerId, third.outbox.producerId], [id, id])
      assert.notEqual(other.one.outbox.producerId, id)
      await third.close()
    },
  },
]
