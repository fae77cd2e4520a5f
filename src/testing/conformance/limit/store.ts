// Cases of the limit port: its clock, what is kept, what is forgotten, and its end.
import assert from 'node:assert/strict'
import { tokenBucket } from '../../../core/bucket/token-bucket.ts'
import { refused } from '../refusal.ts'
import { numbers } from '../sample.ts'
import { eventually, pass, soonMs, within } from '../wait.ts'
import { ask, decide, exchange, freshBucketName, type LimitCase, left, request, slow } from './bench.ts'

export const storeCases: readonly LimitCase[] = [
  {
    id: 'limit.clock',
    title: 'the clock of the store goes forth with time, by whole microseconds, and never back',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      let last = 0
      const first = await exchange(one, ask(bucket, slow(1)))
      const began = performance.now()
      for (const index of numbers(20)) {
        const { nowUs } = await exchange(index % 2 ? one : two, ask(bucket, slow(1)))
        assert.ok(Number.isSafeInteger(nowUs))
        assert.ok(nowUs >= last, `${nowUs} after ${last}`)
        last = nowUs
        await pass(10)
      }
      const elapsedUs = (performance.now() - began) * 1_000
      assert.ok(last - first.nowUs > 150_000, `${last - first.nowUs} µs in ${elapsedUs}`)
      assert.ok(last - first.nowUs < elapsedUs + 1_000_000)
    },
  },
  {
    id: 'limit.kept',
    title:
      'what was taken is there for a handle that is opened later, also when the one that took it has closed',
    requires: ['limit'],
    async run({ two, access }) {
      const bucket = freshBucketName()
      const opened = await access.open()
      await exchange(opened.limit, ask(bucket, slow(5), { cost: 2, hold: 1 }))
      await opened.close()
      assert.equal(await left(two, bucket, slow(5)), 2)
      const later = await access.open()
      assert.equal(await left(later.limit, bucket, slow(5)), 2)
      await later.close()
    },
  },
  {
    id: 'limit.sweep',
    title: 'sweeping forgets what says no more than a bucket that nobody used, and nothing else',
    requires: ['limit'],
    async run({ one, two }) {
      const [idle, used, leased] = numbers(3).map(freshBucketName)
      const quick = tokenBucket(10, 10, 1_000)!
      await exchange(one, ask(idle!, quick, { cost: 10 }))
      await exchange(one, ask(used!, slow(10), { cost: 4 }))
      await exchange(one, ask(leased!, quick, { hold: 6 }))
      await pass(50)
      for (let round = 0; round < 100 && (await two.sweep()) > 0; round++);
      assert.deepEqual(
        [await left(one, idle!, quick), await left(one, used!, slow(10)), await left(one, leased!, quick)],
        [10, 6, 4],
      )
    },
  },
  {
    id: 'limit.many',
    title: 'as many buckets in a request, and as many requests in a call, as may be',
    requires: ['limit'],
    async run({ one, two }) {
      const names = numbers(64).map(freshBucketName)
      const asked = request(names.map((bucket) => ask(bucket, slow(500), { cost: 1 })))
      const verdicts = await one.exchange(numbers(200).map(() => asked))
      assert.ok(verdicts.length === 200 && verdicts.every(({ allowed }) => allowed))
      const last = await decide(
        two,
        names.map((bucket) => ask(bucket, slow(500))),
      )
      assert.ok(last.buckets.every(({ available }) => available === 300))
    },
  },
  {
    id: 'limit.close',
    title: 'close lets go: later calls reject with CLOSED, other handles go on',
    requires: ['limit'],
    async run({ one, access }) {
      const bucket = freshBucketName()
      const { limit, close } = await access.open()
      assert.ok(limit.statement.length > 10, 'the statement is a sentence for people')
      await exchange(limit, ask(bucket, slow(5), { cost: 1 }))
      await within(2 * soonMs, 'close', close())
      await refused('CLOSED', () => limit.exchange([request([ask(bucket, slow(5))])]), 'exchange')
      await refused('CLOSED', () => limit.sweep(), 'sweep')
      await eventually('others go on', async () => assert.equal(await left(one, bucket, slow(5)), 4))
    },
  },
]
