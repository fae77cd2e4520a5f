// The keys of a rule: by what it bounds.
import { describe, isSpillwayError } from '../../core/errors.ts'
import { nearestName } from '../../core/known-options.ts'
import { type AddressOptions, addressKey } from '../address/canonical.ts'
import { isRangeLike, rangesOf } from '../address/ranges.ts'
import type { Subject } from '../subject.ts'
import type { KeyPart } from './checked-rule.ts'
import type { Fields } from './fields.ts'

/** The values of a subject that everybody calls the same. */
export const usualKeys: readonly string[] = ['user', 'address', 'device', 'apiKey', 'session']

export function readKeys(fields: Fields, declared: ReadonlySet<string>): readonly KeyPart[] {
  const by = fields.get('by')
  if (by === undefined) return []
  const parts: readonly unknown[] = Array.isArray(by) ? by : [by]
  if (parts.length === 0) fields.wrong('by', 'it is an empty list; leave it out for one bucket for all')
  return parts.flatMap((part) => readPart(fields, part, declared) ?? [])
}

function readPart(fields: Fields, part: unknown, declared: ReadonlySet<string>): KeyPart | undefined {
  if (typeof part === 'function')
    return { kind: 'function', of: part as (subject: Subject) => string | undefined }
  if (typeof part === 'string') {
    if (declared.has(part)) return { kind: 'value', name: part }
    if (part === 'address') return { kind: 'address', options: {} }
    if (usualKeys.includes(part)) return { kind: 'value', name: part }
    const meant = nearestName(part, [...usualKeys, ...declared])
    return fields.wrong(
      'by',
      `there is no key ${JSON.stringify(part)}${meant === undefined ? '' : `, did you mean ${meant}?`}; there are ${[...usualKeys, ...declared].join(', ')}, and those that are named in \`keys\``,
    )
  }
  const entries = typeof part === 'object' && part !== null ? Object.entries(part) : []
  const [kind, value] = entries.length === 1 ? entries[0]! : []
  if (kind === 'header' && typeof value === 'string') {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(value))
      return fields.wrong('by', `${JSON.stringify(value)} is no name of a header; write one such as x-device`)
    return { kind: 'header', name: value.toLowerCase() }
  }
  if (kind === 'address' && typeof value === 'object' && value !== null) {
    const options = value as AddressOptions
    const reason = reasonOf(() => addressKey(options))
    return reason === undefined ? { kind: 'address', options } : fields.wrong('by', reason)
  }
  return fields.wrong(
    'by',
    `${describe(part)} is no key; write a name such as user, { header: x-device }, { address: { prefix6: 56 } }, or a list of these`,
  )
}

/** What is taken for a range of addresses where a rule bounds addresses has to be one; beside other keys that is what looks like one. */
export function checkExcept(fields: Fields, by: readonly KeyPart[], except: readonly string[]): void {
  if (!by.some(({ kind }) => kind === 'address')) return
  const ranges = by.length > 1 ? except.filter(isRangeLike) : except
  const reason = reasonOf(() => rangesOf(ranges, 'except'))
  if (reason !== undefined) fields.wrong('except', reason)
}

function reasonOf(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (thrown) {
    if (!isSpillwayError(thrown)) throw thrown
    // Without the general remedy, which speaks of options.
    return thrown.message.replace(/\.? Nothing was done\..*$/s, '')
  }
}
