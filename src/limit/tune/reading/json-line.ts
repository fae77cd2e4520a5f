// A line of JSON: `time`, `cost`, and whatever fields are keys.
import { type Line, largestCost } from './line.ts'
import { epochTime, isoTime } from './time.ts'

/** What says who asked, and for what. */
const identity = ['key', 'address', 'ip', 'client', 'user', 'device', 'method', 'path', 'url', 'on']

export class JsonLine implements Line {
  time = 0
  #record: Readonly<Record<string, unknown>> = {}
  readonly #timeField: string

  constructor(timeField: string) {
    this.#timeField = timeField
  }

  read(text: string): string | undefined {
    let record: unknown
    try {
      record = JSON.parse(text)
    } catch {
      return 'no JSON'
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return 'no JSON object'
    this.#record = record as Readonly<Record<string, unknown>>
    const given = this.#value(this.#timeField)
    if (given === undefined) return `no field ${this.#timeField}`
    this.time = timeOf(given)
    return Number.isNaN(this.time) ? `its ${this.#timeField} cannot be read` : undefined
  }

  get fields(): readonly string[] {
    return Object.keys(this.#record)
  }

  get refused(): boolean {
    const { status } = this.#record
    return status === 429 || status === '429'
  }

  get retryAfter(): number | undefined {
    const record = this.#record
    const value = record.retryAfter ?? record.retry_after ?? record['retry-after']
    const seconds = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    return typeof seconds === 'number' && seconds >= 0 && seconds < 1e9 ? seconds : undefined
  }

  get who(): string {
    return JSON.stringify(identity.map((name) => this.field(name)))
  }

  field(name: string): string | undefined {
    const value = this.#value(name)
    switch (typeof value) {
      case 'string':
        return value
      case 'undefined':
        return undefined
      case 'object':
        return value === null ? undefined : JSON.stringify(value)
      default:
        return String(value)
    }
  }

  cost(field: string | undefined): number | string {
    const value = this.#value(field ?? 'cost')
    if (value === undefined && field === undefined) return 1
    if (value === undefined) return `no field ${field}`
    if (typeof value !== 'number' || !(value >= 0)) return `its ${field ?? 'cost'} is no number from 0`
    return value <= largestCost ? value : `its ${field ?? 'cost'} is more than 2^53`
  }

  /** By its whole name, or the way to it: `user.id`. */
  #value(name: string): unknown {
    if (Object.hasOwn(this.#record, name)) return this.#record[name]
    if (!name.includes('.')) return undefined
    let value: unknown = this.#record
    for (const step of name.split('.')) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = (value as Readonly<Record<string, unknown>>)[step]
    }
    return value
  }
}

function timeOf(given: unknown): number {
  if (typeof given === 'number') return epochTime(given)
  if (typeof given !== 'string') return Number.NaN
  return /^-?\d+(\.\d+)?$/.test(given) ? epochTime(Number(given)) : isoTime(given)
}
