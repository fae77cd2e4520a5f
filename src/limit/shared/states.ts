// The rules of a request as headers tell them: as the store, or the lease, said last.
import { boundOf } from '../../core/bucket/algorithm.ts'
import type { BucketAnswer, LimitVerdict } from '../../ports/limit.ts'
import type { RuleState } from '../decision.ts'
import { fillMs, ruleState } from '../rule-state.ts'
import type { Subject } from '../subject.ts'
import type { Asked } from './asked-rule.ts'
import type { LeaseBook } from './lease-book.ts'

/** For how long these are refused, in milliseconds: until the end of a ban, or longer where the bucket has nothing either. */
export type Banned = ReadonlyMap<Asked, number>

export type Answers = ReadonlyMap<Asked, { readonly answer: BucketAnswer; readonly verdict: LimitVerdict }>

export function statesOf(
  subject: Subject,
  all: readonly Asked[],
  book: LeaseBook,
  answers: Answers,
  refused: ReadonlySet<Asked>,
  banned: Banned = new Map(),
): readonly RuleState[] {
  return all.map((asked) => {
    const { rule, algorithm, bucket } = asked
    const limit = boundOf(algorithm)
    const found = answers.get(asked)
    const banMs = banned.get(asked) ?? 0
    // What it leased to us in the same act is there, too.
    const told = found && found.answer.available + (rule.isHeld ? 0 : found.answer.held)
    const left = told ?? book.remaining(bucket) ?? limit
    const remaining = banMs > 0 ? 0 : Math.max(0, left)
    const full = fillMs(algorithm, rule.checked.perUs)
    const waitMs = Math.max(banMs, found ? (found.answer.earliestUs - found.verdict.nowUs) / 1_000 : 0)
    const backMs = full === undefined ? Number.POSITIVE_INFINITY : (full * (limit - remaining)) / limit
    return ruleState(rule.checked, algorithm, {
      refuses: refused.has(asked),
      remaining,
      fillMs: full,
      own: rule.isOwn(subject),
      nextMs: remaining > 0 ? 0 : waitMs,
      resetMs: Math.max(waitMs, backMs),
    })
  })
}
