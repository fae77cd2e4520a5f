// What requests say to a gateway: plans and keys are headers there.
import type { Bound, CheckedRule } from '../rule/checked-rule.ts'
import type { ExportOptions, Remarks } from './exported.ts'

/** Without a header that says the plan all have the smallest. */
export function exportedBounds({ bounds }: CheckedRule, { plan }: ExportOptions): readonly Bound[] {
  return plan === undefined ? bounds.slice(0, 1) : bounds
}

export function remarkPlans(
  rule: CheckedRule,
  { plan }: ExportOptions,
  gateway: string,
  remarks: Remarks,
): void {
  if (rule.bounds.length === 1) return
  if (plan === undefined)
    remarks.lost.push(
      `plans: ${gateway} does not know them; --plan <header> says which request header does. All have the numbers of ${rule.bounds[0].plan}`,
    )
  else
    remarks.differs.push(
      'each plan has buckets of its own: who changes to another begins anew there, and so may get as much as both allow',
    )
}

/** The header that has the value of a key; undefined where the gateway cannot know it, and why is in the remarks. */
export function headerOf(
  part: CheckedRule['by'][number],
  options: ExportOptions,
  gateway: string,
  remarks: Remarks,
): string | undefined {
  const header = headerName(part, options)
  if (header === undefined)
    remarks.lost.push(
      part.kind === 'value'
        ? `by ${part.name}: ${gateway} does not know it; --key ${part.name}=<header> says which request header has it`
        : 'by a function: it is in your program',
    )
  return header
}

/** The header that has the value of a key; undefined where none was named. */
export function headerName(part: CheckedRule['by'][number], { keys }: ExportOptions): string | undefined {
  if (part.kind === 'header') return part.name
  return part.kind === 'value' && Object.hasOwn(keys, part.name) ? keys[part.name] : undefined
}
