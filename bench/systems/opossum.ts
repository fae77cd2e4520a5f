// opossum: its breaker has the bulkhead in it (`capacity`); nobody waits there. Without its timeout, which would be a timer for each call.
import { createRequire } from 'node:module'
import { immediate } from './call.ts'
import type { CallSystem } from './system.ts'

/** It comes without types. */
interface Opossum {
  fire(): Promise<unknown>
  shutdown(): void
}
type OpossumClass = new (
  call: () => Promise<unknown>,
  options: {
    readonly timeout: false
    readonly capacity: number
    readonly errorThresholdPercentage: number
    readonly volumeThreshold: number
    readonly resetTimeout: number
  },
) => Opossum

export const opossum: CallSystem = {
  async open() {
    const CircuitBreaker = createRequire(import.meta.url)('opossum') as OpossumClass
    const breaker = new CircuitBreaker(immediate, {
      timeout: false,
      capacity: 50,
      errorThresholdPercentage: 50,
      volumeThreshold: 10,
      resetTimeout: 1_000,
    })
    return {
      durability:
        'breaker and bulkhead: rate of failures over a window of time, 50 calls at once, none waits',
      immediate: () => breaker.fire(),
      close: async () => breaker.shutdown(),
    }
  },
}
