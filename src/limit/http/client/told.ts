// What a response says of limits, for a client: how much is left of which policy, and when to come again. What is malformed says nothing.
import { parseList } from 'structured-headers'
import { type LimitProblemKind, problemKindOf } from '../problem.ts'
import { httpDate } from './http-date.ts'

/** Reads a field of a response by its name, in small letters; undefined where it is not there. */
export type ReadField = (name: string) => string | undefined

/** What is left of one policy. */
export interface PolicyTold {
  /** Its name, and its partition where one is said: two partitions are two quotas. */
  readonly policy: string
  readonly left: number
  /** For so long no more than `left` is there; undefined where nothing is said. */
  readonly withinMs: number | undefined
}

export interface Told {
  readonly policies: readonly PolicyTold[]
  /** Not before so long; undefined where nothing is said. */
  readonly retryAfterMs: number | undefined
}

const nothing: readonly PolicyTold[] = []
/** A server that lists more of them says nothing that a client could heed. */
const mostPolicies = 32
const longestField = 8_192

/** What the fields of a response say. `nowMs`: milliseconds since the epoch, for dates of a server that does not say its own. */
export function toldBy(field: ReadField, nowMs: number): Told {
  const limit = field('ratelimit')
  return {
    // What comes from a cache was true when it was stored.
    policies: limit === undefined || isAged(field('age')) ? nothing : policiesIn(limit),
    retryAfterMs: retryAfterMs(field, nowMs),
  }
}

/** The items of a RateLimit field; none for one that is malformed. */
export function policiesIn(text: string): readonly PolicyTold[] {
  if (text.length > longestField) return nothing
  let list: ReturnType<typeof parseList>
  try {
    list = parseList(text)
  } catch {
    return nothing
  }
  if (list.length > mostPolicies) return nothing
  const policies: PolicyTold[] = []
  for (const [name, parameters] of list) {
    const left = parameters.get('r')
    const within = parameters.get('t')
    const partition = parameters.get('pk')
    if (typeof name !== 'string' || !isCount(left)) return nothing
    if (within !== undefined && !isCount(within)) return nothing
    if (partition !== undefined && !(partition instanceof ArrayBuffer)) return nothing
    const policy = partition === undefined ? name : `${name}\n${Buffer.from(partition).toString('base64')}`
    policies.push({ policy, left, withinMs: within === undefined ? undefined : within * 1_000 })
  }
  return policies
}

/** The kind of limit problem that a body tells of; undefined for any other. */
export function problemIn(contentType: string | undefined, body: string): LimitProblemKind | undefined {
  if (contentType === undefined || !/^application\/problem\+json\s*(?:;|$)/i.test(contentType))
    return undefined
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null && 'type' in parsed
      ? problemKindOf(parsed.type)
      : undefined
  } catch {
    return undefined
  }
}

/** Seconds, or a date: that of the server's clock, which its Date field shows. */
function retryAfterMs(field: ReadField, nowMs: number): number | undefined {
  const text = field('retry-after')?.trim()
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1_000
  const at = httpDate(text, nowMs)
  if (at === undefined) return undefined
  const date = field('date')
  const server = date === undefined ? undefined : httpDate(date.trim(), nowMs)
  return Math.max(0, at - (server ?? nowMs))
}

function isAged(age: string | undefined): boolean {
  return age !== undefined && Number(age) > 0
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
}
