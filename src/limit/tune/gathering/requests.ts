// Requests by key, each key's in order of time: what everything that is computed goes over, as often as it wants.

export interface Requests extends Disposable {
  readonly keys: number
  /** Every key after the other. Keys come in the same order each time. */
  each(visitor: Visitor): void
}

/** The arrays are only lent, for the time of the call. */
export interface Visitor {
  /** `count` requests of this key follow. */
  begin(key: string, count: number): void
  /** Some of them, from `from` to before `to`: times in microseconds that never fall, and costs. */
  some(times: Float64Array, costs: Float64Array, from: number, to: number): void
  end(): void
}

/** What is to be done with each key by several, in one pass. */
export function together(...visitors: readonly Visitor[]): Visitor {
  return {
    begin(key, count) {
      for (const each of visitors) each.begin(key, count)
    },
    some(times, costs, from, to) {
      for (const each of visitors) each.some(times, costs, from, to)
    },
    end() {
      for (const each of visitors) each.end()
    },
  }
}
