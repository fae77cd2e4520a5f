// Lines become requests: each is read in its format, its key and cost are taken, and what cannot be used is counted.
import { SpillwayError } from '../../../core/errors.ts'
import type { Gathering } from '../gathering/gathering.ts'
import { AccessLine } from './access-line.ts'
import { Decimals } from './decimals.ts'
import { JsonLine } from './json-line.ts'
import { Key } from './key.ts'
import type { Line } from './line.ts'
import { Resolution } from './resolution.ts'
import { Retries } from './retries.ts'

export interface IntakeOptions {
  /** As `--key` has it; by default what the first line suggests. */
  readonly key?: string | undefined
  /** The field with the cost. */
  readonly cost?: string | undefined
  /** The field with the time, of JSON. */
  readonly time?: string | undefined
  /** Keys that are left out. */
  readonly without?: readonly string[] | undefined
  /** The field with an idempotency key: requests of one key with the same are one. */
  readonly id?: string | undefined
  /** Requests after a 429 count as new ones, also where they are those that were refused. */
  readonly keepRetries?: boolean | undefined
  /** The field that says whether a request was `abusive`. */
  readonly label?: string | undefined
}

export interface BrokenLine {
  readonly log: string
  readonly line: number
  readonly reason: string
}

/** How many broken lines are told one by one. */
const told = 10
const mostAbusive = 1_000_000
/** What a key may be called in a line of JSON. */
const usualKeys = ['key', 'address', 'ip', 'client', 'user', 'device']

export class Intake {
  readonly #gathering: Gathering
  readonly #options: IntakeOptions
  readonly #access = new AccessLine()
  readonly #json: JsonLine
  #without: ReadonlySet<string> = new Set()
  readonly #found = new Set<string>()
  #key: Key | undefined
  #log = ''
  #line = 0
  #latest = Number.NEGATIVE_INFINITY
  #fieldsFound: readonly string[] = []
  readonly retries: Retries = new Retries()
  /** The keys with a request that was labelled abusive. */
  readonly abusive: Set<string> = new Set()
  /** Requests that had a label. */
  labelled = 0
  readonly resolution: Resolution = new Resolution()
  readonly decimals: Decimals = new Decimals()
  readonly broken: BrokenLine[] = []
  requests = 0
  brokenLines = 0
  withoutKey = 0
  leftOut = 0
  /** That were answered with 429. */
  refused = 0
  /** Lines with a time before that of one above them. */
  outOfOrder = 0
  from: number = Number.POSITIVE_INFINITY
  to: number = Number.NEGATIVE_INFINITY

  constructor(gathering: Gathering, options: IntakeOptions) {
    this.#gathering = gathering
    this.#options = options
    this.#json = new JsonLine(options.time ?? 'time')
    if (options.key !== undefined) this.#bound(new Key(options.key))
  }

  /** The lines that follow are of this log. */
  begin(log: string): void {
    this.#log = log
    this.#line = 0
  }

  /** A line, or undefined for one that was too long to be kept. */
  take(text: string | undefined): void {
    this.#line += 1
    if (text === '') return
    const reason = text === undefined ? 'longer than 1 MiB' : this.#request(text)
    if (reason === undefined) return
    this.brokenLines += 1
    if (this.broken.length < told) this.broken.push({ log: this.#log, line: this.#line, reason })
  }

  /** Throws where nothing was found that could be computed with; returns what is bounded. */
  end(): Key {
    for (const key of this.#without)
      if (!this.#found.has(key))
        throw new SpillwayError(
          'INVALID_OPTION',
          `--without ${JSON.stringify(key)}: the log has no such key.`,
        )
    const { label } = this.#options
    if (label !== undefined && this.requests > 0 && this.labelled === 0)
      throw new SpillwayError('INVALID_OPTION', `--label ${label}: no request has such a field.`)
    if (this.requests > 0) return this.#key!
    const { brokenLines, withoutKey, leftOut } = this
    const reasons = this.broken.map(({ log, line, reason }) => `${log}:${line}: ${reason}`).join('; ')
    const what =
      withoutKey > 0
        ? `None of ${withoutKey} requests has a value for ${this.#key?.fields.join(' and ')}; they have ${this.#fieldsFound.join(', ')}.`
        : leftOut > 0
          ? `All ${leftOut} requests were left out.`
          : brokenLines > 0
            ? `None of ${brokenLines} lines could be read: ${reasons}.`
            : 'The log is empty.'
    const remedy =
      'Nothing was computed. It takes access logs (common, combined) and lines of JSON with a `time`; --key and --cost name fields.'
    throw new SpillwayError('INVALID_DATA', what, { remedy })
  }

  #request(text: string): string | undefined {
    const line: Line = /^\s*\{/.test(text) ? this.#json : this.#access
    const reason = line.read(text)
    if (reason !== undefined) return reason
    const cost = line.cost(this.#options.cost)
    if (typeof cost === 'string') return cost
    const key = (this.#key ?? this.#bound(usualKey(line))).of(line)
    if (key === undefined) {
      this.withoutKey += 1
      if (this.withoutKey === 1)
        this.#fieldsFound = line.fields.filter((name) => line.field(name) !== undefined)
    } else if (this.#without.has(key)) {
      this.#found.add(key)
      this.leftOut += 1
    } else if (!this.#isAgain(line, key)) {
      this.#label(line, key)
      this.#add(key, line.time, cost, line.refused)
    }
    return undefined
  }

  /** Whether it was computed with before. */
  #isAgain(line: Line, key: string): boolean {
    const { retries } = this
    const { id: field, keepRetries } = this.#options
    const id = field === undefined ? undefined : line.field(field)
    if (id !== undefined) return retries.hasId(key, id)
    if (keepRetries || !(line.refused || retries.waits)) return false
    const who = `${key}\n${line.who}`
    const isAgain = retries.isAgain(who, line.time)
    if (line.refused) retries.refused(who, line.time, line.retryAfter)
    return isAgain
  }

  #label(line: Line, key: string): void {
    const { label } = this.#options
    const value = label === undefined ? undefined : line.field(label)
    if (value === undefined) return
    this.labelled += 1
    if (value !== 'abusive' || this.abusive.has(key)) return
    if (this.abusive.size >= mostAbusive)
      throw new SpillwayError('INVALID_DATA', `More than ${mostAbusive} keys are labelled abusive.`)
    this.abusive.add(key)
  }

  #bound(key: Key): Key {
    this.#key = key
    this.#without = new Set(this.#options.without?.map((each) => key.named(each)))
    return key
  }

  #add(key: string, time: number, cost: number, refused: boolean): void {
    this.requests += 1
    if (refused) this.refused += 1
    if (time < this.#latest) this.outOfOrder += 1
    else this.#latest = time
    if (time < this.from) this.from = time
    if (time > this.to) this.to = time
    this.resolution.add(time)
    this.decimals.add(cost)
    this.#gathering.add(key, time, cost)
  }
}

function usualKey(line: Line): Key {
  const name = usualKeys.find((each) => line.field(each) !== undefined)
  if (name !== undefined) return new Key(name)
  throw new SpillwayError(
    'INVALID_OPTION',
    `What is to be bounded? Name it by --key: global for all traffic together, or one of the fields ${line.fields.join(', ')}.`,
  )
}
