// What was fetched a short time ago, by key: it answers for every event at or below its version.
import type { Clock } from '../core/clock.ts'
import type { Current } from '../core/pointer-contract.ts'

export interface CacheRules {
  readonly entries: number
  readonly keptMs: number
}

export const cacheRules: CacheRules = { entries: 1_000, keptMs: 10_000 }

interface Entry {
  readonly current: Current<unknown, unknown>
  readonly version: number
  readonly at: number
}

export class Cache {
  readonly #clock: Clock
  readonly #rules: CacheRules
  /** The one that was used last is the last. */
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock, rules: CacheRules = cacheRules) {
    this.#clock = clock
    this.#rules = rules
  }

  /** The state of the key, if one at or above the version is known. */
  find(key: string, version: number): Current<unknown, unknown> | undefined {
    const entry = this.#fresh(key)
    if (!entry || entry.version < version) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.current
  }

  /** Keeps it, unless something newer is known: replicas answer in any order. */
  put(key: string, current: Current<unknown, unknown>, version: number): void {
    const before = this.#fresh(key)
    if (before && before.version > version) return
    this.#entries.delete(key)
    this.#entries.set(key, { current, version, at: this.#clock.elapsed() })
    if (this.#entries.size > this.#rules.entries) this.#entries.delete(this.#entries.keys().next().value!)
  }

  #fresh(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (!entry || this.#clock.elapsed() - entry.at < this.#rules.keptMs) return entry
    this.#entries.delete(key)
    return undefined
  }
}
