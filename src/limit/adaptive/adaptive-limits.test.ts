// Rules whose number finds itself, in limits: what they are told, what they show, and whom they leave alone.
import { expect, test } from 'vitest'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import type { Decision } from '../decision.ts'
import { guaranteeOf } from '../guarantee.ts'
import { limits } from '../limits.ts'
import type { Rule, Rules } from '../rule/rule.ts'
import { sharedLimits } from '../shared/shared-limits.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'
import { AdaptiveLimits } from './adaptive-limits.ts'

const search: Rule = { atOnce: 'adaptive', from: 4, upTo: 50, by: 'user' }

function at(rules: Rules) {
  const clock = fakeClock()
  const all = limits({ rules, clock })
  /** As much as is let in, each round with the latency that so much at work has. */
  const work = async (user: string, rounds: number, latencyMs: (atWork: number) => number) => {
    let most = 0
    for (let round = 0; round < rounds; round++) {
      const held: Decision[] = []
      for (let one = all.decide({ user }); one.allowed; one = all.decide({ user })) held.push(one)
      most = held.length
      await clock.advance(latencyMs(held.length))
      for (const one of held) one.release()
    }
    return most
  }
  return { clock, limits: all, work }
}

test('it begins with `from`, and shows the number that it has found', async () => {
  const { limits, work } = at({ search })
  expect(await work('ada', 1, () => 10)).toBe(4)
  expect(limits.counts()[0]!.atOnce).toBe(4)
  await work('ada', 300, (atWork) => 10 * Math.max(1, atWork / 20))
  const found = limits.counts()[0]!.atOnce!
  expect(found).toBeGreaterThan(15)
  expect(found).toBeLessThan(34)
  const one = limits.decide({ user: 'ada' })
  expect(one.states).toMatchObject([{ rule: 'search', limit: found, remaining: found - 1 }])
  one.release()
})

test('each key has its own number: one whose work is slow lowers nobody else', async () => {
  const { limits, work } = at({ search })
  await work('ada', 200, () => 10)
  const before = await work('ada', 1, () => 10)
  await work('eve', 200, (atWork) => 10 * atWork ** 2)
  expect(await work('ada', 1, () => 10)).toBe(before)
  expect(await work('eve', 1, () => 10)).toBeLessThan(before / 2)
  // Eve holds all of hers, and Ada has all of her own.
  while (limits.decide({ user: 'eve' }).allowed);
  expect(await work('ada', 1, () => 10)).toBe(before)
})

test('drops lower it; what is refunded or unmeasured says nothing', async () => {
  const { clock, limits } = at({ all: { atOnce: 'adaptive', from: 2, upTo: 50 } })
  const number = () => limits.counts()[0]!.atOnce!
  const run = async (times: number, end: (decision: Decision) => void) => {
    for (let i = 0; i < times; i++) {
      const held = Array.from({ length: number() }, () => limits.decide({}))
      await clock.advance(10)
      for (const one of held) end(one)
    }
  }
  await run(60, (one) => one.release())
  const grown = number()
  expect(grown).toBeGreaterThan(10)
  await run(60, (one) => one.refund())
  await run(60, (one) => one.release('unmeasured'))
  expect(number()).toBe(grown)
  await run(30, (one) => one.release('dropped'))
  expect(number()).toBeLessThan(grown * 0.8)
})

test('a reload keeps the number, within its new bounds', async () => {
  const { limits, work } = at({ search })
  await work('ada', 200, () => 10)
  expect(limits.counts()[0]!.atOnce).toBe(50)
  limits.reload({ search: { ...search, upTo: 80 } as Rule })
  expect(limits.counts()[0]!.atOnce).toBe(50)
  limits.reload({ search: { ...search, upTo: 30 } as Rule })
  expect(limits.counts()[0]!.atOnce).toBe(30)
})

test('no more keys than a bound have a number of their own, and who is gone makes room', () => {
  const all = new AdaptiveLimits({ from: 4, upTo: 50 })
  for (let i = 0; i < 12_000; i++) all.end(`u${i}`, 0, 1_000, 1, 'done')
  for (let i = 0; i < 4_000; i++) all.end('late', 1_000 + i * 10, 1_010 + i * 10, 50, 'done')
  expect(all.boundOf('later').limit).toBeGreaterThan(4)
  expect(all.boundOf('u1').limit).toBe(4)
  all.end('later', 0, 70_000_000, 1, 'done')
  expect(all.boundOf('later').limit).toBe(4)
})

test('what it promises, and what cannot hold', () => {
  expect(guaranteeOf(search)[0]).toMatchObject({
    most: 50,
    text: 'at most 50 at the same time for each key, and from 4 on only as many as work takes no longer for',
  })
  const reasonOf = (act: () => unknown): string => {
    try {
      act()
      return ''
    } catch (thrown) {
      return (thrown as Error).message
    }
  }
  for (const [rule, said] of [
    [{ atOnce: 'adaptive' }, 'from: it is missing'],
    [{ atOnce: 'adaptive', from: 0, upTo: 5 }, 'from: it is 0'],
    [{ atOnce: 'adaptive', from: 5, upTo: 5 }, 'between them is no number'],
    [{ atOnce: 'adaptive', from: 1, upTo: 5, per: 'second' }, 'has no period'],
    [{ atOnce: 5, from: 1 }, 'it goes with `atOnce: adaptive`'],
    [{ atMost: 5, per: 'day', upTo: 9 }, 'it goes with atOnce'],
    [{ atOnce: 'adaptive', from: 2, upTo: 5, cost: 3 }, 'the bound only 2'],
  ] as const)
    expect(reasonOf(() => guaranteeOf(rule as unknown as Rule))).toContain(said)
  const store = memory().limit!
  expect(reasonOf(() => sharedLimits({ rules: { search }, store }))).toContain(
    'rule search, atOnce: adaptive goes by the latency that one process measures',
  )
})

test('a reload while the latency without a queue is measured keeps the number from before', () => {
  const limit = new AdaptiveLimit({ from: 4, upTo: 200 })
  let nowUs = 0
  let before = 0
  // Until a round at half the number begins.
  while (limit.limit >= before / 1.5) {
    before = limit.limit
    nowUs += 100_000
    limit.end(nowUs - 10_000, nowUs, limit.limit, 'done')
  }
  expect(limit.limit).toBeLessThan(before)
  limit.goBy({ from: 4, upTo: 190 })
  expect(limit.limit).toBeGreaterThanOrEqual(Math.min(before, 190))
})

test('when there is room again, new keys begin with `from`, whatever those had found that shared a number', () => {
  const all = new AdaptiveLimits({ from: 4, upTo: 50 })
  for (let i = 0; i < 10_000; i++) all.end(`u${i}`, 0, 1_000, 1, 'done')
  for (let i = 0; i < 4_000; i++) all.end('late', 1_000 + i * 10, 1_010 + i * 10, 50, 'done')
  expect(all.boundOf('later').limit).toBeGreaterThan(4)
  all.end('later', 0, 70_000_000, 1, 'done')
  expect(all.boundOf('new').limit).toBe(4)
})
