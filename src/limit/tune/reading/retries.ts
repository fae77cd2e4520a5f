// Requests that were made before: the same id again, or what was answered with 429 and is asked again. They are one demand, not two.
import { KeyHash } from '../../memory/key-hash.ts'

/** Ids that are known at the same time, at least; then the older ones are forgotten. */
const mostIds = 1 << 20
/** Refusals that are waited for. */
const mostRefusals = 100_000
const mostOfOne = 1_000

const second = 1_000_000
/** Nobody who was refused asks again sooner: what comes before was on its way already. */
const soonest = second
/** Who was not told when to come again comes by then, and who was, by half as much later and this. */
const leastBackoff = 30 * second
const slack = 5 * second

/** When each refusal was, and until when it is waited for. */
interface Refused {
  readonly since: number
  readonly until: number
}

export class Retries {
  #ids = new Set<number>()
  #olderIds: ReadonlySet<number> = new Set()
  readonly #refused = new Map<number, Refused[]>()
  #count = 0
  /** How many requests were one that had come before: with the same id, and after a refusal. */
  sameId = 0
  afterRefusal = 0

  /** Whether the id of this key has come before. */
  hasId(key: string, id: string): boolean {
    const hash = hashOf(`${key}\n${id}`)
    if (this.#ids.has(hash) || this.#olderIds.has(hash)) {
      this.sameId += 1
      return true
    }
    if (this.#ids.size >= mostIds) {
      this.#olderIds = this.#ids
      this.#ids = new Set()
    }
    this.#ids.add(hash)
    return false
  }

  /** Whether a refusal is waited for at all: else nobody need say whose request it is. */
  get waits(): boolean {
    return this.#count > 0
  }

  /** Whether it is a request that was refused before; each refusal is asked again once. */
  isAgain(who: string, time: number): boolean {
    const hash = hashOf(who)
    const refusals = this.#refused.get(hash)
    if (refusals === undefined) return false
    while (refusals.length > 0 && refusals[0]!.until < time) this.#forgetFirst(refusals)
    const isAgain = refusals.length > 0 && refusals[0]!.since + soonest <= time
    if (isAgain) {
      this.#forgetFirst(refusals)
      this.afterRefusal += 1
    }
    if (refusals.length === 0) this.#refused.delete(hash)
    return isAgain
  }

  /** `retryAfter` in seconds, where the log has it. */
  refused(who: string, time: number, retryAfter: number | undefined): void {
    const hash = hashOf(who)
    const refusals = this.#refused.get(hash) ?? []
    if (refusals.length >= mostOfOne) return
    const backoff = retryAfter === undefined ? leastBackoff : retryAfter * 1.5 * second + slack
    refusals.push({ since: time, until: time + Math.max(soonest, backoff) })
    this.#count += 1
    this.#refused.set(hash, refusals)
    // The one that was refused first is given up.
    for (const [oldest, { length }] of this.#refused) {
      if (this.#count <= mostRefusals) return
      this.#refused.delete(oldest)
      this.#count -= length
    }
  }

  #forgetFirst(refusals: Refused[]): void {
    refusals.shift()
    this.#count -= 1
  }
}

/** 53 bits: of a million ids one is taken for another with a chance of one in ten thousand. */
function hashOf(text: string): number {
  hash.of(text)
  return (hash.w0 >>> 11) * 2 ** 32 + (hash.w1 >>> 0)
}

const hash = new KeyHash()
