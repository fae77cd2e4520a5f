// Spillway's breaker and bulkhead around a call, with their defaults.
import { Destination } from '../../src/call/destination.ts'
import type { CallSystem } from './system.ts'

/** What is called where only what stands around it is measured. */
export const immediate = async (): Promise<number> => 1

export const spillwayCalls: CallSystem = {
  async open() {
    const destination = new Destination()
    return {
      durability: 'breaker and bulkhead: rates over a sliding window of time, 50 calls at once, 100 wait',
      immediate: () => destination.attempt(immediate),
      close: async () => {},
    }
  },
}

/** The limit: nothing around it. */
export const bareFunction: CallSystem = {
  async open() {
    return { durability: 'nothing: the function is awaited', immediate, close: async () => {} }
  },
}
