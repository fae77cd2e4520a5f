// Cases of the limit port: what is allowed, by one bucket and by several.
import assert from 'node:assert/strict'
import { logOf } from '../../../core/bucket/log.ts'
import { refused } from '../refusal.ts'
import { numbers, unusualKeys } from '../sample.ts'
import { pass } from '../wait.ts'
import {
  ask,
  decide,
  exchange,
  freshBucketName,
  type LimitCase,
  left,
  request,
  slow,
  slowTokens,
} from './bench.ts'

export const decideCases: readonly LimitCase[] = [
  {
    id: 'limit.bound',
    title: 'a bucket allows what it holds and refuses the next, whoever asks; a refusal takes nothing',
    requires: ['limit'],
    async run({ one, two }) {
      for (const algorithm of [slow(3), slowTokens(3)]) {
        const bucket = freshBucketName()
        for (const index of numbers(3)) {
          const verdict = await exchange(index % 2 ? one : two, ask(bucket, algorithm, { cost: 1 }))
          assert.deepEqual([verdict.allowed, verdict.available], [true, 2 - index])
        }
        assert.equal((await exchange(one, ask(bucket, algorithm, { cost: 1 }))).allowed, false)
        const other = freshBucketName()
        assert.equal((await exchange(two, ask(other, algorithm, { cost: 4 }))).allowed, false)
        assert.equal((await exchange(two, ask(other, algorithm, { cost: 3 }))).allowed, true)
      }
    },
  },
  {
    id: 'limit.all-or-none',
    title: 'a request is allowed by all of its buckets or by none: what one refuses is taken from no other',
    requires: ['limit'],
    async run({ one, two }) {
      const [wide, narrow, last] = numbers(3).map(freshBucketName)
      const asks = [
        ask(wide!, slow(10), { cost: 2 }),
        ask(narrow!, slowTokens(1), { cost: 1 }),
        ask(last!, slow(10), { cost: 3 }),
      ]
      assert.equal((await decide(one, asks)).allowed, true)
      const verdict = await decide(two, asks)
      assert.equal(verdict.allowed, false)
      assert.deepEqual(
        verdict.buckets.map(({ available }) => available),
        [8, 0, 7],
      )
      assert.deepEqual([await left(one, wide!, slow(10)), await left(one, last!, slow(10))], [8, 7])
      assert.ok(verdict.buckets[1]!.earliestUs > verdict.nowUs, 'the bucket that refused says so')
      assert.equal(verdict.buckets[0]!.earliestUs, verdict.nowUs)
    },
  },
  {
    id: 'limit.several',
    title: 'of several requests in one call the later ones see what the earlier took',
    requires: ['limit'],
    async run({ one }) {
      const bucket = freshBucketName()
      const asked = request([ask(bucket, slow(2), { cost: 1 })])
      const other = request([ask(freshBucketName(), slow(2), { cost: 1 })])
      const verdicts = await one.exchange([asked, other, asked, asked, other])
      assert.deepEqual(
        verdicts.map(({ allowed }) => allowed),
        [true, true, true, false, true],
      )
      assert.deepEqual(await one.exchange([]), [])
    },
  },
  {
    id: 'limit.race',
    title: 'of many that ask at once through two handles as many are allowed as the bucket holds',
    requires: ['limit'],
    async run({ one, two }) {
      const [shared, wide] = [freshBucketName(), freshBucketName()]
      const verdicts = await Promise.all(
        numbers(200).map((index) =>
          decide(
            index % 2 ? one : two,
            // In both orders: nobody waits for somebody who waits for him.
            index % 3
              ? [ask(shared, slow(50), { cost: 1 }), ask(wide, slowTokens(1_000), { cost: 1 })]
              : [ask(wide, slowTokens(1_000), { cost: 1 }), ask(shared, slow(50), { cost: 1 })],
          ),
        ),
      )
      assert.equal(verdicts.filter(({ allowed }) => allowed).length, 50)
      assert.equal(await left(one, wide, slowTokens(1_000)), 950)
    },
  },
  {
    id: 'limit.earliest',
    title: 'a refusal says from when on the same is allowed: not earlier, and not later',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const algorithm = logOf(2, 1_000_000)
      const first = await exchange(one, ask(bucket, algorithm, { cost: 2 }))
      const refusedOne = await exchange(two, ask(bucket, algorithm, { cost: 2 }))
      if (refusedOne.nowUs < first.nowUs + 1_000_000) {
        assert.equal(refusedOne.allowed, false)
        assert.equal(refusedOne.earliestUs, first.nowUs + 1_000_000)
      }
      for (;;) {
        const verdict = await exchange(one, ask(bucket, algorithm, { cost: 2 }))
        assert.equal(verdict.allowed, verdict.nowUs >= first.nowUs + 1_000_000)
        if (verdict.allowed) break
        await pass(20)
      }
      const never = await exchange(one, ask(bucket, algorithm, { cost: 3 }))
      assert.deepEqual([never.allowed, never.earliestUs], [false, Number.POSITIVE_INFINITY])
    },
  },
  {
    id: 'limit.ban',
    title:
      'offences ban at the last of them, whoever tells them; a ban refuses, consumes nothing, and says until when; asking is no offence',
    requires: ['limit'],
    async run({ one, two }) {
      const [banned, other] = [freshBucketName(), freshBucketName()]
      const hourUs = 3_600_000_000
      const ban = { kind: 'ban', limit: 3, withinUs: hourUs, forUs: hourUs, upToUs: 4 * hourUs } as const
      const asks = [ask(other, slow(10), { cost: 1 }), ask(banned, ban, { cost: 1 })]
      for (const index of numbers(5)) assert.equal((await decide(index % 2 ? one : two, asks)).allowed, true)
      for (const port of [one, two]) {
        const told = await exchange(port, ask(banned, ban, { cost: 1, penalty: 1 }))
        assert.deepEqual([told.allowed, told.earliestUs], [true, told.nowUs])
      }
      const last = await exchange(one, ask(banned, ban, { cost: 1, penalty: 1 }))
      assert.deepEqual([last.allowed, last.available, last.earliestUs], [false, 0, last.nowUs + hourUs])
      const knocks = await exchange(two, ask(banned, ban, { cost: 1, penalty: 9 }))
      assert.deepEqual([knocks.allowed, knocks.earliestUs], [false, last.earliestUs])
      const refusal = await decide(two, asks)
      assert.deepEqual([refusal.allowed, refusal.buckets[0]!.available], [false, 5])
      assert.ok(refusal.buckets[1]!.earliestUs > refusal.nowUs, 'the ban says so')
    },
  },
  {
    id: 'limit.penalty',
    title: 'a penalty is taken whether it is there or not, also when the request is refused',
    requires: ['limit'],
    async run({ one }) {
      const [bucket, empty] = [freshBucketName(), freshBucketName()]
      await exchange(one, ask(empty, slow(1), { cost: 1 }))
      const verdict = await decide(one, [
        ask(bucket, slowTokens(5), { cost: 1, penalty: 3 }),
        ask(empty, slow(1), { cost: 1 }),
      ])
      assert.deepEqual([verdict.allowed, verdict.buckets[0]!.available], [false, 2])
      await exchange(one, ask(bucket, slowTokens(5), { penalty: 4 }))
      assert.equal(await left(one, bucket, slowTokens(5)), -2)
    },
  },
  {
    id: 'limit.refund',
    title: 'a refund gives back what was taken at its time, once',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const { takenUs } = await exchange(one, ask(bucket, slow(3), { cost: 2 }))
      assert.ok(takenUs > 0)
      assert.equal(await left(two, bucket, slow(3)), 1)
      await exchange(two, ask(bucket, slow(3), { refund: { units: 1, takenUs } }))
      assert.equal(await left(one, bucket, slow(3)), 2)
      await exchange(two, ask(bucket, slow(3), { refund: { units: 3, takenUs } }))
      assert.equal(await left(one, bucket, slow(3)), 3)
    },
  },
  {
    id: 'limit.parameters',
    title: 'a bucket that is asked with another bound, or by another algorithm, goes on with what was taken',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      await exchange(one, ask(bucket, slow(10), { cost: 5 }))
      assert.equal(await left(two, bucket, slow(7)), 2)
      assert.equal(await left(one, bucket, slowTokens(100)), 95)
      assert.equal((await exchange(one, ask(bucket, slowTokens(100), { cost: 96 }))).allowed, false)
      assert.equal(await left(two, bucket, slowTokens(3)), -2)
      assert.equal(await left(two, bucket, slowTokens(100)), 95)
      assert.equal(await left(one, bucket, slow(3)), 0)
    },
  },
  {
    id: 'limit.names',
    title: 'buckets are told apart by every character of their names, of any alphabet',
    requires: ['limit'],
    async run({ one, two }) {
      const prefix = freshBucketName()
      const names = unusualKeys.map((key) => `${prefix} ${key}`.slice(0, 200))
      const different = [...new Set(names)]
      for (const [index, bucket] of different.entries())
        await exchange(one, ask(bucket, slow(100), { cost: index + 1 }))
      for (const [index, bucket] of different.entries())
        assert.equal(await left(two, bucket, slow(100)), 99 - index, bucket)
    },
  },
  {
    id: 'limit.refusals',
    title: 'what is no request is refused with INVALID_OPTION, and nothing is taken',
    requires: ['limit'],
    async run({ one }) {
      const bucket = freshBucketName()
      const good = request([ask(bucket, slow(5), { cost: 1 })])
      for (const bad of [
        request([]),
        request([ask(bucket, slow(5)), ask(bucket, slow(5))]),
        request([ask('', slow(5))]),
        request([ask('x'.repeat(201), slow(5))]),
        request([ask('a\0b', slow(5))]),
        request([ask(bucket, slow(5), { cost: -1 })]),
        request([ask(bucket, slow(5), { cost: 0.5 })]),
        request([ask(bucket, slow(5), { used: Number.NaN })]),
        request([ask(bucket, slow(0), { cost: 1 })]),
        request([ask('a\ud800b', slow(5))]),
        request([ask(bucket, logOf(5, 1_000_000, 4))]),
        request([ask(bucket, logOf(5, 1_000_000, 1_000_000))]),
        request([ask(bucket, logOf(5, 0.5))]),
        request([ask(bucket, logOf(5, 1e300))]),
        request([ask(bucket, { kind: 'calendar-window', limit: 5, endUs: Number.NaN })]),
        request([
          ask(bucket, { kind: 'token-bucket', capacity: 2 ** 40, unit: 2 ** 20, rate: 1, tickUs: 1 }),
        ]),
        request([ask(bucket, slow(5), { refund: { units: 1, takenUs: Number.NaN } })]),
        request([ask(bucket, slow(5), { refund: { units: 1, takenUs: 1e300 } })]),
        request([ask(bucket, slow(5))], { holder: '' }),
        request([ask(bucket, slow(5))], { leaseMs: 0 }),
      ])
        await refused('INVALID_OPTION', () => one.exchange([good, bad]))
      assert.equal(await left(one, bucket, slow(5)), 5)
    },
  },
]
