// From what was written to rules that can hold: all of them, or every problem that was found.
import { type Duration, milliseconds } from '../../core/duration.ts'
import { describe, SpillwayError } from '../../core/errors.ts'
import { nearestName } from '../../core/known-options.ts'
import type { CheckedRule } from './checked-rule.ts'
import { Fields, type Problem } from './fields.ts'
import { readBan } from './read-ban.ts'
import { readBound } from './read-bound.ts'
import { checkExcept, readKeys } from './read-keys.ts'
import type { Rules } from './rule.ts'
import { sourceOf } from './source.ts'

const known = [
  'capacity',
  'refill',
  'per',
  'atMost',
  'window',
  'timeZone',
  'pace',
  'atOnce',
  'from',
  'upTo',
  'by',
  'on',
  'cost',
  'over',
  'line',
  'longestWait',
  'ban',
  'shadow',
  'except',
  'missing',
  'away',
]

/** Throws INVALID_RULE with every problem that there is. `keys` are names of values beside the usual ones. */
export function checkRules(rules: Rules, keys: Iterable<string> = []): readonly CheckedRule[] {
  const { checked, problems } = readRules(rules, keys)
  if (problems.length > 0) throw refusalOf(rules, problems)
  return checked
}

/** INVALID_RULE with these problems, and their lines where the rules came from a file. */
export function refusalOf(rules: Rules, problems: readonly Problem[]): SpillwayError {
  const source = sourceOf(rules)
  if (source === undefined) return invalidRules(problems)
  const placed = problems.map((problem): Problem => {
    const line = source.lineOf(problem.rule, problem.field)
    return line === undefined ? problem : { ...problem, line }
  })
  return invalidRules(placed, source.file)
}

export function invalidRules(problems: readonly Problem[], file?: string): SpillwayError {
  const shown = problems.slice(0, 10).map((problem) => problemText(problem, file))
  const more = problems.length > 10 ? `, and ${problems.length - 10} more` : ''
  return new SpillwayError('INVALID_RULE', `${shown.join('; ')}${more}.`, {
    details: { problems, ...(file === undefined ? {} : { file }) },
  })
}

/** With the place in the file, where there is one. */
export function problemText({ rule, field, reason, line }: Problem, file: string | undefined): string {
  const place = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `
  const what = rule === '' ? '' : field === undefined ? `rule ${rule}: ` : `rule ${rule}, ${field}: `
  return `${place}${what}${reason}`
}

export function readRules(
  rules: unknown,
  keys: Iterable<string> = [],
): { readonly checked: readonly CheckedRule[]; readonly problems: readonly Problem[] } {
  if (!isRecord(rules) || typeof rules.then === 'function') {
    const reason = isRecord(rules)
      ? 'a promise is no set of rules; wait for it: `rules: await loadRules(path)`'
      : `${describe(rules)} is no set of rules; write an object with a rule under each name, or \`await loadRules(path)\``
    return { checked: [], problems: [{ rule: '', field: undefined, reason }] }
  }
  const checked: CheckedRule[] = []
  const problems: Problem[] = []
  const keyNames = new Set(keys)
  for (const [name, written] of Object.entries(rules)) {
    if (!isRecord(written)) {
      const reason = `it is ${describe(written)}; write its bound, such as { atMost: 10, per: minute, by: user }`
      problems.push({ rule: name, field: undefined, reason })
      continue
    }
    const fields = new Fields(name, written)
    const rule = readRule(name, fields, keyNames, Object.keys(written))
    problems.push(...fields.problems)
    if (rule !== undefined && fields.problems.length === 0) checked.push(rule)
  }
  return { checked, problems }
}

function readRule(
  name: string,
  fields: Fields,
  keys: ReadonlySet<string>,
  written: readonly string[],
): CheckedRule | undefined {
  if (!/^[A-Za-z][\w.-]{0,99}$/.test(name))
    fields.wrong(
      undefined,
      'a name has letters, digits, dot, dash and underscore, starts with a letter, and has 100 characters at most',
    )
  for (const field of written)
    if (!known.includes(field)) {
      const meant = nearestName(field, known)
      fields.wrong(field, `there is no such field${meant === undefined ? '' : `; did you mean ${meant}?`}`)
    }
  const bound = readBound(fields)
  const by = readKeys(fields, keys)
  const shaped = fields.has('pace')
  const over = fields.word('over', shaped ? ['wait'] : ['reject', 'wait', 'defer'])
  for (const field of ['line', 'longestWait'])
    if (over !== 'wait' && fields.has(field))
      fields.wrong(field, 'nobody waits; it goes with `over: wait` or pace')
  for (const field of ['except', 'missing'])
    if (by.length === 0 && fields.has(field))
      fields.wrong(field, 'it goes with `by`, and this rule bounds all together')
  const except = fields.texts('except') ?? []
  checkExcept(fields, by, except)
  const rest = {
    name,
    by,
    on: fields.texts('on'),
    cost: readCost(fields),
    over,
    line: fields.has('line') ? (fields.whole('line', fields.get('line'), 1, 1_000_000) ?? 1) : 100,
    longestWaitMs: readWait(fields),
    shadow: fields.flag('shadow'),
    ban: readBan(fields, over, by.length > 0, bound?.perUs),
    except,
    missing: fields.word('missing', ['share', 'skip', 'reject']),
    away: readAway(fields),
  } as const
  const smallest = bound?.adaptive?.from ?? bound?.bounds[0].limit
  if (typeof rest.cost === 'number' && smallest !== undefined && rest.cost > smallest)
    fields.wrong('cost', `it is ${rest.cost}, and the bound only ${smallest}: nothing would ever be allowed`)
  return bound && { ...bound, ...rest }
}

function readCost(fields: Fields): CheckedRule['cost'] {
  const value = fields.get('cost')
  if (value === undefined || typeof value === 'function') return value as CheckedRule['cost']
  if (typeof value === 'string' && value !== '') return value
  return fields.whole('cost', value, 1, 1_000_000_000, ', or the name of a number of the subject')
}

function readWait(fields: Fields): number {
  const value = fields.get('longestWait')
  if (value === undefined) return 30_000
  try {
    return milliseconds(value as Duration, 'longestWait')
  } catch {
    fields.wrong('longestWait', `it is ${describe(value)}; write a duration such as '5s'`)
    return 0
  }
}

function readAway(fields: Fields): CheckedRule['away'] {
  const value = fields.get('away')
  if (!isRecord(value)) return fields.word<'open' | 'closed'>('away', ['open', 'closed'])
  const { share } = value
  if (typeof share === 'number' && share > 0 && share <= 1 && Object.keys(value).length === 1)
    return { share }
  fields.wrong(
    'away',
    `it is ${describe(value)}; it takes open, closed, or { share: 0.25 } for a part of the bound`,
  )
  return 'open'
}

/** No list, and no Map or Set (YAML has tags for them), whose entries nobody would see. */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value)
}
