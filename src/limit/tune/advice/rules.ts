// The recommendation as a rules file, in shadow mode: it counts what it would refuse, and refuses nothing.
import { usualKeys } from '../../rule/read-keys.ts'
import { readRules } from '../../rule/read-rules.ts'
import type { Per } from '../population/refill.ts'
import type { Candidate } from './choose.ts'

export interface ProposedRule {
  readonly name: string
  readonly rule: {
    readonly capacity: number
    readonly refill: number
    readonly per: Per
    /** Absent where all are bounded together. */
    readonly by?: string | readonly string[]
    /** The name of what a request costs, where it was asked for. */
    readonly cost?: string
    readonly shadow: true
  }
  /** Keys that limits know only when they are told how to get them. */
  readonly undeclaredKeys: readonly string[]
  /** The rule counts in whole numbers of such parts of a unit of the log's costs. */
  readonly costParts: number
}

export interface Proposal {
  /** What is bounded. */
  readonly fields: readonly string[]
  readonly refill: { readonly refill: number; readonly per: Per }
  readonly capacity: number
  readonly parts: number
  readonly cost: string | undefined
}

export function proposeRule({
  fields,
  refill: { refill, per },
  capacity,
  parts,
  cost,
}: Proposal): ProposedRule {
  const [only, second] = fields
  const by = second === undefined ? only : fields
  return {
    name: 'tuned',
    rule: {
      capacity: Math.max(1, Math.ceil(capacity * parts - 1e-9)),
      refill: refill * parts,
      per,
      ...(by === undefined ? {} : { by }),
      ...(cost === undefined ? {} : { cost }),
      shadow: true,
    },
    undeclaredKeys: fields.filter((name) => !usualKeys.includes(name)),
    costParts: parts,
  }
}

/** Whether limits can count such a bucket exactly: not one that takes years to fill. */
export function canHold(candidate: Candidate, parts: number): boolean {
  const { rule } = proposeRule({
    fields: [],
    refill: candidate,
    capacity: candidate.capacity,
    parts,
    cost: undefined,
  })
  return readRules({ rule }).problems.length === 0
}

export function rulesFile({ name, rule, undeclaredKeys, costParts }: ProposedRule): string {
  const fields = Object.entries(rule).map(([field, value]) => `${field}: ${flow(value)}`)
  return [
    ...(costParts === 1 ? [] : [`# costs are counted in parts: ${costParts} for 1 of the log`]),
    ...(undeclaredKeys.length === 0 ? [] : [`# declare in keys: ${undeclaredKeys.map(flow).join(', ')}`]),
    'rules:',
    `  ${name}: { ${fields.join(', ')} }`,
    '',
  ].join('\n')
}

/** As it is where YAML takes it for a text, else in quotes. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`
  if (typeof value !== 'string') return String(value)
  return /^[A-Za-z][A-Za-z0-9_.-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value)
    ? value
    : JSON.stringify(value)
}
