// The recommendation as a rules file, in shadow mode: it counts what it would refuse, and refuses nothing.
import type { Per } from '../population/refill.ts'

export interface Rule {
  readonly name: string
  readonly capacity: number
  readonly refill: number
  readonly per: Per
  readonly shadow: true
  /** Absent for a rule that bounds all together. */
  readonly by?: string | readonly string[]
  /** Whole numbers of such parts of a unit of the log's costs. */
  readonly costParts: number
}

export function ruleFor(
  fields: readonly string[],
  { refill, per }: { readonly refill: number; readonly per: Per },
  capacity: number,
  parts: number,
): Rule {
  const [only, second] = fields
  const by = second === undefined ? only : fields
  return {
    name: 'tuned',
    capacity: Math.ceil(capacity * parts - 1e-9),
    refill: refill * parts,
    per,
    shadow: true,
    ...(by === undefined ? {} : { by }),
    costParts: parts,
  }
}

export function rulesFile({ name, capacity, refill, per, by, costParts }: Rule): string {
  const bounded =
    by === undefined ? '' : `, by: ${typeof by === 'string' ? scalar(by) : `[${by.map(scalar).join(', ')}]`}`
  const unit = costParts === 1 ? [] : [`# costs are counted in parts: ${costParts} for 1 of the log`]
  return [
    ...unit,
    'rules:',
    `  ${name}: { capacity: ${capacity}, refill: ${refill}, per: ${per}${bounded}, shadow: true }`,
    '',
  ].join('\n')
}

/** As it is where YAML takes it for a text, else in quotes. */
function scalar(text: string): string {
  return /^[A-Za-z][A-Za-z0-9_.-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text)
}
