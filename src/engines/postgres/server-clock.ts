// How far the server's clock is believed: no further than our own monotonic clock went since the server first told the time. So a step forth of the
// server's clock fills no bucket.

/** Two right clocks may differ by so much of the time that passes; and an answer takes its time. */
const drift = 0.001
const slackUs = 1_000_000

export class ServerClock {
  readonly #elapsedMs: () => number
  #first: { readonly serverUs: number; readonly atMs: number } | undefined

  constructor(elapsedMs: () => number = () => performance.now()) {
    this.#elapsedMs = elapsedMs
  }

  /** Undefined as long as the server has told nothing. */
  latestUs(): number | undefined {
    if (this.#first === undefined) return undefined
    const { serverUs, atMs } = this.#first
    return Math.floor(serverUs + (this.#elapsedMs() - atMs) * 1_000 * (1 + drift) + slackUs)
  }

  told(serverUs: number): void {
    this.#first ??= { serverUs, atMs: this.#elapsedMs() }
  }
}
