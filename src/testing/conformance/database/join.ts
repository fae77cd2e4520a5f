// A transaction of the user's own: what is stored in it stands or falls with it.
import assert from 'node:assert/strict'
import type { OutboxMessage } from '../../../ports/database.ts'
import type { UserConnection } from '../database-subject.ts'
import { largeBody, unusualBodies, unusualKeys } from '../sample.ts'
import {
  type DatabaseBench,
  type DatabaseCase,
  outgoing,
  ownBench,
  rising,
  rowIds,
  takeRows,
  toQueue,
  toStream,
  unit,
} from './bench.ts'

const requires = ['transactions of the user'] as const

/** A connection of the user's with a transaction begun on it. */
async function begun({ test }: DatabaseBench): Promise<UserConnection> {
  const connection = await test.connect!()
  await connection.begin()
  return connection
}

async function refused(act: () => unknown, what: string): Promise<void> {
  await assert.rejects(async () => act(), { code: 'NO_TRANSACTION' }, what)
}

export const joinCases: readonly DatabaseCase[] = [
  {
    id: 'database.join.commit',
    title:
      'what joins a transaction of the user is there when it commits and not before, in order, byte for byte',
    requires,
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, prefix } = bench
      await using user = await begun(bench)
      const joined = one.join(user.tx)
      assert.equal(joined.driver, subject.driver)
      const bodies: OutboxMessage[] = [...unusualBodies, largeBody()].map((body, index) => {
        const key = unusualKeys[index % unusualKeys.length]
        return { destination: toQueue, id: `${key}-${index}`, key, body }
      })
      await user.insert(`${prefix}-1`)
      await joined.store(outgoing(2))
      await joined.store([...bodies, ...outgoing(1, toStream, 's')])
      await joined.store([])
      assert.deepEqual(await two.outbox.count(), { waiting: 0, setAside: 0 }, 'nothing before the commit')
      await user.end('commit')
      assert.equal(await bench.rows(), 1)
      const rows = await takeRows(two)
      rising(rows)
      assert.deepEqual(rowIds(rows), rowIds([...outgoing(2), ...bodies]))
      for (const [index, message] of [...outgoing(2), ...bodies].entries()) {
        assert.equal(rows[index]!.key, message.key)
        assert.ok(rows[index]!.body === message.body, `body ${index}`)
      }
      assert.deepEqual(rowIds(await takeRows(two, toStream)), ['s0'])
    },
  },
  {
    id: 'database.join.rollback',
    title: 'what joined a transaction that is rolled back, or whose connection is lost, was never there',
    requires,
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, prefix } = bench
      {
        await using user = await begun(bench)
        await user.insert(`${prefix}-1`)
        await one.join(user.tx).store(outgoing(3))
        await user.end('rollback')
        await user.begin()
        await one.join(user.tx).store(outgoing(3))
      }
      assert.equal(await one.commit(unit({ outbox: outgoing(1, toQueue, 'after') })), 'committed')
      assert.deepEqual(rowIds(await takeRows(one)), ['after0'])
      assert.equal(await bench.rows(), 0)
    },
  },
  {
    id: 'database.join.ended',
    title: 'nothing joins where no transaction is open: not before it begins, and not after it ended',
    requires,
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      await using user = await bench.test.connect!()
      await refused(async () => one.join(user.tx).store(outgoing(1, toQueue, 'before')), 'before')
      await user.begin()
      const joined = one.join(user.tx)
      await joined.store(outgoing(1, toQueue, 'in'))
      await user.end('commit')
      await refused(() => joined.store(outgoing(1, toQueue, 'after')), 'after')
      await refused(async () => one.join(user.tx).store(outgoing(1, toQueue, 'again')), 'joined after')
      assert.deepEqual(rowIds(await takeRows(one)), ['in0'])
    },
  },
  {
    id: 'database.join.next',
    title: 'what joined a transaction is refused in the next one of the same connection',
    requires: [...requires, 'asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one } = bench
      await using user = await begun(bench)
      const joined = one.join(user.tx)
      await joined.store(outgoing(1, toQueue, 'first'))
      await user.end('rollback')
      await user.begin()
      await refused(() => joined.store(outgoing(1, toQueue, 'second')), 'in the next')
      await one.join(user.tx).store(outgoing(1, toQueue, 'third'))
      await user.end('commit')
      assert.deepEqual(rowIds(await takeRows(one)), ['third0'])
    },
  },
  {
    id: 'database.join.kinds',
    title: 'what is no transaction is refused, and said to be none',
    requires,
    async run(subject) {
      await using bench = await ownBench(subject)
      const strange = [undefined, null, 1, 'begin', {}, () => {}, { begin: () => {} }, Promise.resolve()]
      for (const tx of strange)
        await refused(async () => bench.one.join(tx).store(outgoing(1)), `${typeof tx} ${tx}`)
    },
  },
  {
    id: 'database.join.elsewhere',
    title: 'a transaction of another database is refused',
    // Of an asynchronous driver the databases of the cases may be schemas of one.
    requires: [...requires, 'synchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      await using other = await ownBench(subject)
      await using user = await begun(bench)
      await refused(async () => other.one.join(user.tx).store(outgoing(1)), 'another database')
      assert.deepEqual(await other.one.outbox.count(), { waiting: 0, setAside: 0 })
    },
  },
  {
    id: 'database.join.late',
    title: 'what joined a transaction that commits late is sent late, never skipped',
    requires: [...requires, 'asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two } = bench
      await using user = await begun(bench)
      await one.join(user.tx).store(outgoing(2, toQueue, 'late'))
      assert.equal(await one.commit(unit({ outbox: outgoing(1, toQueue, 'early') })), 'committed')
      const first = await takeRows(two)
      assert.deepEqual(rowIds(first), ['early0'])
      await two.outbox.remove(first)
      await user.end('commit')
      const second = await takeRows(two)
      assert.deepEqual(rowIds(second), ['late0', 'late1'])
      rising([...first, ...second])
    },
  },
]
