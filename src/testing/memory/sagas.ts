// The state of sagas in the in-memory database.
import type { Clock } from '../../core/clock.ts'
import type { SagaInstance, SagaPort, SagaWrite } from '../../ports/saga.ts'
import type { Capacity } from './limits.ts'

/** How many one call of `prune` removes at most. */
const pruneBatch = 1_000

export class SagaTable {
  readonly #clock: Clock
  readonly #capacity: Capacity
  readonly #instances = new Map<string, SagaInstance>()

  constructor(clock: Clock, capacity: Capacity) {
    this.#clock = clock
    this.#capacity = capacity
  }

  fits({ saga, id, expected }: SagaWrite): boolean {
    const stored = this.#instances.get(key(saga, id))
    return (stored?.version ?? 0) === expected && stored?.body !== null
  }

  has({ saga, id }: SagaWrite): boolean {
    return this.#instances.has(key(saga, id))
  }

  store({ saga, id, expected, body }: SagaWrite): void {
    const instance = { saga, id, version: expected + 1, body, changedAt: this.#clock.now() }
    this.#instances.set(key(saga, id), instance)
  }

  port(check: () => void): SagaPort {
    return {
      get: async (saga, id) => {
        check()
        return this.#instances.get(key(saga, id))
      },
      list: async (saga, { limit, after = '' }) => {
        check()
        return [...this.#instances.values()]
          .filter((instance) => instance.saga === saga && instance.id > after)
          .sort((a, b) => (a.id < b.id ? -1 : 1))
          .slice(0, limit)
      },
      prune: async (before) => {
        check()
        const over = [...this.#instances.values()].filter(
          ({ body, changedAt }) => body === null && changedAt < before,
        )
        for (const { saga, id } of over.slice(0, pruneBatch)) this.#instances.delete(key(saga, id))
        this.#capacity.free(Math.min(over.length, pruneBatch))
        return Math.min(over.length, pruneBatch)
      },
    }
  }
}

function key(saga: string, id: string): string {
  return `${saga}\0${id}`
}
