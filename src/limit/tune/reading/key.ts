// What is bounded: the value of a field, of several together, or all traffic as one.
import { createHash } from 'node:crypto'
import { SpillwayError } from '../../../core/errors.ts'
import { addressKey } from '../../address/canonical.ts'
import type { Line } from './line.ts'

/** The one key of `--key global`. */
export const everything = 'global'

/** Longer ones are kept by their beginning and their hash. */
const longest = 200
const kept = 64
/** Of a client: one key for every notation, as the rules have it. What is no address stays as it is. */
const canonical = addressKey()

export class Key {
  readonly fields: readonly string[]
  readonly written: string

  /** `address`, `user+path`, `global`; throws INVALID_OPTION for what names no field. */
  constructor(written: string) {
    this.written = written
    this.fields = written === everything ? [] : written.split('+').map((name) => name.trim())
    if (this.fields.some((name) => name === '' || name === everything))
      throw new SpillwayError(
        'INVALID_OPTION',
        `--key ${JSON.stringify(written)} names no field: write address, user+path, or global.`,
      )
  }

  /** A key as somebody writes it: an address in any notation, a long one in full or as it is printed. */
  named(text: string): string {
    const [first, second] = this.fields
    return bounded(first === 'address' && second === undefined ? (canonical(text) ?? text) : text)
  }

  /** Undefined where the line lacks one of the fields. */
  of(line: Line): string | undefined {
    const [first, second] = this.fields
    if (first === undefined) return everything
    if (second === undefined) {
      const value = fieldOf(line, first)
      return value === undefined ? undefined : bounded(value)
    }
    const values: string[] = []
    for (const name of this.fields) {
      const value = fieldOf(line, name)
      if (value === undefined) return undefined
      // So that no value can look like two.
      values.push(value.replace(/[\\+]/g, '\\$&'))
    }
    return bounded(values.join('+'))
  }
}

function fieldOf(line: Line, name: string): string | undefined {
  const value = line.field(name)
  return name === 'address' ? (canonical(value) ?? value) : value
}

/** As it is stored: of any length and alphabet, but not with halves of letters, which no file keeps. */
function bounded(value: string): string {
  const key = value.isWellFormed() ? value : value.toWellFormed()
  if (key.length <= longest) return key
  return `${key.slice(0, kept).toWellFormed()}…${createHash('sha256').update(key).digest('hex')}`
}
