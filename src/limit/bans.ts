// The bans of one rule in memory: which keys are shut out, and which are on their way there.
import { bucketOf } from '../core/bucket/algorithm.ts'
import { type Ban, bans } from '../core/bucket/ban.ts'
import type { KeyHash } from './memory/key-hash.ts'
import { Table } from './memory/table.ts'

/** Like buckets: by the hashes of keys, bounded, and gone when there is nothing to forget. */
export class Bans {
  /** How many bans began. */
  made = 0
  /** Of the key that was looked at last: how much longer it is banned; 0 for one that is not. */
  leftUs = 0
  #ban: Ban
  readonly #table: Table

  constructor(ban: Ban, maxKeys: number) {
    this.#ban = ban
    this.#table = new Table(bucketOf(ban), () => this.#ban, maxKeys)
  }

  /** For the same rule, declared again. */
  goBy(ban: Ban): void {
    this.#ban = ban
  }

  /** Whether the key is banned. Changes nothing. */
  look(hash: KeyHash, nowUs: number): boolean {
    this.leftUs = this.#table.find(hash, nowUs) ? this.#left(nowUs) : 0
    return this.leftUs > 0
  }

  /** It did it again; whether it is banned now. When there is no room for it, it is not: whoever shared a ban might be innocent. */
  offend(hash: KeyHash, nowUs: number): boolean {
    const table = this.#table
    if (!table.find(hash, nowUs)) {
      if (table.shared) return false
      table.add(hash, nowUs)
    }
    const before = this.#left(nowUs)
    bans.take(table.numbers, table.at, this.#ban, nowUs, 1)
    this.leftUs = this.#left(nowUs)
    if (before === 0 && this.leftUs > 0) this.made += 1
    return this.leftUs > 0
  }

  #left(nowUs: number): number {
    const { numbers, at } = this.#table
    return bans.earliest(numbers, at, this.#ban, nowUs, 1) - nowUs
  }
}
