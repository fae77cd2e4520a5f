// What becomes of rules in the language of a gateway that is not ours.
import type { CheckedRule } from '../rule/checked-rule.ts'
import { periodText } from '../rule/period.ts'

export interface ExportOptions {
  /** Which request header has the value of a key: { user: 'x-user' }. Gateways know no users. */
  readonly keys: Readonly<Record<string, string>>
  /** The request header that says the plan. */
  readonly plan: string | undefined
}

/** How much the gateway allows for each key, in requests. */
export interface ExportedBound {
  readonly plan: string | undefined
  /** Undefined: at the same time. */
  readonly windowMs: number | undefined
  /** The true worst case of what was exported. */
  readonly most: number
  /** What the rule itself allows at worst in that window. */
  readonly ruleMost: number
}

export interface ExportedRule {
  readonly rule: string
  /** `partly`: its bound is kept, and something else that it says is not. `not`: nothing was exported for it. */
  readonly held: 'whole' | 'partly' | 'not'
  readonly bounds: readonly ExportedBound[]
  /** What cannot be held, and why. */
  readonly lost: readonly string[]
  /** How what is held differs from the rule. */
  readonly differs: readonly string[]
}

export interface Exported {
  /** The fragment, with comments; it ends with a line break. */
  readonly text: string
  readonly rules: readonly ExportedRule[]
  /** What is so of all of it. */
  readonly general: readonly string[]
}

export type Exporter = (rules: readonly CheckedRule[], options: ExportOptions) => Exported

/** What is said of a rule while it is translated. */
export class Remarks {
  readonly lost: string[] = []
  readonly differs: string[] = []
  readonly bounds: ExportedBound[] = []

  /** `not` when nothing was exported. */
  of(rule: CheckedRule, isExported: boolean): ExportedRule {
    const { lost, differs, bounds } = this
    const held = isExported ? (lost.length > 0 ? 'partly' : 'whole') : 'not'
    return {
      rule: rule.name,
      held,
      lost,
      ...(isExported ? { bounds, differs } : { bounds: [], differs: [] }),
    }
  }
}

/** A text as comments, `#` before each line, no longer than readers like. */
export function comment(text: string, indent = ''): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.replace(/[^\x20-\x7e]/g, '?').split(' ')) {
    if (line !== '' && line.length + word.length > 110) {
      lines.push(`${indent}# ${line}`)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, `${indent}# ${line}`]
}

/** Of rules of which nothing was exported, why. */
export function notHeld(reports: readonly ExportedRule[]): string[] {
  return reports
    .filter(({ held }) => held === 'not')
    .flatMap(({ rule, lost }) => ['', ...comment(`NOT HELD, rule ${rule}: ${lost.join('; ')}`)])
}

/** What stands in front of a rule: what it allows there, what it lacks, and how it differs. */
export function ruleComments({ bounds, lost, differs }: ExportedRule, rule: CheckedRule): string[] {
  return [
    ...bounds.flatMap((bound) => comment(sentence(bound, rule))),
    ...lost.flatMap((line) => comment(`NOT HELD: ${line}`)),
    ...differs.flatMap((line) => comment(`Differs: ${line}`)),
  ]
}

function boundText({ plan, windowMs, most, ruleMost }: ExportedBound, period: string, each: string): string {
  const who = plan === undefined ? '' : `plan ${plan}: `
  const where = windowMs === undefined ? 'at the same time' : `in any ${period}`
  const rule = most === ruleMost ? 'as the rule' : `the rule: ${ruleMost}`
  return `${who}at most ${most} requests${each} ${where} (${rule})`
}

export function sentence(bound: ExportedBound, { by }: CheckedRule): string {
  const period = bound.windowMs === undefined ? '' : periodText(bound.windowMs * 1_000)
  return boundText(bound, period, by.length === 0 ? '' : ' for each key')
}
