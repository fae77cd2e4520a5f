// One rule's bucket after a decision, in the words of headers.
import { type Algorithm, boundOf } from '../core/bucket/algorithm.ts'
import type { RuleState } from './decision.ts'
import type { CheckedRule } from './rule/checked-rule.ts'

type Found = Pick<RuleState, 'refuses' | 'remaining' | 'fillMs' | 'own' | 'nextMs' | 'resetMs'>

/** `found`: what the bucket says, and its `fillMs`; all else the rule and its bound do. */
export function ruleState(
  { name, shadow, perUs, cost }: CheckedRule,
  algorithm: Algorithm,
  { refuses, remaining, fillMs, own, nextMs, resetMs }: Found,
): RuleState {
  return {
    rule: name,
    shadow,
    refuses,
    limit: boundOf(algorithm),
    remaining: Math.max(remaining, 0),
    windowMs: perUs === undefined ? undefined : perUs / 1_000,
    unit: typeof cost === 'string' ? cost : undefined,
    fillMs,
    own,
    nextMs,
    resetMs,
  }
}

/** How long a bucket takes from nothing to all of it; undefined for how many at the same time. */
export function fillMs(algorithm: Algorithm, perUs: number | undefined): number | undefined {
  if (perUs === undefined || algorithm.kind !== 'token-bucket') return perUs && perUs / 1_000
  const { capacity, unit, rate, tickUs } = algorithm
  return (Math.ceil((capacity * unit) / rate) * tickUs) / 1_000
}
