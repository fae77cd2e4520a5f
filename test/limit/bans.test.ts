// Bans against a model by brute force, which goes from microsecond to microsecond.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Ban, bans } from '../../src/core/bucket/ban.ts'

/** What the decision says, in the words of one who watches every moment. */
function watch({ limit, withinUs, forUs, upToUs }: Ban) {
  let nowUs = 0
  let counting: number[] = []
  let endsUs = 0
  let length = 0
  let quiet = 0
  return {
    goTo(timeUs: number) {
      for (; nowUs < timeUs; ) {
        nowUs += 1
        if (nowUs <= endsUs) continue
        quiet += 1
        if (length > 0 && quiet === length) {
          quiet = 0
          length = length >= 2 * forUs ? Math.floor(length / 2) : 0
        }
      }
    },
    get left() {
      return Math.max(0, endsUs - nowUs)
    },
    get nothingToForget() {
      return this.left === 0 && length === 0 && this.offences === 0
    },
    get offences() {
      return counting.length > 0 && nowUs < counting[0]! + withinUs ? counting.length : 0
    },
    offend(count: number) {
      if (this.left > 0) return
      if (this.offences === 0) counting = []
      for (let i = 0; i < count; i++) counting.push(nowUs)
      if (counting.length < limit) return
      counting = []
      length = Math.min(Math.max(2 * length, forUs), upToUs)
      quiet = 0
      endsUs = nowUs + length
    },
  }
}

const whole = (min: number, max: number) => fc.integer({ min, max })
const ban: fc.Arbitrary<Ban> = fc
  .tuple(whole(1, 5), whole(1, 60), whole(1, 12), whole(0, 100))
  .map(([limit, withinUs, forUs, more]) => ({ kind: 'ban', limit, withinUs, forUs, upToUs: forUs + more }))

test('bans begin, grow, end and are forgotten as one who watches every moment says', () => {
  let longest = 0
  fc.assert(
    fc.property(
      ban,
      fc.array(fc.tuple(fc.oneof(whole(0, 3), whole(0, 90)), whole(0, 3)), { maxLength: 60, size: 'max' }),
      (rule, acts) => {
        const model = watch(rule)
        const numbers = new Float64Array(6).fill(7)
        numbers.fill(0, 1, 5)
        // A clock begins anywhere: nothing has happened yet then.
        let nowUs = 1_000
        model.goTo(nowUs)
        for (const [step, cost] of acts) {
          nowUs += step
          model.goTo(nowUs)
          const available = bans.available(numbers, 1, rule, nowUs)
          assert.equal(available, model.left > 0 ? 0 : rule.limit - model.offences)
          assert.equal(bans.isIdle(numbers, 1, rule, nowUs), model.nothingToForget, 'idle')
          const earliest = bans.earliest(numbers, 1, rule, nowUs, 1)
          assert.equal(earliest, nowUs + model.left)
          const all = bans.earliest(numbers, 1, rule, nowUs, rule.limit)
          assert.ok(all === nowUs || bans.available(numbers, 1, rule, all) === rule.limit)
          assert.ok(all === nowUs || bans.available(numbers, 1, rule, all - 1) < rule.limit)
          bans.take(numbers, 1, rule, nowUs, cost)
          model.offend(cost)
          longest = Math.max(longest, numbers[3]! / rule.forUs)
        }
        assert.deepEqual([numbers[0], numbers[5]], [7, 7])
      },
    ),
    { numRuns: 400 },
  )
  expect(longest).toBeGreaterThan(4)
})

test('a clock that steps back makes no ban shorter, and none of a single offence', () => {
  fc.assert(
    fc.property(ban, fc.array(fc.tuple(whole(-200, 60), whole(0, 2)), { maxLength: 40 }), (rule, acts) => {
      const numbers = new Float64Array(4)
      let nowUs = 5_000
      let endUs = 0
      let latestUs = 0
      let offences = 0
      for (const [step, cost] of acts) {
        nowUs += step
        latestUs = Math.max(latestUs, nowUs)
        const banned = bans.available(numbers, 0, rule, nowUs) === 0
        if (latestUs < endUs) assert.ok(banned, 'it was said until when')
        else if (banned) assert.ok(bans.earliest(numbers, 0, rule, nowUs, 1) === numbers[3])
        bans.take(numbers, 0, rule, nowUs, cost)
        offences = banned ? offences : offences + cost
        if (numbers[3]! > endUs) {
          assert.ok(offences >= rule.limit, 'so many offences since the last one began')
          endUs = numbers[3]!
          offences = 0
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('who has served a ban behaves for at most twice as long, and it is as if nothing had been', () => {
  const rule: Ban = { kind: 'ban', limit: 1, withinUs: 1, forUs: 60_000_000, upToUs: 86_400_000_000 }
  const numbers = new Float64Array(4)
  let nowUs = 0
  const lengths: number[] = []
  for (let i = 0; i < 13; i++) {
    bans.take(numbers, 0, rule, nowUs, 1)
    lengths.push(numbers[2]! / 60_000_000)
    nowUs = numbers[3]!
  }
  expect(lengths).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440])
  expect(bans.isIdle(numbers, 0, rule, nowUs + 86_400_000_000)).toBe(false)
  expect(bans.isIdle(numbers, 0, rule, nowUs + 2 * 86_400_000_000)).toBe(true)
})
