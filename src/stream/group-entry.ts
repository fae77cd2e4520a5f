// What stands in the log of a consumer group, and whether it can be carried out: anybody who can append to a stream could have written it.
import type { PartitionPosition } from '../ports/stream.ts'

/** A dead letter is to be handled again. Without a body the event is too large to be kept twice: it is read from its place. */
export interface RedriveOrder {
  readonly kind: 'redrive'
  readonly partition: number
  readonly position: number
  /** Its position among the dead letters, and the id that it has there. */
  readonly dead: number
  readonly letter?: string
  readonly key?: string
  readonly body?: string
}

/** The group goes back to these positions. */
export interface ReplayOrder {
  readonly kind: 'replay'
  readonly positions: readonly PartitionPosition[]
}

/** Parked events are let go: of one key, or of all. */
export interface UnparkOrder {
  readonly kind: 'unpark'
  readonly key?: string
}

export type Order = RedriveOrder | ReplayOrder | UnparkOrder

/** Which orders are done for a partition: all below `below`, and those above it. */
export interface Done {
  readonly below: number
  readonly above: readonly number[]
}

/** Whether an event comes from the stream, from this log (redriven), or from what is parked. */
export type Whence = 'stream' | 'group' | 'parked'

/** An event that runs while its like are suspected of having killed a process: one at a time in each process. */
export interface Began {
  readonly kind: 'began'
  readonly member: string
  readonly partition: number
  readonly log: Whence
  readonly position: number
  /** How often its process will have died of it, should it die now; one less once the attempt has ended. */
  readonly attempt: number
}

export interface Handover {
  readonly kind: 'taken' | 'left' | 'passed'
  readonly member: string
  readonly partition: number
  /** How many holders in a row ended without leaving. */
  readonly deaths: number
  readonly done: Done
  /** What was known of the attempts at suspects before. */
  readonly began: readonly Began[]
}

/** Orders are done: for whoever looks from outside, and for the next holder where no database keeps it. */
export interface Finished {
  readonly kind: 'done'
  readonly partition: number
  readonly done: Done
}

/** A member that lost a partition without giving it back lives all the same. */
export interface Alive {
  readonly kind: 'alive'
  readonly member: string
  readonly partition: number
}

export type GroupEntry = Order | Began | Handover | Finished | Alive

type Check = (value: unknown) => boolean

const text: Check = (value) => typeof value === 'string'
const whole: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)
const shaped =
  (shape: Readonly<Record<string, Check>>): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null) return false
    const of = value as Readonly<Record<string, unknown>>
    return Object.entries(shape).every(([name, check]) => check(of[name]))
  }

const done = shaped({ below: whole, above: listOf(whole) })
const began = shaped({
  member: text,
  partition: whole,
  log: (value) => value === 'stream' || value === 'group' || value === 'parked',
  position: whole,
  attempt: whole,
})
const handover = shaped({ member: text, partition: whole, deaths: whole, done, began: listOf(began) })

const checks: Readonly<Record<GroupEntry['kind'], Check>> = {
  redrive: shaped({
    partition: whole,
    position: whole,
    dead: whole,
    letter: optional(text),
    key: optional(text),
    body: optional(text),
  }),
  replay: shaped({ positions: listOf(shaped({ partition: whole, position: whole })) }),
  unpark: shaped({ key: optional(text) }),
  began,
  taken: handover,
  left: handover,
  passed: handover,
  done: shaped({ partition: whole, done }),
  alive: shaped({ member: text, partition: whole }),
}

/** The entry; undefined for one of a version to come, whose kind nobody knows here; `'malformed'` for what nobody can carry out. */
export function entryOf(data: unknown): GroupEntry | undefined | 'malformed' {
  const kind = (data as { readonly kind?: unknown } | null | undefined)?.kind
  if (typeof kind !== 'string') return 'malformed'
  if (!Object.hasOwn(checks, kind)) return undefined
  return checks[kind as GroupEntry['kind']](data) ? (data as GroupEntry) : 'malformed'
}
