// One append or send on its way: resolved when all of it is stored, rejected when some of it cannot be.
import { systemClock } from '../../core/clock.ts'

export class WriteCall {
  /** Of records, by their places in the call. */
  readonly positions: number[]
  readonly done: Promise<void>
  /** When nobody waits for it any more, by `performance.now()`. */
  readonly failAt: number
  /** It has ended: what is left of it need not be stored. */
  settled = false
  #left: number
  readonly #resolvers = Promise.withResolvers<void>()

  constructor(parts: number, failAt: number) {
    this.positions = []
    this.failAt = failAt
    this.#left = parts
    this.done = this.#resolvers.promise
  }

  stored(index: number, position: number): void {
    this.positions[index] = position
    this.storedPart()
  }

  storedPart(): void {
    if (--this.#left > 0 || this.settled) return
    this.settled = true
    this.#resolvers.resolve()
  }

  fail(error: unknown): void {
    if (this.settled) return
    this.settled = true
    this.#resolvers.reject(error)
  }
}

/** Until when somebody waits for one of the calls. */
export function latest(calls: Iterable<WriteCall>): number {
  let last = 0
  for (const { settled, failAt } of calls) if (!settled && failAt > last) last = failAt
  return last
}

/** Ends each call when its time is over, though an attempt for the others is under way; until what is returned is called. */
export function expiring(calls: ReadonlySet<WriteCall>, error: () => unknown): () => void {
  let cancel = (): void => {}
  const look = (): void => {
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    for (const call of calls)
      if (call.settled) continue
      else if (call.failAt <= now) call.fail(error())
      else next = Math.min(next, call.failAt)
    cancel = next === Number.POSITIVE_INFINITY ? () => {} : systemClock.after(Math.ceil(next - now), look)
  }
  look()
  return () => cancel()
}
