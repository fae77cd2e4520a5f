// Bans in a store, as this process knows them: who was found banned is refused here until the end, without asking.
import type { BucketAsk, LimitVerdict } from '../../ports/limit.ts'
import type { Asked } from './asked-rule.ts'
import type { Answers, Banned } from './states.ts'

/** Those beyond are asked for each time. */
const mostKnown = 10_000

interface Known {
  readonly endsMs: number
  /** When so much was said to be allowed again. */
  readonly againMs: number
  readonly cost: number
}

export class SharedBans {
  readonly #known = new Map<string, Known>()

  /** Those of a request that are known to be banned. Who asks for more than was asked then is to ask the store, which knows when there is so much. */
  known(all: readonly Asked[], nowMs: number): Banned {
    const banned = new Map<Asked, number>()
    if (this.#known.size === 0) return banned
    for (const asked of all) {
      const known = asked.ban && this.#known.get(asked.ban.bucket)
      if (known === undefined) continue
      if (known.endsMs <= nowMs) this.#known.delete(asked.ban!.bucket)
      else if (asked.cost <= known.cost) banned.set(asked, known.againMs - nowMs)
    }
    return banned
  }

  /**
   * What an answer says about the bans of a request: they stand behind its buckets, in their order. None when the store is away. `answers` is of the
   * rules' own buckets; `sentMs` from before it was asked.
   */
  heard(
    asked: readonly Asked[],
    verdict: LimitVerdict | undefined,
    answers: Answers,
    sentMs: number,
  ): Banned {
    const banned = new Map<Asked, number>()
    if (verdict === undefined) return banned
    const bounded = asked.filter(({ ban }) => ban !== undefined)
    const bans = verdict.buckets.slice(verdict.buckets.length - bounded.length)
    for (const [index, each] of bounded.entries()) {
      const leftUs = bans[index]!.earliestUs - verdict.nowUs
      if (leftUs <= 0) continue
      const refusedMs = Math.max(leftUs, answers.get(each)!.answer.earliestUs - verdict.nowUs) / 1_000
      banned.set(each, refusedMs)
      const known = { endsMs: sentMs + leftUs / 1_000, againMs: sentMs + refusedMs, cost: each.cost }
      this.#remember(each.ban!.bucket, known)
    }
    return banned
  }

  #remember(bucket: string, known: Known): void {
    // Whoever has been known for longest is likely to be through.
    if (this.#known.size >= mostKnown) this.#known.delete(this.#known.keys().next().value!)
    this.#known.set(bucket, known)
  }
}

/** Asks whether there is a ban, and tells of so many offences before. */
export function banAsks(all: readonly Asked[], offences: number): BucketAsk[] {
  return all.flatMap(({ ban }) =>
    ban === undefined ? [] : [{ ...ban, used: 0, cost: 1, hold: 0, penalty: offences }],
  )
}
