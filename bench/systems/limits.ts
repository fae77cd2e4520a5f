// Spillway's limits in memory: token buckets, which is what the peer's counters come closest to that hold in any window.
import { limits } from '../../src/limit/limits.ts'
import type { Rule } from '../../src/limit/rule/rule.ts'
import type { LimitSystem } from './system.ts'

/** So large that nothing is refused, so slow that no bucket is idle again. */
const large: Rule = { capacity: 100_000_000, refill: 1, per: 'second', by: 'user' }

export const spillwayLimits: LimitSystem = {
  async open() {
    const one = limits({ rules: { one: large } })
    const three = limits({
      rules: {
        one: large,
        two: { ...large, capacity: 200_000_000 },
        three: { ...large, capacity: 300_000_000 },
      },
    })
    const daily = limits({ rules: { daily: { capacity: 10, refill: 10, per: 'day', by: 'user' } } })
    return {
      durability: 'memory: token buckets, hashed keys in typed arrays',
      decide(rules, keys) {
        const by = rules === 1 ? one : three
        for (const user of keys) by.decide({ user })
      },
      remember: (user) => void daily.decide({ user }),
    }
  },
}
