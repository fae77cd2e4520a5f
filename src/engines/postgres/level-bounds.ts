// Where the scans of a queue with rules may begin, on each level of its priority (see scan-bound.ts). A task that comes again, or
// that the one before it of its key lets pass, is older than where its level begins: so scans are full for as long as those are
// cheap, which they are unless a transaction somewhere stays open for long.
import { ScanBound } from './scan-bound.ts'

/** A full scan that took no longer may always be made. */
const cheapMs = 2
/** A dearer one is made after this many times its last duration. */
const rest = 20

export interface Bounds {
  /** From the highest down. */
  readonly levels: readonly number[]
  /** The lowest number to look at, of each. */
  readonly froms: readonly number[]
}

const none: Bounds = { levels: [], froms: [] }

export class LevelBounds {
  readonly #levels = new Map<number, ScanBound>()
  #fullAt = Number.NEGATIVE_INFINITY
  #fullMs = 0

  /** Empty for a full scan. */
  begin(now: number = performance.now()): Bounds {
    if (this.#fullMs <= cheapMs || now - this.#fullAt >= this.#fullMs * rest) return none
    const bounds = [...this.#levels]
      .map(([level, bound]) => ({ level, from: bound.settled }))
      .filter(({ from }) => from > 0)
      .sort((a, b) => b.level - a.level)
    return { levels: bounds.map(({ level }) => level), froms: bounds.map(({ from }) => from) }
  }

  /** The scan took `ms`, and all that it saw of each level up to the newest of these. */
  done(
    { levels }: Bounds,
    ms: number,
    taken: readonly { readonly level: number; readonly id: number }[],
    now: number = performance.now(),
  ): void {
    if (levels.length === 0) {
      this.#fullAt = now
      this.#fullMs = ms
    }
    const newest = new Map<number, number>()
    for (const { level, id } of taken) newest.set(level, Math.max(id, newest.get(level) ?? 0))
    for (const level of newest.keys()) if (!this.#levels.has(level)) this.#levels.set(level, new ScanBound())
    for (const [level, bound] of this.#levels) bound.done(1, ms, newest.get(level) ?? 0, now)
  }
}
