// The lock of the relay, and closing a database.
import assert from 'node:assert/strict'
import { service } from '../database-subject.ts'
import { refused } from '../refusal.ts'
import { numbers } from '../sample.ts'
import { eventually, notBefore, pass, soonMs, within } from '../wait.ts'
import {
  type DatabaseCase,
  inbox,
  longLockMs,
  outgoing,
  ownBench,
  progress,
  rowIds,
  toQueue,
  unit,
} from './bench.ts'

export const lockCases: readonly DatabaseCase[] = [
  {
    id: 'database.lock.exclusive',
    title: 'one holder has the lock; for another it is false, in its own process and in another',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      assert.equal(await one.outbox.lock('a', longLockMs), true)
      assert.equal(await one.outbox.lock('b', longLockMs), false)
      assert.equal(await two.outbox.lock('b', longLockMs), false)
      assert.equal(await one.outbox.lock('a', longLockMs), true, 'its holder renews it')
    },
  },
  {
    id: 'database.lock.race',
    title: 'of many that ask for the lock at once one gets it',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      for (const round of numbers(4)) {
        const holders = numbers(8).map((index) => `h${round}-${index}`)
        const answers = await Promise.all(
          holders.map((holder, index) => (index % 2 ? one : two).outbox.lock(holder, longLockMs)),
        )
        assert.equal(answers.filter(Boolean).length, 1)
        await one.outbox.unlock(holders[answers.indexOf(true)]!)
      }
    },
  },
  {
    id: 'database.lock.expires',
    title:
      'the lock ends after leaseMs and not before; then another may have it, and the old holder takes nothing',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: outgoing(2) }))
      const start = performance.now()
      assert.equal(await one.outbox.lock('old', 1_000), true)
      assert.deepEqual(rowIds(await one.outbox.take('old', toQueue, 10)), ['o0', 'o1'])
      await eventually('the lock ends', async () =>
        assert.equal(await two.outbox.lock('new', longLockMs), true),
      )
      notBefore(performance.now() - start, 1_000, 'another got it')
      assert.deepEqual(await one.outbox.take('old', toQueue, 10), [])
      assert.equal(await one.outbox.lock('old', longLockMs), false)
      assert.deepEqual(rowIds(await two.outbox.take('new', toQueue, 10)), ['o0', 'o1'])
    },
  },
  {
    id: 'database.lock.expired',
    title: "a lock that ended is nobody's: its holder takes nothing until it has it again",
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      await one.commit(unit({ outbox: outgoing(1) }))
      assert.equal(await one.outbox.lock('old', 150), true)
      await pass(250)
      assert.deepEqual(await one.outbox.take('old', toQueue, 10), [])
      assert.equal(await one.outbox.lock('old', longLockMs), true)
      assert.deepEqual(rowIds(await one.outbox.take('old', toQueue, 10)), ['o0'])
    },
  },
  {
    id: 'database.lock.renewed',
    title: 'a lock that is renewed does not end',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      for (const _ of numbers(7)) {
        assert.equal(await one.outbox.lock('a', 1_500), true)
        await pass(300)
        assert.equal(await two.outbox.lock('b', 1_500), false)
      }
    },
  },
  {
    id: 'database.lock.unlock',
    title: 'unlock frees the lock of its holder at once; of another it does nothing',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: outgoing(1) }))
      await one.outbox.lock('a', longLockMs)
      await two.outbox.unlock('b')
      assert.equal(await two.outbox.lock('b', longLockMs), false)
      assert.equal((await one.outbox.take('a', toQueue, 10)).length, 1)
      await one.outbox.unlock('a')
      assert.deepEqual(await one.outbox.take('a', toQueue, 10), [])
      assert.equal(await two.outbox.lock('b', longLockMs), true)
      await one.outbox.unlock('a')
      assert.equal((await two.outbox.take('b', toQueue, 10)).length, 1)
    },
  },
  {
    id: 'database.lock.needed',
    title: 'take is empty for who does not hold the lock, and gives out no sequences',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await one.commit(unit({ outbox: outgoing(2) }))
      assert.deepEqual(await one.outbox.take('nobody', toQueue, 10), [])
      await two.outbox.lock('a', longLockMs)
      assert.deepEqual(await one.outbox.take('b', toQueue, 10), [])
      const rows = await two.outbox.take('a', toQueue, 10)
      // The first number of an outbox is 1, or the time in microseconds.
      const { sequence } = rows[0]!
      assert.ok(sequence === 1 || sequence > 1e12, `${sequence} is the first`)
    },
  },
  {
    id: 'database.close',
    title: 'close lets go: later calls reject with CLOSED, other handles go on; closing again is fine',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const database = await bench.test.open(service)
      assert.ok(database.name.length > 0)
      assert.doesNotMatch(database.name, /\/\/[^/@]*:[^/@]+@/, 'the name carries no password')
      const under = database.commit(unit({ effects: bench.inserting('a') }))
      const ended = under.then(
        (outcome) => outcome,
        () => 'rejected',
      )
      await within(2 * soonMs, 'close', database.close())
      await within(soonMs, 'close again', database.close())
      assert.equal(await bench.rows(), (await within(soonMs, 'the unit', ended)) === 'committed' ? 1 : 0)
      const told = progress(bench, 1, 0, 1)
      await refused('CLOSED', () => database.commit(unit({ progress: told })), 'commit')
      await refused('CLOSED', () => database.handled('c', ['m']), 'handled')
      await refused('CLOSED', () => database.acquire('s', 'g', 0), 'acquire')
      await refused('CLOSED', () => database.prune(0), 'prune')
      await refused('CLOSED', () => database.outbox.lock('a', 1_000), 'lock')
      await refused('CLOSED', () => database.outbox.pending(), 'pending')
      await refused('CLOSED', () => database.outbox.take('a', toQueue, 1), 'take')
      await refused('CLOSED', () => database.outbox.count(), 'count')
      assert.equal(await bench.one.commit(unit({ inbox: inbox(bench, 'after') })), 'committed')
    },
  },
]
