// How well buckets tell abusive keys from honest ones: what each of many refuses to the honest, and lets through to the abusive.
import type { Visitor } from '../gathering/requests.ts'
import { type Bucket, Buckets } from './buckets.ts'

export interface Separated {
  /** Shares of the requests. */
  readonly honestRefused: number
  readonly abusiveAdmitted: number
  /** Of the honest keys, those that are refused at least once. */
  readonly honestKeysRefused: number
}

export class Separation implements Visitor {
  readonly #abusive: ReadonlySet<string>
  readonly #ofHonest: Buckets
  readonly #ofAbusive: Buckets
  #now: Buckets

  constructor(buckets: readonly Bucket[], abusive: ReadonlySet<string>) {
    this.#abusive = abusive
    this.#ofHonest = new Buckets({ buckets })
    this.#ofAbusive = new Buckets({ buckets })
    this.#now = this.#ofHonest
  }

  get honestKeys(): number {
    return this.#ofHonest.keys
  }

  get abusiveKeys(): number {
    return this.#ofAbusive.keys
  }

  begin(key: string): void {
    this.#now = this.#abusive.has(key) ? this.#ofAbusive : this.#ofHonest
    this.#now.begin()
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    this.#now.some(times, costs, from, to)
  }

  end(): void {
    this.#now.end()
  }

  /** Of the bucket at this place. */
  of(place: number): Separated {
    const [honest, abusive] = [this.#ofHonest, this.#ofAbusive]
    const [toHonest, toAbusive] = [honest.outcomes[place]!, abusive.outcomes[place]!]
    return {
      honestRefused: toHonest.refused / Math.max(1, honest.requests),
      abusiveAdmitted: 1 - toAbusive.refused / Math.max(1, abusive.requests),
      honestKeysRefused: toHonest.refusedKeys / Math.max(1, honest.keys),
    }
  }
}

/** Those that no other beats in both, the ones that refuse least to the honest first. */
export function bestOf<Point extends Separated>(points: readonly Point[]): Point[] {
  const rising = points.toSorted(
    (a, b) => a.honestRefused - b.honestRefused || a.abusiveAdmitted - b.abusiveAdmitted,
  )
  let least = Number.POSITIVE_INFINITY
  return rising.filter(({ abusiveAdmitted }) => {
    if (abusiveAdmitted >= least) return false
    least = abusiveAdmitted
    return true
  })
}
