// The answers to calls: stored with the inbox entry of their key, in the transaction of what they answer.
import assert from 'node:assert/strict'
import { service } from '../database-subject.ts'
import { numbers } from '../sample.ts'
import { type DatabaseBench, type DatabaseCase, outgoing, ownBench, rowIds, takeRows, unit } from './bench.ts'

/** The entry of a call, and what it is answered. */
function answered({ consumer }: DatabaseBench, id: string, answer: () => string) {
  return { consumer, ids: [id], answer }
}

const far = 3_600_000

export const answerCases: readonly DatabaseCase[] = [
  {
    id: 'database.answer.stored',
    title:
      'the answer is stored with the entry of its key, for every process, also one that opens the database later',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer, inserting } = bench
      assert.equal(await one.answer(consumer, 'k1'), undefined)
      const parts = { inbox: answered(bench, 'k1', () => '200 first'), outbox: outgoing(2) }
      assert.equal(await one.commit(unit({ ...parts, effects: inserting('a') })), 'committed')
      for (const database of [one, two]) assert.equal(await database.answer(consumer, 'k1'), '200 first')
      const third = await bench.test.open(service)
      assert.equal(await third.answer(consumer, 'k1'), '200 first')
      await third.close()
      assert.deepEqual([...(await two.handled(consumer, ['k1'])).ids], ['k1'])
      assert.equal(await bench.rows(), 1)
      assert.deepEqual(rowIds(await takeRows(two)), ['o0', 'o1'])
    },
  },
  {
    id: 'database.answer.without-effects',
    title: 'a unit may have an answer and no effects',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer } = bench
      const inbox = answered(bench, 'k1', () => 'only said')
      assert.equal(await one.commit(unit({ inbox, outbox: outgoing(1) })), 'committed')
      assert.equal(await one.commit(unit({ inbox, outbox: outgoing(1) })), 'duplicate')
      assert.equal(await two.answer(consumer, 'k1'), 'only said')
      assert.deepEqual(rowIds(await takeRows(two)), ['o0'])
    },
  },
  {
    id: 'database.answer.apart',
    title: 'an answer is that of its consumer and key alone; an entry without one has none',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, consumer } = bench
      await one.commit(unit({ inbox: answered(bench, 'a', () => 'of a') }))
      await one.commit(
        unit({ inbox: { ...answered(bench, 'a', () => 'of the other'), consumer: `${consumer}-2` } }),
      )
      await one.commit(unit({ inbox: { consumer, ids: ['b'] } }))
      assert.deepEqual(
        [
          await one.answer(consumer, 'a'),
          await one.answer(`${consumer}-2`, 'a'),
          await one.answer(consumer, 'b'),
          await one.answer(consumer, 'A'),
        ],
        ['of a', 'of the other', undefined, undefined],
      )
    },
  },
  {
    id: 'database.answer.texts',
    title:
      'every text comes back as it was: an empty one, a long one, one with what SQL and JSON write otherwise',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const texts = ['', 'it\'s \\ "quoted"\n$1 ?1 :a', 'naïve 🦉 \u2028', 'x'.repeat(2 ** 20)]
      for (const [index, text] of texts.entries())
        for (const effects of [undefined, bench.inserting(`t${index}`)]) {
          const id = `k${index}-${effects === undefined}`
          const inbox = answered(bench, id, () => text)
          assert.equal(await bench.one.commit(unit({ inbox, effects })), 'committed')
          assert.equal(await bench.two.answer(bench.consumer, id), text)
        }
    },
  },
  {
    id: 'database.answer.after-effects',
    title: 'the answer is asked for once, when the effects have run',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      let done = 'nothing'
      let asked = 0
      const effects = bench.effects(bench.inserting('a'), () => {
        done = 'the work'
      })
      const inbox = answered(bench, 'k1', () => `${done} ${++asked}`)
      assert.equal(await bench.one.commit(unit({ inbox, effects })), 'committed')
      assert.equal(await bench.two.answer(bench.consumer, 'k1'), 'the work 1')
      assert.equal(asked, 1)
    },
  },
  {
    id: 'database.answer.fails',
    title:
      'effects that fail leave no answer, and an answer that fails no effects: the same unit is committed when it is tried again',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer } = bench
      const error = new Error('no')
      const fail = () => {
        throw error
      }
      const failing = bench.effects(bench.inserting('a'), fail)
      const good = answered(bench, 'k1', () => 'said')
      const tries = [
        { inbox: good, effects: failing },
        { inbox: answered(bench, 'k1', fail), effects: bench.inserting('a') },
        { inbox: answered(bench, 'k1', fail) },
      ]
      for (const parts of tries) {
        const outbox = outgoing(1)
        await assert.rejects(one.commit(unit({ ...parts, outbox })), (thrown) => thrown === error)
        assert.equal(await two.answer(consumer, 'k1'), undefined)
        assert.equal((await two.handled(consumer, ['k1'])).ids.size, 0)
        assert.equal(await bench.rows(), 0)
      }
      assert.deepEqual(await takeRows(two), [])
      assert.equal(await two.commit(unit({ inbox: good, effects: bench.inserting('a') })), 'committed')
      assert.equal(await one.answer(consumer, 'k1'), 'said')
      assert.equal(await bench.rows(), 1)
    },
  },
  {
    id: 'database.answer.once',
    title: 'a duplicate runs nothing, and the first answer stays',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer } = bench
      await one.commit(unit({ inbox: answered(bench, 'k1', () => 'first'), effects: bench.inserting('a') }))
      let asked = 0
      const again = answered(bench, 'k1', () => `again ${++asked}`)
      assert.equal(await two.commit(unit({ inbox: again, effects: bench.inserting('b') })), 'duplicate')
      assert.equal(asked, 0)
      assert.equal(await two.commit(unit({ inbox: again })), 'duplicate')
      assert.deepEqual([await bench.rows(), await one.answer(consumer, 'k1')], [1, 'first'])
    },
  },
  {
    id: 'database.answer.concurrent',
    title:
      'of concurrent units with one key one is committed; when another hears that it is a duplicate, the one answer is there',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer } = bench
      for (const round of numbers(6)) {
        const ends = await Promise.all(
          numbers(6).map(async (index) => {
            const database = index % 2 ? one : two
            const inbox = answered(bench, `k${round}`, () => `by ${index}`)
            const effects = index % 3 === 0 ? undefined : bench.inserting(`r${round}-${index}`)
            const outcome = await database.commit(unit({ inbox, effects }))
            return { index, outcome, answer: await database.answer(consumer, `k${round}`) }
          }),
        )
        const [first, ...others] = ends.filter(({ outcome }) => outcome === 'committed')
        assert.ok(first && others.length === 0, JSON.stringify(ends))
        for (const { answer } of ends) assert.equal(answer, `by ${first.index}`)
      }
    },
  },
  {
    id: 'database.answer.pruned',
    title: 'an answer goes with its entry, not before: asked again after that, the call is a new one',
    requires: [],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { one, two, consumer } = bench
      const call = (text: string) => unit({ inbox: answered(bench, 'k1', () => text) })
      await one.commit(call('first'))
      assert.equal(await two.prune(Date.now() - far), 0)
      assert.equal(await one.answer(consumer, 'k1'), 'first')
      assert.equal(await two.prune(Date.now() + far), 1)
      assert.equal(await one.answer(consumer, 'k1'), undefined)
      assert.equal(await one.commit(call('second')), 'committed')
      assert.equal(await two.answer(consumer, 'k1'), 'second')
    },
  },
]
