// Timers of a clock let the process end (`core/clock.ts`); somebody who waits for one does not.

/** Keeps the process alive for as long as somebody waits. */
export class StayAlive {
  #waiting = 0
  #held: NodeJS.Timeout | undefined

  begin(): void {
    this.#waiting += 1
    this.#held ??= setInterval(() => {}, 2 ** 30)
  }

  end(): void {
    this.#waiting -= 1
    if (this.#waiting > 0) return
    clearInterval(this.#held)
    this.#held = undefined
  }
}
