// Which time of a store's server this process believes. A clock that is set forth would fill every bucket at once: it is believed as far as the monotonic
// clock of this process went, plus a second, and a thousandth for clocks that do not run alike. The thousandth is of the time since the last answer, not of
// all the time since the first: after a week that would be ten minutes that a step may mint.

const slackUs = 1_000_000
const drift = 0.001

export class ServerClock {
  /** How far the server's clock is ahead of ours, as far as it is believed; and when that was said. */
  #aheadUs: number | undefined
  #saidUs = 0

  /** The latest time that a question which is sent now may be answered at. Any, before the first answer. */
  latestUs(nowUs: number = monotonicUs()): number {
    return this.#aheadUs === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(nowUs + this.#aheadUs + slackUs)
  }

  /** The server's clock said `serverUs` between our `sentUs` and `nowUs`; `bucketUs` is the latest time that was decided at. */
  heard(serverUs: number, bucketUs: number, sentUs: number, nowUs: number = monotonicUs()): void {
    const [least, most] = [serverUs - nowUs, serverUs - sentUs]
    let ahead = this.#aheadUs ?? most
    if (ahead > most) ahead = most
    else if (ahead < least) ahead = Math.min(least, ahead + (nowUs - this.#saidUs) * drift)
    // What others have decided at stands: a bucket does not go back.
    if (bucketUs > nowUs + ahead + slackUs) ahead = Math.min(least, bucketUs - nowUs)
    this.#aheadUs = ahead
    this.#saidUs = nowUs
  }
}

/** The clock of this process that never steps. It may stand still while the machine sleeps. */
export function monotonicUs(): number {
  return performance.now() * 1_000
}
