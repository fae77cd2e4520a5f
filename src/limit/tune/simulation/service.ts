// What all keys together send in a second and in a minute of the clock: how many of them are active at the same time, what they asked for, and what
// the recommended bucket lets through.
import type { Visitor } from '../gathering/requests.ts'

/** Longer logs are not looked at in so short turns. */
const mostTurns = 4_000_000
/** A request fits when it is too large by no more than what floating point may have added. */
const tolerance = 1e-9

export interface Peak {
  /** The most keys that were active in one turn. */
  readonly keys: number
  /** The most cost of all in one turn: asked for, and let through by the bucket. */
  readonly asked: number
  readonly admitted: number
}

export class Service implements Visitor {
  readonly #fromTurn: number
  readonly #turn: number
  readonly #perMicro: number
  readonly #most: number
  readonly #keys: Float64Array
  readonly #asked: Float64Array
  readonly #admitted: Float64Array
  #level = 0
  #last = Number.NaN
  #active = -1

  /** Undefined where there would be too many turns. All in microseconds; the bucket in cost per second. */
  static of(
    turn: number,
    from: number,
    to: number,
    bucket: { readonly rate: number; readonly capacity: number },
  ): Service | undefined {
    const turns = Math.floor(to / turn) - Math.floor(from / turn) + 1
    return turns > mostTurns ? undefined : new Service(turn, Math.floor(from / turn), turns, bucket)
  }

  private constructor(
    turn: number,
    fromTurn: number,
    turns: number,
    { rate, capacity }: { readonly rate: number; readonly capacity: number },
  ) {
    this.#turn = turn
    this.#fromTurn = fromTurn
    this.#perMicro = rate / 1e6
    this.#most = capacity + tolerance * Math.max(1, capacity)
    this.#keys = new Float64Array(turns)
    this.#asked = new Float64Array(turns)
    this.#admitted = new Float64Array(turns)
  }

  begin(): void {
    this.#level = 0
    this.#last = Number.NaN
    this.#active = -1
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const time = times[index]!
      const cost = costs[index]!
      const turn = Math.floor(time / this.#turn) - this.#fromTurn
      if (turn !== this.#active) this.#keys[turn]! += 1
      this.#active = turn
      this.#asked[turn]! += cost
      if (!Number.isNaN(this.#last)) this.#level -= this.#perMicro * (time - this.#last)
      if (this.#level < 0) this.#level = 0
      this.#last = time
      if (this.#level + cost > this.#most) continue
      this.#level += cost
      this.#admitted[turn]! += cost
    }
  }

  end(): void {}

  get peak(): Peak {
    return { keys: most(this.#keys), asked: most(this.#asked), admitted: most(this.#admitted) }
  }
}

function most(of: Float64Array): number {
  return of.reduce((peak, each) => (each > peak ? each : peak), 0)
}
