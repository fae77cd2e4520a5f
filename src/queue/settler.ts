// Settlements in batches: whatever ends while one settle call is under way goes out together in the next.
import { backoff } from '../core/backoff.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { asSpillwayError, SpillwayError } from '../core/errors.ts'
import type { QueuePort, Settlement } from '../ports/queue.ts'

const batch = 1_000
const bound = 10_000

export class Settler {
  readonly #queue: string
  readonly #port: QueuePort
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #report: (error: SpillwayError) => void
  #pending: Settlement[] = []
  #flushing: Promise<void> | undefined
  #onDrained: (() => void)[] = []

  constructor(
    queue: string,
    port: QueuePort,
    clock: Clock,
    leaseMs: number,
    report: (error: SpillwayError) => void,
  ) {
    this.#queue = queue
    this.#port = port
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#report = report
  }

  /** True while so much is unsettled that no more should be claimed. */
  get full(): boolean {
    return this.#pending.length >= bound
  }

  drained(): Promise<void> {
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  add(settlement: Settlement): void {
    this.#pending.push(settlement)
    this.#flushing ??= Promise.resolve().then(() => this.#flush())
  }

  async close(): Promise<void> {
    while (this.#flushing) await this.#flushing
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const settlements = this.#pending.splice(0, batch)
      await this.#settle(settlements)
      if (!this.full) for (const resolve of this.#onDrained.splice(0)) resolve()
    }
    this.#flushing = undefined
  }

  /** Tries again while the leases can still be alive; after that the messages come again by themselves. */
  async #settle(settlements: readonly Settlement[]): Promise<void> {
    const giveUpAt = this.#clock.now() + this.#leaseMs
    for (let failures = 1; ; failures++) {
      try {
        const results = await this.#port.settle(this.#queue, settlements)
        const stale = results.filter((result) => result === 'stale').length
        if (stale > 0)
          this.#report(
            new SpillwayError(
              'LEASE_LOST',
              `${stale} settlements of ${this.#queue} came after their lease was lost.`,
            ),
          )
        return
      } catch (thrown) {
        const error = asSpillwayError(thrown)
        this.#report(error)
        if (!error.retryable || this.#clock.now() >= giveUpAt) return
        await sleep(this.#clock, 20 + backoff({ attempts: 0, initialMs: 50, maxMs: 2_000 }, failures))
      }
    }
  }
}
