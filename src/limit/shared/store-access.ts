// Asking a store that may be away: every question has an end, and a store that did not answer is left alone for a while, then asked by one.
import { type Clock, sleep } from '../../core/clock.ts'
import { isFinal, isSpillwayError } from '../../core/errors.ts'
import type { LimitExchange, LimitPort, LimitVerdict } from '../../ports/limit.ts'

const pauseMs = 250
const longestPauseMs = 5_000
/** Before the first answer a thread has to start, or a connection to be made. */
const firstMs = 2_000

/** One turn of the event loop: an answer that came while this process was busy with something else is read before it counts as late. */
function turn(): Promise<undefined> {
  return new Promise((resolve) => {
    setImmediate(resolve, undefined)
  })
}

export class StoreAccess {
  readonly #store: LimitPort
  readonly #clock: Clock
  readonly #timeoutMs: number
  #failures = 0
  #failedMs = 0
  #againAtMs = 0
  #trying = false
  /** Whether it has answered, or failed to. */
  #isKnown = false

  constructor(store: LimitPort, clock: Clock, timeoutMs: number) {
    this.#store = store
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** How long it will not be asked; 0 when it may be. */
  get awayMs(): number {
    if (this.#failures === 0) return 0
    return Math.max(this.#againAtMs - this.#clock.elapsed(), this.#trying ? 1 : 0)
  }

  /** Undefined when it is away: what was asked may have been stored or not. Rejects with what is wrong with the question or the set-up, and with CLOSED. */
  async ask(requests: readonly LimitExchange[]): Promise<readonly LimitVerdict[] | undefined> {
    if (this.awayMs > 0) return undefined
    this.#trying = this.#failures > 0
    const sentMs = this.#clock.elapsed()
    const over = new AbortController()
    try {
      const answer = this.#store.exchange(requests)
      const verdicts = await Promise.race([
        answer,
        sleep(this.#clock, this.#patienceMs, over.signal).then(turn, () => undefined),
      ])
      // What comes too late is nobody's.
      if (verdicts === undefined) answer.catch(() => {})
      this.#told(verdicts !== undefined, sentMs)
      return verdicts ?? undefined
    } catch (thrown) {
      if (!isSpillwayError(thrown)) throw thrown
      if (isFinal(thrown) && thrown.code !== 'ENGINE_UNAVAILABLE') throw thrown
      this.#told(false, sentMs)
      return undefined
    } finally {
      this.#trying = false
      over.abort()
    }
  }

  get #patienceMs(): number {
    return this.#isKnown ? this.#timeoutMs : Math.max(this.#timeoutMs, firstMs)
  }

  #told(answered: boolean, sentMs: number): void {
    this.#isKnown = true
    if (answered) {
      this.#failures = 0
      return
    }
    // Questions that were asked together fail together: that is one failure.
    if (this.#failures > 0 && sentMs <= this.#failedMs) return
    this.#failedMs = this.#clock.elapsed()
    const pause = Math.min(pauseMs * 2 ** this.#failures, longestPauseMs)
    this.#failures += 1
    this.#againAtMs = this.#failedMs + pause
  }
}
