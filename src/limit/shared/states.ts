// The rules of a request as headers tell them: as the store, or the lease, said last.
import { boundOf } from '../../core/bucket/algorithm.ts'
import type { BucketAnswer, LimitVerdict } from '../../ports/limit.ts'
import type { RuleState } from '../decision.ts'
import { fillUs } from '../fill.ts'
import type { Subject } from '../subject.ts'
import type { Asked } from './asked-rule.ts'
import type { LeaseBook } from './lease-book.ts'

export type Answers = ReadonlyMap<Asked, { readonly answer: BucketAnswer; readonly verdict: LimitVerdict }>

export function statesOf(
  subject: Subject,
  all: readonly Asked[],
  book: LeaseBook,
  answers: Answers,
  refused: ReadonlySet<Asked>,
): readonly RuleState[] {
  return all.map((asked) => {
    const { checked } = asked.rule
    const limit = boundOf(asked.algorithm)
    const found = answers.get(asked)
    const remaining = Math.max(0, found?.answer.available ?? book.remaining(asked.bucket) ?? limit)
    const perMs = checked.perUs === undefined ? undefined : checked.perUs / 1_000
    const fillMs = perMs === undefined ? undefined : fillUs(asked.algorithm, perMs * 1_000) / 1_000
    const waitMs = found ? Math.max(0, (found.answer.earliestUs - found.verdict.nowUs) / 1_000) : 0
    const backMs = fillMs === undefined ? Number.POSITIVE_INFINITY : (fillMs * (limit - remaining)) / limit
    return {
      rule: checked.name,
      shadow: checked.shadow,
      refuses: refused.has(asked),
      limit,
      remaining,
      windowMs: perMs,
      unit: typeof checked.cost === 'string' ? checked.cost : undefined,
      fillMs,
      own: asked.rule.isOwn(subject),
      nextMs: remaining > 0 ? 0 : waitMs,
      resetMs: Math.max(waitMs, backMs),
    }
  })
}
