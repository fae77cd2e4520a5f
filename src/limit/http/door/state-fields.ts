// What a client is told of the rules that bound its request: of its own buckets only, never of those that others fill too.
import type { RuleState } from '../../decision.ts'
import { limitItem, type Policy, policyItem, quoted } from '../fields.ts'

/** Which rules clients are told of: those by keys of their own (default), all, none, or those with these names. */
export type Show = 'own' | 'all' | 'none' | readonly string[]

interface Written {
  readonly limit: number
  readonly fillMs: number | undefined
  readonly unit: string | undefined
  readonly name: string
  readonly policy: string
}

export interface StateFields {
  /** RateLimit-Policy; empty where there is nothing to tell. */
  readonly policy: string
  /** RateLimit. */
  readonly limit: string
}

const nothing: StateFields = { policy: '', limit: '' }
/** Rules come and go with a reload; what they were called before need not be known for ever. */
const mostWritten = 1_000

export class FieldWriter {
  readonly #shows: (state: RuleState) => boolean
  readonly #written = new Map<string, Written>()

  constructor(show: Show) {
    this.#shows = showing(show)
  }

  /** One item for each rule that is shown. `refusedMs`, of a refusal: only those that refuse, and no time after what Retry-After says. */
  write(states: readonly RuleState[], refusedMs?: number): StateFields {
    let policy = ''
    let limit = ''
    for (const state of states) {
      if (state.shadow || (refusedMs !== undefined && !state.refuses) || !this.#shows(state)) continue
      const written = this.#of(state)
      const item = limitItem(written.name, state.remaining, moreMs(state, refusedMs))
      policy = policy === '' ? written.policy : `${policy}, ${written.policy}`
      limit = limit === '' ? item : `${limit}, ${item}`
    }
    return policy === '' ? nothing : { policy, limit }
  }

  #of(state: RuleState): Written {
    const { rule, limit, fillMs, unit } = state
    const before = this.#written.get(rule)
    // Of a rule with plans it changes with each of them: they are few.
    if (before !== undefined && before.limit === limit && before.fillMs === fillMs && before.unit === unit)
      return before
    const written = { limit, fillMs, unit, name: quoted(rule), policy: policyItem(policyOf(state)) }
    if (this.#written.size >= mostWritten) this.#written.clear()
    this.#written.set(rule, written)
    return written
  }
}

/**
 * Where nothing is left, when one more comes. Else, when all of it is back: there is one more before, but who went by that would take it for a rate.
 * A bucket that is full has no time to tell.
 */
function moreMs(
  { remaining, limit, nextMs, resetMs }: RuleState,
  refusedMs: number | undefined,
): number | undefined {
  if (nextMs > 0) return nextMs
  return remaining >= limit ? undefined : Math.min(resetMs, refusedMs ?? resetMs)
}

/**
 * What can be used in each window of that length for ever: of a bucket that is refilled, all of it in the time that it takes to fill. The field has whole
 * seconds: of a shorter time as many as a second brings.
 */
export function policyOf({ rule, limit, fillMs, unit }: RuleState): Policy {
  if (fillMs === undefined) return { name: rule, quota: limit, unit: 'concurrent-requests' }
  const cost = unit === undefined ? {} : { cost: unit }
  if (fillMs >= 1_000) return { name: rule, quota: limit, windowMs: fillMs, ...cost }
  return { name: rule, quota: Math.floor((limit * 1_000) / fillMs), windowMs: 1_000, ...cost }
}

function showing(show: Show): (state: RuleState) => boolean {
  if (show === 'own') return ({ own }) => own
  if (typeof show === 'string') return () => show === 'all'
  const names = new Set(show)
  return ({ rule }) => names.has(rule)
}
