// cockatiel: a bulkhead of the same size around a breaker that samples over the same window, as its readme puts policies together. Its
// decisions are fewer (no slow calls), and it has no timeout here, which would be most of the cost.
import { bulkhead, circuitBreaker, handleAll, SamplingBreaker, wrap } from 'cockatiel'
import { immediate } from './call.ts'
import type { CallSystem } from './system.ts'

export const cockatiel: CallSystem = {
  async open() {
    const breaker = circuitBreaker(handleAll, {
      halfOpenAfter: 1_000,
      breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 1 }),
    })
    const policy = wrap(bulkhead(50, 100), breaker)
    return {
      durability: 'breaker and bulkhead: rate of failures over a window of time, 50 calls at once, 100 wait',
      immediate: () => policy.execute(immediate),
      close: async () => {},
    }
  },
}
