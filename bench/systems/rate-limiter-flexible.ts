// rate-limiter-flexible in memory: RateLimiterMemory, and its union for several rules, each decision awaited as its readme has it.
import rateLimiterFlexible from 'rate-limiter-flexible'
import type { LimitSystem } from './system.ts'

const { RateLimiterMemory, RateLimiterUnion } = rateLimiterFlexible
const large = { points: 100_000_000, duration: 3_600 }

export const rateLimiterFlexibleSystem: LimitSystem = {
  async open() {
    const one = new RateLimiterMemory(large)
    const three = new RateLimiterUnion(
      ...['one', 'two', 'three'].map((keyPrefix) => new RateLimiterMemory({ ...large, keyPrefix })),
    )
    const daily = new RateLimiterMemory({ points: 10, duration: 86_400 })
    return {
      durability: 'memory: counters in windows of a key, a timer for each key',
      async decide(rules, keys) {
        const by = rules === 1 ? one : three
        for (const key of keys) await by.consume(key)
      },
      remember: (key) => daily.consume(key),
    }
  },
}
