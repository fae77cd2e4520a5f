// Units that handle several messages: the inbox takes all of them, or none.
import assert from 'node:assert/strict'
import { numbers } from '../sample.ts'
import { type DatabaseCase, databaseBench, outgoing, ownBench, takeRows, toQueue, unit } from './bench.ts'

export const batchCases: readonly DatabaseCase[] = [
  {
    id: 'database.batch',
    title:
      'a unit with several messages is a duplicate when one of them was handled, and enters none of the others; else it enters all',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const { one, two, consumer } = bench
      // Units with effects may be committed in another way.
      for (const name of ['with', 'without']) {
        let row = 0
        const ids = numbers(5).map((n) => `${name} ${n}`)
        const batch = (chosen: readonly string[]) =>
          unit({
            inbox: { consumer, ids: chosen },
            ...(name === 'with' ? { effects: bench.inserting(`row ${row++}`) } : {}),
          })
        assert.equal(await one.commit(batch(ids.slice(3, 4))), 'committed')
        assert.equal(await two.commit(batch(ids.toReversed())), 'duplicate')
        assert.deepEqual([...(await one.handled(consumer, ids)).ids], ids.slice(3, 4), 'none of the others')
        const others = ids.filter((_, index) => index !== 3)
        assert.equal(await two.commit(batch(others)), 'committed')
        assert.deepEqual([...(await two.handled(consumer, ids)).ids].sort(), ids)
        for (const id of ids) assert.equal(await one.commit(batch([id])), 'duplicate')
      }
    },
  },
  {
    id: 'database.batch.many',
    title: 'a unit may handle thousands of messages',
    requires: [],
    async run(subject) {
      const bench = databaseBench(subject)
      const ids = numbers(3_000).map((n) => `it's ${n} \\ "ü"`)
      const effects = bench.inserting('many')
      assert.equal(
        await bench.one.commit(unit({ inbox: { consumer: bench.consumer, ids }, effects })),
        'committed',
      )
      assert.equal((await bench.two.handled(bench.consumer, ids)).ids.size, ids.length)
      assert.equal(await bench.two.commit(unit({ inbox: { consumer: bench.consumer, ids } })), 'duplicate')
    },
  },
  {
    id: 'database.batch.concurrent',
    title:
      'of concurrent units whose messages overlap, in whatever order they name them, one is committed and no message is handled twice',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { consumer } = bench
      for (const round of numbers(6)) {
        const ids = numbers(6).map((n) => `r${round} ${n}`)
        const outcomes = await Promise.all(
          numbers(8).map((index) => {
            const mine = ids.filter((_, n) => n !== index % 3)
            return (index % 2 ? bench.one : bench.two).commit(
              unit({
                inbox: { consumer, ids: index % 4 < 2 ? mine : mine.toReversed() },
                ...(index < 4 ? { effects: bench.inserting(`r${round}-${index}`) } : {}),
                outbox: outgoing(1, toQueue, `u${round}-${index}-`),
              }),
            )
          }),
        )
        assert.deepEqual(outcomes.sort(), ['committed', ...Array(7).fill('duplicate')])
        assert.equal((await bench.one.handled(consumer, ids)).ids.size, 5)
      }
      assert.equal((await takeRows(bench.one)).length, 6)
    },
  },
]
