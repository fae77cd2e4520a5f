// What a door answers by itself: a status, fields and a body that is written already.
import type { Decision, Reason, RuleState } from '../../decision.ts'
import { fields, retryAfter } from '../fields.ts'
import { type LimitProblemKind, limitProblem, problemType } from '../problem.ts'
import type { FieldWriter } from './state-fields.ts'

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Why, in words that name the rule and nothing of its state. */
const details: Readonly<Record<Reason, string>> = {
  over: 'More was asked than the limit allows.',
  cost: 'This takes more at once than the limit ever allows.',
  missing: 'The request does not say what the limit goes by.',
  line: 'Too many are waiting already.',
  wait: 'The turn of this request would come too late.',
  cancelled: 'The request was given up.',
  banned: 'The limit was ignored too often, so it is closed for a time.',
  away: 'Whether the limit allows it cannot be found out at the moment.',
}

const kinds: Readonly<Partial<Record<Reason, LimitProblemKind>>> = {
  away: 'temporary-reduced-capacity',
  banned: 'abnormal-usage-detected',
}

/** The answer to a request that is not allowed: 429, or 400 where it lacks what a limit goes by. */
export function refusal(decision: Decision, writer: FieldWriter, random: () => number): Reply {
  const { rule, reason = 'over', retryAfterMs, states } = decision
  const violated = states.filter(({ refuses, shadow }) => refuses && !shadow).map((state) => state.rule)
  if (violated.length === 0 && rule !== undefined) violated.push(rule)
  const detail = `${details[reason]} (${violated.join(', ')})`
  if (reason === 'missing') return plain(400, 'Bad Request', detail)
  return limited(kinds[reason] ?? 'quota-exceeded', violated, detail, {
    ...told(writer, states, retryAfterMs),
    ...again(retryAfterMs, random),
  })
}

/** Retry-After for a wait; nothing where no time helps, or nobody knows which. */
export function again(waitMs: number, random: () => number): Readonly<Record<string, string>> {
  return Number.isFinite(waitMs) ? { [fields.retryAfter]: String(retryAfter(waitMs, random)) } : {}
}

/** The fields of the limits that refused. */
export function told(
  writer: FieldWriter,
  states: readonly RuleState[],
  refusedMs: number,
): Readonly<Record<string, string>> {
  const { policy, limit } = writer.write(states, refusedMs)
  return policy === '' ? {} : { [fields.policy]: policy, [fields.limit]: limit }
}

/** A refusal of one of the registered types. */
export function limited(
  kind: LimitProblemKind,
  violated: readonly string[],
  detail: string,
  headers: Readonly<Record<string, string>>,
): Reply {
  const problem = limitProblem(kind, violated, detail)
  return made(problem.status, problemType, problem, headers)
}

/** A problem that is none of a limit. */
export function plain(status: number, title: string, detail: string): Reply {
  return made(status, problemType, { title, status, detail }, {})
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return made(status, 'application/json', value, headers)
}

function made(
  status: number,
  type: string,
  value: unknown,
  headers: Readonly<Record<string, string>>,
): Reply {
  return {
    status,
    headers: { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers },
    body: JSON.stringify(value),
  }
}
