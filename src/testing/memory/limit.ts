// Shared buckets in the memory of this process, by the arithmetic that all stores are compared with.
import { exchange, freshBucket, isForgettable, type SharedBucket } from '../../core/bucket/exchange.ts'
import type { Clock } from '../../core/clock.ts'
import { checkExchange, type LimitExchange, type LimitPort, type LimitVerdict } from '../../ports/limit.ts'
import { closedError, engineName } from './limits.ts'

export class MemoryLimit implements LimitPort {
  readonly statement: string = 'In the memory of this process; gone with it.'
  readonly #buckets: Map<string, SharedBucket>
  readonly #clock: Clock
  #closed = false

  constructor(store: { readonly clock: Clock; readonly buckets: Map<string, SharedBucket> }) {
    this.#clock = store.clock
    this.#buckets = store.buckets
  }

  async exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    this.#checkOpen()
    checkExchange(engineName, requests)
    const nowUs = Math.floor(this.#clock.elapsed() * 1_000)
    return requests.map((request) =>
      exchange(
        request.asks.map(({ bucket, algorithm }) => {
          const kept = this.#buckets.get(bucket) ?? freshBucket(algorithm)
          this.#buckets.set(bucket, kept)
          return kept
        }),
        request,
        nowUs,
      ),
    )
  }

  async sweep(): Promise<number> {
    this.#checkOpen()
    const nowUs = Math.floor(this.#clock.elapsed() * 1_000)
    let count = 0
    for (const [name, bucket] of this.#buckets)
      if (isForgettable(bucket, nowUs)) {
        this.#buckets.delete(name)
        count += 1
      }
    return count
  }

  close(): void {
    this.#closed = true
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError()
  }
}
