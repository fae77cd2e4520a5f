// Settlements in batches: whatever ends while one settle call is under way goes out together in the next.
import { backoff } from '../core/backoff.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { asSpillwayError, isFinal, SpillwayError } from '../core/errors.ts'
import type { QueuePort, Settlement, SettleResult } from '../ports/queue.ts'

const batch = 1_000
const bound = 10_000
/** How long a settle call that is under way may still take when a stop has waited long enough. */
const lingerMs = 1_000

export class Settler {
  readonly #queue: string
  readonly #port: QueuePort
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #report: (error: SpillwayError) => void
  #pending: Settlement[] = []
  /** Who wants to hear that a settlement is stored. */
  readonly #told = new Map<Settlement, () => void>()
  #flushing: Promise<void> | undefined
  #onDrained: (() => void)[] = []
  #onSettled: (() => void)[] = []
  readonly #abandon: AbortSignal
  /** From a moment after `abandon` on nobody waits for anything here any longer. */
  #givenUp = false

  /** Once `abandon` fires nothing is tried again: the leases end by themselves. */
  constructor(
    queue: string,
    port: QueuePort,
    clock: Clock,
    leaseMs: number,
    abandon: AbortSignal,
    report: (error: SpillwayError) => void,
  ) {
    this.#queue = queue
    this.#port = port
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#abandon = abandon
    this.#report = report
    const giveUp = () => {
      this.#givenUp = true
      this.#release()
    }
    abandon.addEventListener('abort', () => clock.after(lingerMs, giveUp), { once: true })
  }

  /** True while so much is unsettled that no more should be claimed. */
  get full(): boolean {
    return this.#pending.length >= bound
  }

  drained(): Promise<void> {
    if (this.#givenUp) return Promise.resolve()
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  /** `told` is called once it is stored; never when it is stale, or given up. */
  add(settlement: Settlement, told?: () => void): void {
    this.#pending.push(settlement)
    if (told) this.#told.set(settlement, told)
    this.#flushing ??= Promise.resolve().then(() => this.#flush())
  }

  /** Resolves once everything that was added is settled, or given up. */
  settled(): Promise<void> {
    if (!this.#flushing || this.#givenUp) return Promise.resolve()
    return new Promise((resolve) => this.#onSettled.push(resolve))
  }

  async #flush(): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const settlements = this.#pending.splice(0, batch)
        const settled = await this.#settle(settlements)
        if (!settled) for (const settlement of settlements) this.#told.delete(settlement)
        if (!settled && this.#abandon.aborted) this.#pending = []
        if (!this.full) for (const resolve of this.#onDrained.splice(0)) resolve()
      }
    } finally {
      this.#flushing = undefined
      this.#release()
    }
  }

  #tell(settlements: readonly Settlement[], results: readonly SettleResult[]): void {
    for (const [index, settlement] of settlements.entries()) {
      const told = this.#told.get(settlement)
      this.#told.delete(settlement)
      if (results[index] === 'settled') told?.()
    }
  }

  #release(): void {
    for (const resolve of this.#onDrained.splice(0)) resolve()
    for (const resolve of this.#onSettled.splice(0)) resolve()
  }

  /** Tries again while the leases can still be alive; after that the messages come again by themselves, and it is false. */
  async #settle(settlements: readonly Settlement[]): Promise<boolean> {
    const giveUpAt = this.#clock.elapsed() + this.#leaseMs
    for (let failures = 1; ; failures++) {
      try {
        const results = await this.#port.settle(this.#queue, settlements)
        if (this.#told.size > 0) this.#tell(settlements, results)
        const stale = results.filter((result) => result === 'stale').length
        if (stale > 0)
          this.#report(
            new SpillwayError(
              'LEASE_LOST',
              `${stale} settlements of ${this.#queue} came after their lease was lost.`,
            ),
          )
        return true
      } catch (thrown) {
        this.#report(asSpillwayError(thrown))
        if (isFinal(thrown) || this.#abandon.aborted || this.#clock.elapsed() >= giveUpAt) return false
        const delay = 20 + backoff({ attempts: 0, initialMs: 50, maxMs: 2_000 }, failures)
        await sleep(this.#clock, delay, this.#abandon).catch(() => {})
      }
    }
  }
}
