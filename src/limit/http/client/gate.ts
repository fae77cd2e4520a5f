// What a client knows of one policy, or of one address that refused it: whether a request may leave now, and who waits until one may.
import type { Clock } from '../../../core/clock.ts'

/** What is heeded at most: who is told to stay away for longer asks again after this, with one request. */
const longestHeededMs = 3_600_000
/** So many at once that go well, and the gate says nothing any more. */
const enough = 64
/** Waits that the other side did not spread are spread here: later by up to a tenth, and never by more than this. */
const longestJitterMs = 1_000

/**
 * Open: nothing is known, all may pass. Counted: so many may pass until a time. Closed until a time; after that one may pass, and what it is answered
 * says how many more, or else one more for each that goes well: twice as many in each round.
 */
export class Gate {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #waiting = new Set<() => void>()
  /** By `elapsed()`. */
  #closedUntilMs = Number.NEGATIVE_INFINITY
  #closedAtMs = Number.NEGATIVE_INFINITY
  #countedUntilMs = Number.NEGATIVE_INFINITY
  #left = 0
  /** How many may be under way at once. */
  #allowed = Number.POSITIVE_INFINITY
  #underWay = 0
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock
    this.#random = random
  }

  /** Whether it says the same as none. */
  get isIdle(): boolean {
    return (
      this.#underWay === 0 &&
      this.#waiting.size === 0 &&
      this.#allowed === Number.POSITIVE_INFINITY &&
      this.#clock.elapsed() >= this.#countedUntilMs
    )
  }

  /** Whether somebody is between its posts, or before it. */
  get isInUse(): boolean {
    return this.#underWay > 0 || this.#waiting.size > 0
  }

  get mayPass(): boolean {
    return this.#opensInMs() <= 0 && this.#underWay < this.#allowed
  }

  /** How long it is certain that nothing passes: 0 where it depends on what is under way. */
  get closedMs(): number {
    return Math.max(0, this.#opensInMs())
  }

  enter(): void {
    this.#underWay += 1
    if (this.#clock.elapsed() >= this.#countedUntilMs) return
    this.#left -= 1
    if (this.#left <= 0) this.#allowed = 1
  }

  /** What entered has ended; `well`: it was answered, and not with a refusal. */
  leave(well: boolean): void {
    this.#underWay -= 1
    if (well && this.#allowed !== Number.POSITIVE_INFINITY)
      this.#allowed = this.#allowed >= enough ? Number.POSITIVE_INFINITY : this.#allowed + 1
    this.#tell()
  }

  /** No more than `left` for so long, says the answer to what was sent at `sentMs`. What is under way may not be counted yet. */
  count(left: number, withinMs: number, sentMs: number): void {
    if (left === 0) {
      this.close(withinMs)
      return
    }
    // It was sent before somebody was told that nothing is left: that may have been later.
    if (this.#clock.elapsed() < this.#closedUntilMs && sentMs < this.#closedAtMs) return
    this.#left = left - this.#underWay
    this.#countedUntilMs = this.#clock.elapsed() + Math.min(withinMs, longestHeededMs)
    this.#closedUntilMs = Number.NEGATIVE_INFINITY
    this.#allowed = this.#left > 0 ? Number.POSITIVE_INFINITY : 1
    this.#tell()
  }

  /** Nothing for so long, and then one. */
  close(ms: number): void {
    const heeded = Math.min(ms, longestHeededMs)
    const jitter = this.#random() * Math.min(heeded * 0.1, longestJitterMs)
    this.#closedUntilMs = Math.max(this.#closedUntilMs, this.#clock.elapsed() + heeded + jitter)
    this.#closedAtMs = this.#clock.elapsed()
    this.#countedUntilMs = Number.NEGATIVE_INFINITY
    this.#allowed = 1
    this.#tell()
  }

  /** Calls back once, when it may be otherwise; returns how to take that back. */
  onChange(call: () => void): () => void {
    this.#waiting.add(call)
    this.#setTimer()
    return () => {
      this.#waiting.delete(call)
      if (this.#waiting.size > 0) return
      this.#cancelTimer?.()
      this.#cancelTimer = undefined
    }
  }

  #opensInMs(): number {
    const nowMs = this.#clock.elapsed()
    if (nowMs < this.#closedUntilMs) return this.#closedUntilMs - nowMs
    return nowMs < this.#countedUntilMs && this.#left <= 0 ? this.#countedUntilMs - nowMs : 0
  }

  #setTimer(): void {
    const ms = this.#opensInMs()
    if (ms <= 0 || this.#cancelTimer) return
    // A timer may be a little early; then nobody may pass yet, and it is set again.
    this.#cancelTimer = this.#clock.after(Math.ceil(ms), () => this.#tell())
  }

  #tell(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    // In the order in which they came. Those who may not pass yet come back, behind nobody who was behind them.
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const call of waiting) call()
  }
}
