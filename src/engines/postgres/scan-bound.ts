// Where a scan for the oldest rows of a queue may begin. While any transaction anywhere is open, PostgreSQL must keep the
// index entries of rows that have gone since, and every scan from the beginning walks over all of them. So most
// scans begin where the rows have been gone for a while. Rows can become visible late below that: their ids were given
// before their commit, or another process let go of them. For those a full scan is made as often as its own cost allows.

/** How much later than its id a row may become visible and be found at once. */
const lagMs = 1_000
/** A full scan is made after this many times its last duration: it costs less than a twentieth of the time. */
const rest = 20

export class ScanBound {
  #settled = 0
  #settling = 0
  #newest = 0
  #since = 0
  #fullAt = Number.NEGATIVE_INFINITY
  #fullMs = 0

  /** Below it, all was taken at least `lagMs` ago. */
  get settled(): number {
    return this.#settled
  }

  /** The id to begin at; 0 for a full scan. */
  begin(now: number = performance.now()): number {
    return now - this.#fullAt >= this.#fullMs * rest ? 0 : this.#settled
  }

  /** The next scan is a full one. */
  demand(): void {
    this.#fullAt = Number.NEGATIVE_INFINITY
  }

  /** A scan that began at `from` took `ms` and everything visible up to the id `upTo`. */
  done(from: number, ms: number, upTo: number, now: number = performance.now()): void {
    if (from === 0) {
      this.#fullAt = now
      this.#fullMs = ms
    }
    if (now - this.#since >= lagMs) {
      this.#settled = this.#settling
      this.#settling = this.#newest
      this.#since = now
    }
    if (upTo > this.#newest) this.#newest = upTo
  }

  /** Where a time `ms` after the last scan would have to look back to, the lag included. */
  static lookBack(ms: number): number {
    return ms + lagMs
  }
}
