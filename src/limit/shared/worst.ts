// Of the rules that refuse a request, the one that does so for longest, and what becomes of the request.
import type { BucketAnswer } from '../../ports/limit.ts'
import { type Outcome, outcomeAfter, type Reason } from '../decision.ts'
import type { Asked, AskedRule } from './asked-rule.ts'
import type { Answers, Banned } from './states.ts'

/** Whether it was this bucket of a request that was not allowed: what it leased to us in the same act, and is not in use, is ours to take off. */
export function refuses({ cost, rule }: Asked, { available, held }: BucketAnswer, inUse: number): boolean {
  return cost > 0 && available + held - (rule.isHeld ? inUse : 0) < cost
}

/**
 * `over`: those whose bounds are reached; of the others there are bans, or what refused was there again when it was looked at, as may be where several
 * nodes decide. Rules in shadow refuse nothing.
 */
export function worstOf(
  refused: readonly Asked[],
  over: readonly Asked[],
  banned: Banned,
  answers: Answers,
  leaseMs: number,
): {
  readonly rule: AskedRule
  readonly reason: Reason
  readonly retryAfterMs: number
  readonly outcome: Outcome
} {
  let [worst, longest]: [Asked | undefined, number] = [undefined, -1]
  let outcome: Outcome = 'wait'
  for (const asked of refused) {
    const { checked, isHeld } = asked.rule
    if (checked.shadow) continue
    outcome = outcomeAfter(outcome, checked.over)
    const { answer, verdict } = answers.get(asked)!
    const comesMs = (answer.earliestUs - verdict.nowUs) / 1_000
    // What is leased comes back when the leases end, at the latest.
    const bucketMs = isHeld ? Number.POSITIVE_INFINITY : comesMs > 0 ? comesMs : leaseMs
    const banMs = banned.get(asked)
    const delayMs = over.includes(asked) ? Math.max(bucketMs, banMs ?? 0) : (banMs ?? leaseMs)
    if (delayMs > longest) [worst, longest] = [asked, delayMs]
  }
  const reason = banned.has(worst!) ? 'banned' : 'over'
  return { rule: worst!.rule, reason, retryAfterMs: longest, outcome }
}
