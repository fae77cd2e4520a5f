// So many at a time: who comes when all places are taken stands in a line, first come, first served, and not for long.
import { systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import { Silence } from './errors.ts'

/** How many may stand in line. */
const mostWaiting = 65_536

export class Places {
  readonly #withinMs: number
  #free: number
  readonly #line = new Set<(hasPlace: boolean) => void>()

  constructor(count: number, withinMs: number) {
    this.#free = count
    this.#withinMs = withinMs
  }

  /** Does it in a place of its own. Rejects with BACKLOG_FULL, and when none was free in time. */
  async use<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1
    else await this.#stand()
    try {
      return await act()
    } finally {
      const [next] = this.#line
      if (next) {
        this.#line.delete(next)
        next(true)
      } else this.#free += 1
    }
  }

  async #stand(): Promise<void> {
    if (this.#line.size >= mostWaiting)
      throw new SpillwayError('BACKLOG_FULL', `${this.#line.size} requests wait to be decided already.`, {
        engine: 'redis',
      })
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#line.add(resolve)
    const cancel = systemClock.after(this.#withinMs, () => {
      this.#line.delete(resolve)
      resolve(false)
    })
    const hasPlace = await promise
    cancel()
    if (!hasPlace)
      throw new Silence(`too much is decided at a time; nothing was sent for ${this.#withinMs} ms`)
  }
}
