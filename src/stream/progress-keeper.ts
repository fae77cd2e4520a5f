// Stores how far the partitions are, where no handler's transaction does: one call at a time, however slow the store is.
import { asSpillwayError, type SpillwayError } from '../core/errors.ts'
import type { Membership } from '../ports/stream.ts'
import type { Assignment } from './assignment.ts'
import type { Ledger } from './ledger.ts'
import type { ProgressStore } from './plan.ts'

export interface KeeperEvents {
  /** The database says that another member raised the generation of this partition. */
  stale(assignment: Assignment): void
  /** The engine says that the partition is not ours, and there is no database to say otherwise. */
  lost(assignment: Assignment): void
  /** Orders are done, and what they changed is stored: that is to be written down. */
  done(assignment: Assignment): Promise<void>
  report(error: SpillwayError): void
}

export class ProgressKeeper {
  readonly #store: ProgressStore | undefined
  readonly #membership: () => Membership | undefined
  readonly #events: KeeperEvents
  #storing: Promise<void> | undefined

  constructor(
    store: ProgressStore | undefined,
    membership: () => Membership | undefined,
    events: KeeperEvents,
  ) {
    this.#store = store
    this.#membership = membership
    this.#events = events
  }

  /** Stores what moved, unless a call is under way: the next one will take it in. */
  tick(assignments: Iterable<Assignment>): void {
    if (!this.#storing) void this.#begin([...assignments])
  }

  /** Stores what moved after whatever is under way. Never rejects. */
  async store(assignments: readonly Assignment[]): Promise<void> {
    await this.idle()
    await this.#begin(assignments)
  }

  /** Resolves once nothing is under way. Never rejects. */
  async idle(): Promise<void> {
    while (this.#storing) await this.#storing
  }

  #begin(assignments: readonly Assignment[]): Promise<void> {
    const moved = assignments.filter(
      ({ gone, window, advisedLow, ordersToStore }) => !gone && (window.low > advisedLow || ordersToStore),
    )
    if (moved.length === 0) return Promise.resolve()
    this.#storing = this.#storeNow(moved).finally(() => {
      this.#storing = undefined
    })
    return this.#storing
  }

  async #storeNow(assignments: readonly Assignment[]): Promise<void> {
    try {
      for (const assignment of assignments) await this.#storeLedger(assignment, assignment.main)
      await this.#advise(assignments)
      // Who sees that an order to go back is done must see how far the group is since.
      for (const assignment of assignments) await this.#storeOrders(assignment)
    } catch (thrown) {
      this.#events.report(asSpillwayError(thrown))
    }
  }

  /** Tells the engine, which is all there is without a database. */
  async #advise(assignments: readonly Assignment[]): Promise<void> {
    const kept = assignments.filter(({ gone, window, advisedLow }) => !gone && window.low > advisedLow)
    if (kept.length === 0) return
    const positions = kept.map(({ partition, window }) => ({ partition, position: window.low }))
    const results = (await this.#membership()?.commit(positions)) ?? []
    results.forEach((result, index) => {
      const assignment = kept[index]!
      if (result === 'committed') assignment.advisedLow = positions[index]!.position
      else if (!this.#store) this.#events.lost(assignment)
    })
  }

  async #storeOrders(assignment: Assignment): Promise<void> {
    if (!assignment.ordersToStore || assignment.gone) return
    assignment.ordersToStore = false
    try {
      await this.#storeLedger(assignment, assignment.orders)
      if (!assignment.gone) await this.#events.done(assignment)
    } catch (thrown) {
      assignment.ordersToStore = true
      throw thrown
    }
  }

  async #storeLedger(assignment: Assignment, ledger: Ledger): Promise<void> {
    if (!this.#store || ledger.window.low <= ledger.storedLow) return
    const progress = ledger.progressSoFar()
    const outcome = await this.#store.commit({ outbox: [], progress, timeoutMs: 5_000 })
    if (outcome === 'stale') this.#events.stale(assignment)
    else ledger.storedLow = progress.low
  }
}
