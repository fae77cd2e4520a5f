// The key of a subject's bucket, as one text that no other values give.
import { describe, SpillwayError } from '../core/errors.ts'
import { addressKey } from './address/canonical.ts'
import { addressRanges, isRangeLike } from './address/ranges.ts'
import type { CheckedRule, KeyPart } from './rule/checked-rule.ts'
import { headerOf, ownValue, type Subject } from './subject.ts'

/** Undefined for a subject that has no value for it. */
export type ReadPart = (subject: Subject) => string | undefined

/** Readers under the names by which rules may bound. */
export type Declared = ReadonlyMap<string, ReadPart>

/** Of names with their functions, or true for a value of the subject. */
export function declaredBy(keys: Readonly<Record<string, true | ReadPart>>): Declared {
  return new Map(
    Object.entries(keys).map(([name, of]): [string, ReadPart] => [
      name,
      of === true ? (subject) => ownValue(subject, name) : (subject) => keyValue(name, of(subject)),
    ]),
  )
}

/** What a function gave as a key. INVALID_OPTION for what is neither text nor number: as a text it is often the same for all. */
function keyValue(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  throw new SpillwayError(
    'INVALID_OPTION',
    `The function of the key ${name} gave ${describe(value)}; it takes a text, a number or undefined.`,
  )
}

export function readerOf(part: KeyPart, declared: Declared): ReadPart {
  switch (part.kind) {
    case 'value': {
      const { name } = part
      return declared.get(name) ?? ((subject) => ownValue(subject, name))
    }
    case 'address': {
      const canonical = addressKey(part.options)
      // Several rules, and what is told of each, ask for the same one.
      let last: string | undefined
      let key: string | undefined
      return ({ address }) => {
        if (address !== last) {
          key = canonical(address)
          last = address
        }
        return key
      }
    }
    case 'header': {
      const { name } = part
      return (subject) => headerOf(subject, name)
    }
    case 'function':
      return (subject) => keyValue('by', part.of(subject))
  }
}

/**
 * The text under which a rule's bucket for a subject stands; undefined for a subject that the rule does not share one with because it lacks a value.
 * Of several values each has its length before it, so that none can reach into the next; one that is missing is a dash.
 */
export function keyReaderOf({ missing }: CheckedRule, readers: readonly ReadPart[]): ReadPart {
  const shares = missing === 'share'
  const [only] = readers
  if (only === undefined) return () => ''
  if (readers.length === 1) return shares ? (subject) => only(subject) ?? '' : only
  return (subject) => {
    let key = ''
    for (const reader of readers) {
      const value = reader(subject)
      if (value === undefined && !shares) return undefined
      key += value === undefined ? '-' : `${value.length}:${value}`
    }
    return key
  }
}

/** The headers by which rules bound, in small letters. */
export function headersOf(rules: readonly Pick<CheckedRule, 'by'>[]): readonly string[] {
  const parts = rules.flatMap(({ by }) => by)
  return [...new Set(parts.flatMap((part) => (part.kind === 'header' ? [part.name] : [])))]
}

/** The text of all subjects that have no value for any key. */
export function nobodyOf({ by }: CheckedRule): string {
  return by.length === 1 ? '' : '-'.repeat(by.length)
}

/** Whether a rule's `except` names the subject; undefined for a rule that has none. */
export function exceptOf(
  { by, except }: CheckedRule,
  readers: readonly ReadPart[],
): ((subject: Subject) => boolean) | undefined {
  if (except.length === 0) return undefined
  const names = new Set(except)
  const asked = by.map((part, i): ((subject: Subject) => boolean) => {
    if (part.kind === 'address') {
      const ranges = except.filter(isRangeLike)
      const { nat64 } = part.options
      const within = addressRanges(ranges, nat64 === undefined ? {} : { nat64 })
      return ({ address }) => within(address)
    }
    return (subject) => {
      const value = readers[i]!(subject)
      return value !== undefined && names.has(value)
    }
  })
  return (subject) => asked.some((excepts) => excepts(subject))
}
