// What a rule says, for people who look at it: its algorithm, what it keeps, what it allows at worst, and what to mind.
import { bucketOf } from '../core/bucket/algorithm.ts'
import { guaranteesOf } from './guarantee.ts'
import { bytesOfPlace } from './memory/segment.ts'
import type { CheckedRule, KeyPart } from './rule/checked-rule.ts'
import { fillMs } from './rule-state.ts'

export interface RuleSummary {
  readonly name: string
  readonly algorithm: string
  /** Empty for one bucket for all. */
  readonly by: readonly string[]
  /** Undefined for everything that is asked. */
  readonly on: readonly string[] | undefined
  /** One for each plan, the smallest first. */
  readonly plans: readonly PlanSummary[]
  readonly over: CheckedRule['over']
  /** Where requests wait: how many for each bucket, and how long. */
  readonly line: number | undefined
  readonly longestWaitMs: number | undefined
  readonly cost: string | undefined
  readonly except: readonly string[]
  readonly missing: CheckedRule['missing']
  readonly away: CheckedRule['away']
  readonly shadow: boolean
  /** Of one bucket in memory. */
  readonly bytes: number
  readonly warnings: readonly string[]
}

export interface PlanSummary {
  readonly plan: string | undefined
  readonly limit: number
  readonly windowMs: number | undefined
  /** In any window of that length, or at the same time. */
  readonly most: number
  readonly guarantee: string
}

export function summaryOf(rule: CheckedRule): RuleSummary {
  const { name, by, on, bounds, over, cost, except, missing, away, shadow } = rule
  const waits = over === 'wait'
  return {
    name,
    algorithm: algorithmOf(rule),
    by: by.map(keyName),
    on,
    plans: guaranteesOf(rule).map(({ plan, text, windowMs, most }, i) => ({
      plan,
      limit: bounds[i]!.limit,
      windowMs,
      most,
      guarantee: text,
    })),
    over,
    line: waits ? rule.line : undefined,
    longestWaitMs: waits ? rule.longestWaitMs : undefined,
    cost: cost === undefined ? undefined : typeof cost === 'function' ? 'a function' : `${cost}`,
    except,
    missing,
    away,
    shadow,
    bytes: bytesOfPlace(bucketOf(bounds[0].algorithm).size(bounds[0].algorithm)),
    warnings: warningsOf(rule),
  }
}

export function keyName(part: KeyPart): string {
  switch (part.kind) {
    case 'value':
      return part.name
    case 'header':
      return `header ${part.name}`
    case 'function':
      return 'a function'
    case 'address': {
      const { prefix6 = 64, prefix4 = 32 } = part.options
      const coarse = prefix4 === 32 ? '' : `, IPv4 by /${prefix4}`
      return `address (IPv6 by /${prefix6}${coarse})`
    }
  }
}

function algorithmOf({ bounds, over, adaptive }: CheckedRule): string {
  if (adaptive !== undefined) return 'adaptive concurrency'
  const { algorithm } = bounds[0]
  if (algorithm.kind === 'token-bucket') {
    const paced = over === 'wait' && algorithm.capacity === 1
    return paced ? 'leaky bucket that shapes' : 'token bucket'
  }
  const names = {
    log: 'log of times, exact',
    'sliding-window': 'sliding window counter',
    'fixed-window': 'fixed window of a key',
    'calendar-window': 'calendar window',
    concurrency: 'concurrency',
  }
  return names[algorithm.kind]
}

const dayMs = 86_400_000

function warningsOf(rule: CheckedRule): string[] {
  const { bounds, calendar, shadow, by, missing, except } = rule
  const found: string[] = []
  if (rule.ban !== undefined)
    found.push('bans whom it refuses too often: in memory each process by itself, until it ends')
  if (shadow) found.push('in shadow: it counts what it would refuse, and refuses nothing')
  // How long what was used counts.
  if (bounds.some(({ algorithm }) => (fillMs(algorithm, rule.perUs) ?? 0) >= dayMs))
    found.push(
      'remembers a day or more: in memory its buckets begin empty with each restart, and every process has its own; keep them in a store (sharedLimits)',
    )
  if (bounds.some(({ algorithm: { kind } }) => kind === 'calendar-window' || kind === 'fixed-window')) {
    const window = calendar === undefined ? "a key's window" : `the ${calendar.unit}`
    found.push(
      `across the border of ${window} twice the bound is allowed within moments; without \`window\` it is not`,
    )
  }
  if (bounds.length > 1)
    found.push(`a plan that it does not name, or none, has the numbers of ${bounds[0].plan}`)
  if (missing === 'skip' && by.length > 0)
    found.push(`who has no ${by.map(keyName).join(' or ')} is not bounded`)
  if (except.length > 0) found.push(`not bounded: ${except.join(', ')}`)
  return found
}
