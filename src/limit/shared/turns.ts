// Those who wait in this process for shared buckets: one line for each bucket, first come, first served.
import { type Clock, sleep } from '../../core/clock.ts'
import { StayAlive } from '../../core/stay-alive.ts'
import type { Reason } from '../decision.ts'
import { mostLines } from '../wait-line.ts'
import type { SharedDecision } from './shared-decision.ts'

export interface Waiting {
  readonly bucket: string
  readonly rule: string
  /** How many may wait for the bucket. */
  readonly most: number
  /** Who would wait longer is refused. */
  readonly dueMs: number
  readonly signal: AbortSignal | undefined
  /** Asks for it again, now that its turn has come. */
  readonly decide: () => Promise<SharedDecision>
}

interface Line {
  readonly rule: string
  /** What tells each that its turn has come; the first has been told. */
  readonly waiters: Set<() => void>
  /** When the first asks again. */
  againAtMs: number
}

/** How soon is asked again for what is held: it comes back when somebody is through with it, which nobody says beforehand. */
const heldMs = 20

export class Turns {
  readonly #awake = new StayAlive()
  readonly #clock: Clock
  readonly #lines = new Map<string, Line>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many wait by the rule, for all of its buckets. */
  waiting(rule: string): number {
    let waiting = 0
    for (const line of this.#lines.values()) if (line.rule === rule) waiting += line.waiters.size
    return waiting
  }

  /** When the first of the bucket's line asks again; undefined where nobody waits. */
  againAtMs(bucket: string): number | undefined {
    return this.#lines.get(bucket)?.againAtMs
  }

  /** Stands in the line until there is another answer than to wait, as long as it may. `told` is what it was answered last. */
  async wait(told: SharedDecision, waiting: Waiting): Promise<SharedDecision> {
    const { bucket, rule, most, signal } = waiting
    if (signal?.aborted) return told.refusedFor('cancelled')
    const known = this.#lines.get(bucket)
    const line = known ?? { rule, waiters: new Set(), againAtMs: 0 }
    if (line.waiters.size >= most || (known === undefined && this.#lines.size >= mostLines))
      return told.refusedFor('line')
    this.#lines.set(bucket, line)
    const { promise, resolve } = Promise.withResolvers<void>()
    line.waiters.add(resolve)
    this.#awake.begin()
    try {
      if (line.waiters.size === 1) return await this.#first(line, told, waiting)
      const reason = await this.#untilTurn(promise, waiting)
      if (reason !== undefined) return told.refusedFor(reason)
      // What it was told was before the others had theirs.
      return await this.#first(line, await waiting.decide(), waiting)
    } finally {
      this.#awake.end()
      line.waiters.delete(resolve)
      const [first] = line.waiters
      if (first) first()
      else this.#lines.delete(bucket)
    }
  }

  async #first(
    line: Line,
    told: SharedDecision,
    { dueMs, signal, decide }: Waiting,
  ): Promise<SharedDecision> {
    let decision = told
    while (decision.outcome === 'wait') {
      const nowMs = this.#clock.elapsed()
      const delayMs = Number.isFinite(decision.retryAfterMs) ? decision.retryAfterMs : heldMs
      if (delayMs > dueMs - nowMs) return decision.refusedFor('wait')
      line.againAtMs = nowMs + delayMs
      try {
        await sleep(this.#clock, Math.max(1, Math.ceil(delayMs)), signal)
      } catch {
        return decision.refusedFor('cancelled')
      }
      decision = await decide()
    }
    return decision
  }

  /** Undefined when its turn came; else why it waits no longer. */
  async #untilTurn(turn: Promise<void>, { dueMs, signal }: Waiting): Promise<Reason | undefined> {
    const over = new AbortController()
    const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])
    const leftMs = Math.max(0, dueMs - this.#clock.elapsed())
    const late = sleep(this.#clock, leftMs, either).then(
      () => 'wait' as const,
      () => 'cancelled' as const,
    )
    try {
      return await Promise.race([turn.then(() => undefined), late])
    } finally {
      over.abort()
    }
  }
}
