// Forgetting what was handled long ago. The entries of the inbox stand in the order in which they were made, with no index on their time: who removes
// begins at the oldest. A clock that was ahead for a while leaves entries there that will not be old for long; they are stepped over.
import type { UnitStatements } from './database-unit.ts'

/** How many windows of entries that are dated ahead of the clock one call steps over. */
const stepsAtMost = 10

export class InboxPruning {
  readonly #statements: UnitStatements
  readonly #write: (work: () => number) => Promise<number>
  /** The entries up to this one are dated ahead of the clock: where the next call goes on. */
  #after = 0

  /** `write` runs in a transaction. */
  constructor(statements: UnitStatements, write: (work: () => number) => Promise<number>) {
    this.#statements = statements
    this.#write = write
  }

  /** The time of the latest entry that was removed. */
  prunedUpTo(): number | undefined {
    return (this.#statements.prunedUpTo.get() as { upTo: number | null }).upTo ?? undefined
  }

  async prune(before: number): Promise<number> {
    for (let step = 0; step < stepsAtMost; step++) {
      const removed = await this.#write(() => this.#pruneFrom(this.#after, before))
      if (removed > 0) return removed
      const ahead = this.#aheadOf(this.#after)
      if (ahead === undefined) break
      this.#after = ahead
      // It goes on there next time.
      if (step === stepsAtMost - 1) return 0
    }
    // They are looked at again: the clock comes to them some day.
    this.#after = 0
    return 0
  }

  #pruneFrom(after: number, before: number): number {
    const removed = this.#statements.prune.all(after, before) as { handledAt: number }[]
    const latest = removed.reduce((highest, { handledAt }) => Math.max(highest, handledAt), 0)
    if (removed.length > 0) this.#statements.pruned.run(latest, latest)
    return removed.length
  }

  /** The last entry of the window after this one, when all of it is dated ahead of the clock. */
  #aheadOf(after: number): number | undefined {
    const { last, earliest } = this.#statements.ahead.get(after) as {
      last: number | null
      earliest: number | null
    }
    return last !== null && earliest! > Date.now() ? last : undefined
  }
}
