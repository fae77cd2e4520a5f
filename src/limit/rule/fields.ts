// Reading a rule field by field: what is wrong is collected, so that a file is told all of it at once.
import { describe } from '../../core/errors.ts'

export interface Problem {
  readonly rule: string
  /** Where there is one to blame. */
  readonly field: string | undefined
  /** What is wrong, and what to write. */
  readonly reason: string
  /** In the file, where there is one. */
  readonly line?: number
}

export class Fields {
  readonly problems: Problem[] = []
  readonly #rule: string
  readonly #written: Readonly<Record<string, unknown>>

  constructor(rule: string, written: Readonly<Record<string, unknown>>) {
    this.#rule = rule
    this.#written = written
  }

  get(field: string): unknown {
    return this.#written[field]
  }

  has(field: string): boolean {
    return this.#written[field] !== undefined
  }

  wrong(field: string | undefined, reason: string): undefined {
    this.problems.push({ rule: this.#rule, field, reason })
    return undefined
  }

  /** One of these words; the first is the default. */
  word<Word extends string>(field: string, words: readonly [Word, ...Word[]]): Word {
    const value = this.get(field)
    if (value === undefined) return words[0]
    if (words.includes(value as Word)) return value as Word
    this.wrong(field, `it is ${describe(value)}; it takes ${words.join(', ')}`)
    return words[0]
  }

  flag(field: string): boolean {
    const value = this.get(field)
    if (value !== undefined && typeof value !== 'boolean')
      this.wrong(field, `it is ${describe(value)}; it takes true or false`)
    return value === true
  }

  whole(field: string, value: unknown, least: number, most: number, instead = ''): number | undefined {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    return this.wrong(
      field,
      `it is ${describe(value)}; it takes a whole number from ${least} to ${most.toLocaleString('en')}${instead}`,
    )
  }

  /** A text, or several. */
  texts(field: string): readonly string[] | undefined {
    const value = this.get(field)
    if (value === undefined) return undefined
    const all: readonly unknown[] = Array.isArray(value) ? value : [value]
    if (all.length > 0 && all.every((each) => typeof each === 'string' && each !== ''))
      return all as readonly string[]
    return this.wrong(field, `it is ${describe(value)}; it takes a text, or a list of texts`)
  }
}
