// What a rule reads from a subject before it looks at a bucket: whether it bounds it at all, and under which key.
import { windowEnds } from './calendar.ts'
import { matcherOf } from './endpoint.ts'
import { type Declared, exceptOf, keyReaderOf, nobodyOf, type ReadPart, readerOf } from './key.ts'
import type { CheckedRule } from './rule/checked-rule.ts'
import type { Subject } from './subject.ts'

export interface Reads {
  /** Undefined: every endpoint. */
  readonly on: ((on: string | undefined) => boolean) | undefined
  readonly excepts: ((subject: Subject) => boolean) | undefined
  readonly keyOf: ReadPart
  /** The key of all subjects that have no value for it. */
  readonly nobody: string
  /** Nobody else's requests count in the subject's bucket: what a client claims in a header does not say so. */
  readonly isOwn: (subject: Subject) => boolean
  /** Of a calendar: when the window of a time ends. In milliseconds. */
  readonly ends: ((nowMs: number) => number) | undefined
}

export function readsOf(checked: CheckedRule, declared: Declared): Reads {
  const { by, on, calendar } = checked
  const readers = by.map((part) => readerOf(part, declared))
  const own = readers.filter((_, index) => by[index]!.kind !== 'header')
  const [only] = own
  return {
    on: on && matcherOf(on),
    excepts: exceptOf(checked, readers),
    keyOf: keyReaderOf(checked, readers),
    nobody: nobodyOf(checked),
    isOwn:
      only !== undefined && own.length === 1
        ? (subject) => only(subject) !== undefined
        : (subject) => own.some((read) => read(subject) !== undefined),
    ends: calendar && windowEnds(calendar.unit, calendar.timeZone),
  }
}
