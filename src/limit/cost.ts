// How much a request takes of a rule's bucket.
import { describe, SpillwayError } from '../core/errors.ts'
import type { CheckedRule } from './rule/checked-rule.ts'
import type { Subject } from './subject.ts'

/** INVALID_OPTION for a penalty that is no whole number from 0. */
export function checkPenalty(cost: number): void {
  if (!Number.isSafeInteger(cost) || cost < 0)
    throw new SpillwayError('INVALID_OPTION', `A penalty costs ${cost}; it takes a whole number from 0.`)
}

/** A whole number; a fraction counts as a whole. INVALID_OPTION for what is no number from 0. */
export function costOf({ name, cost }: Pick<CheckedRule, 'name' | 'cost'>, subject: Subject): number {
  if (cost === undefined && subject.cost === undefined) return 1
  const given: unknown =
    cost === undefined
      ? subject.cost
      : typeof cost === 'string'
        ? (subject[cost] ?? 1)
        : typeof cost === 'function'
          ? cost(subject)
          : cost
  if (typeof given === 'number' && given >= 0 && given <= Number.MAX_SAFE_INTEGER) return Math.ceil(given)
  throw new SpillwayError(
    'INVALID_OPTION',
    `Rule ${name}: a request costs ${describe(given)}; it takes a number from 0.`,
  )
}
