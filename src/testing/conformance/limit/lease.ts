// Cases of the limit port: leases, and what of them is stored when.
import assert from 'node:assert/strict'
import { logOf } from '../../../core/bucket/log.ts'
import { numbers } from '../sample.ts'
import { pass } from '../wait.ts'
import {
  ask,
  decide,
  exchange,
  freshBucketName,
  type LimitCase,
  left,
  longMs,
  slow,
  slowTokens,
} from './bench.ts'

const three = { kind: 'concurrency', limit: 3 } as const

export const leaseCases: readonly LimitCase[] = [
  {
    id: 'limit.lease.sum',
    title:
      'leases and what was taken sum to the bound: no more is leased than there is, and what is leased nobody else gets',
    requires: ['limit'],
    async run({ one, two }) {
      for (const algorithm of [slow(10), slowTokens(10)]) {
        const bucket = freshBucketName()
        const first = await exchange(one, ask(bucket, algorithm, { cost: 1, hold: 5 }), { holder: 'a' })
        assert.deepEqual([first.allowed, first.held, first.available], [true, 5, 4])
        const second = await exchange(two, ask(bucket, algorithm, { cost: 2, hold: 50 }), { holder: 'b' })
        assert.deepEqual([second.allowed, second.held, second.available], [true, 2, 0])
        const third = await exchange(two, ask(bucket, algorithm, { cost: 1, hold: 1 }), { holder: 'c' })
        assert.deepEqual([third.allowed, third.held], [false, 0])
      }
    },
  },
  {
    id: 'limit.lease.race',
    title: 'of many that lease at once through two handles all leases together are the bound',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const verdicts = await Promise.all(
        numbers(40).map((index) =>
          exchange(index % 2 ? one : two, ask(bucket, slowTokens(100), { hold: 7 }), { holder: `h${index}` }),
        ),
      )
      assert.equal(
        verdicts.reduce((sum, { held }) => sum + held, 0),
        100,
      )
    },
  },
  {
    id: 'limit.lease.settled',
    title:
      'of a lease that is settled what was used is taken, and the rest is there for others; it cannot be used twice',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      await exchange(one, ask(bucket, slow(10), { hold: 8 }), { holder: 'a' })
      await exchange(one, ask(bucket, slow(10), { used: 3 }), { holder: 'a' })
      assert.equal(await left(two, bucket, slow(10)), 7)
      await exchange(one, ask(bucket, slow(10), { used: 3 }), { holder: 'a' })
      assert.equal(await left(two, bucket, slow(10)), 7, 'without a lease nothing was used')
      await exchange(one, ask(bucket, slow(10), { hold: 2 }), { holder: 'a' })
      await exchange(one, ask(bucket, slow(10), { used: 9 }), { holder: 'a' })
      assert.equal(await left(two, bucket, slow(10)), 5, 'no more was used than was leased')
      await exchange(one, ask(bucket, slow(10), { hold: 2 }), { holder: 'a' })
      await exchange(two, ask(bucket, slow(10), { used: 2 }), { holder: 'b' })
      assert.equal(await left(two, bucket, slow(10)), 3, "of another's lease nothing is used")
    },
  },
  {
    id: 'limit.lease.renewed',
    title:
      'a lease that is asked for again takes the place of the one before, also when its request is refused',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      await exchange(one, ask(bucket, slow(10), { hold: 6 }), { holder: 'a' })
      const again = await exchange(one, ask(bucket, slow(10), { used: 2, cost: 1, hold: 6 }), { holder: 'a' })
      assert.deepEqual([again.allowed, again.held, again.available], [true, 6, 1])
      const refused = await exchange(one, ask(bucket, slow(10), { used: 1, cost: 9, hold: 4 }), {
        holder: 'a',
      })
      assert.deepEqual([refused.allowed, refused.held, refused.available], [false, 4, 2])
      assert.equal(await left(two, bucket, slow(10)), 2)
    },
  },
  {
    id: 'limit.lease.ends',
    title:
      'a lease that its holder does not settle ends after leaseMs and not before: all of it was used, and nothing is added by what is told later',
    requires: ['limit'],
    async run({ one, two }) {
      for (const algorithm of [slow(10), slowTokens(10)]) {
        const bucket = freshBucketName()
        const leased = await exchange(one, ask(bucket, algorithm, { hold: 6 }), { holder: 'a', leaseMs: 400 })
        const endsUs = leased.nowUs + 400_000
        for (;;) {
          const verdict = await exchange(two, ask(bucket, algorithm, { hold: 1 }), { holder: 'b' })
          // Whether it is out or used, it is not there.
          assert.equal(verdict.available, 3)
          if (verdict.nowUs >= endsUs) break
          await pass(50)
        }
        await exchange(one, ask(bucket, algorithm, { used: 2 }), { holder: 'a' })
        await exchange(two, ask(bucket, algorithm), { holder: 'b' })
        assert.equal(await left(two, bucket, algorithm), 4)
      }
    },
  },
  {
    id: 'limit.lease.ended-at',
    title: 'what a lease had is used at its end, not when somebody looks',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const algorithm = logOf(4, 700_000)
      const { nowUs } = await exchange(one, ask(bucket, algorithm, { hold: 4 }), {
        holder: 'a',
        leaseMs: 300,
      })
      await pass(700)
      for (;;) {
        const verdict = await exchange(two, ask(bucket, algorithm, { cost: 4 }))
        assert.equal(verdict.allowed, verdict.nowUs >= nowUs + 1_000_000)
        if (verdict.allowed) break
        await pass(20)
      }
    },
  },
  {
    id: 'limit.lease.concurrency',
    title:
      'concurrency: what is in use is held until it is told to be over, and never more than the bound at once',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const first = await exchange(one, ask(bucket, three, { cost: 2 }), { holder: 'a' })
      assert.deepEqual([first.allowed, first.held, first.available], [true, 2, 1])
      const other = await exchange(two, ask(bucket, three, { cost: 2 }), { holder: 'b' })
      assert.deepEqual([other.allowed, other.held, other.available], [false, 0, 1])
      const third = await exchange(one, ask(bucket, three, { used: 2, cost: 1 }), { holder: 'a' })
      assert.deepEqual([third.allowed, third.held], [true, 3])
      const over = await exchange(one, ask(bucket, three, { used: 1, hold: 1 }), { holder: 'a' })
      assert.deepEqual([over.held, over.available], [2, 1])
      assert.equal((await exchange(two, ask(bucket, three, { cost: 1 }), { holder: 'b' })).allowed, true)
    },
  },
  {
    id: 'limit.lease.concurrency-ends',
    title:
      'concurrency: what a holder that died had in use is there again when its lease ends; one that comes back late keeps what there is room for',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      const { nowUs } = await exchange(one, ask(bucket, three, { cost: 2 }), { holder: 'a', leaseMs: 300 })
      for (;;) {
        const verdict = await exchange(two, ask(bucket, three, { used: 0, cost: 2 }), {
          holder: 'b',
          leaseMs: longMs,
        })
        assert.equal(verdict.allowed, verdict.nowUs >= nowUs + 300_000)
        if (verdict.allowed) break
        await pass(30)
      }
      const late = await exchange(one, ask(bucket, three, { used: 2 }), { holder: 'a' })
      assert.deepEqual([late.held, late.available], [1, 0])
    },
  },
  {
    id: 'limit.lease.concurrency-grows',
    title:
      'concurrency: what a holder has in use beyond its lease is held as soon as there is room, and no sooner',
    requires: ['limit'],
    async run({ one, two }) {
      const bucket = freshBucketName()
      await exchange(one, ask(bucket, three, { cost: 1 }), { holder: 'a' })
      await exchange(two, ask(bucket, three, { cost: 2 }), { holder: 'b' })
      const full = await exchange(one, ask(bucket, three, { used: 2 }), { holder: 'a' })
      assert.deepEqual([full.held, full.available], [1, 0])
      await exchange(two, ask(bucket, three, { used: 1 }), { holder: 'b' })
      const room = await exchange(one, ask(bucket, three, { used: 2 }), { holder: 'a' })
      assert.deepEqual([room.held, room.available], [2, 0])
    },
  },
  {
    id: 'limit.lease.several',
    title: 'leases of several buckets in one request are each what there is',
    requires: ['limit'],
    async run({ one }) {
      const [a, b] = [freshBucketName(), freshBucketName()]
      const verdict = await decide(one, [
        ask(a, slow(10), { cost: 1, hold: 3 }),
        ask(b, slow(3), { cost: 1, hold: 3 }),
      ])
      assert.deepEqual(
        verdict.buckets.map(({ held }) => held),
        [3, 2],
      )
    },
  },
]
