// The log of a consumer group: what is asked of the group while it runs, and what its members must remember over their own
// death. A stream of one partition beside the dead letters; see docs/decisions/0007.
import type { Clock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import { decode, schemaUri } from '../core/message.ts'
import type { StreamPort, StreamRecord } from '../ports/stream.ts'
import { type Began, type Done, entryOf, type GroupEntry, type Handover } from './group-entry.ts'

/** What a new holder finds. */
export interface Found {
  /** Where the log ended when it was looked at. */
  readonly end: number
  readonly deaths: number
  readonly done: Done
  readonly began: readonly Began[]
}

export interface GroupRecord {
  readonly position: number
  readonly appendedAt: number
  readonly entry: GroupEntry | undefined
  /** Why it is no entry, where one should be. */
  readonly malformed?: string
}

const type = 'spillway.group-entry'
const page = { maxRecords: 500, maxBytes: 4 << 20 }
const firstLook = 256
const fetchMs = 1_000
const mostBegan = 100

/** The name of the stream that holds the log of a group. */
export function groupStream(of: { readonly stream: string; readonly group: string }): string {
  return `${of.stream}.group.${of.group}`
}

export class GroupLog {
  readonly name: string
  readonly #port: StreamPort
  readonly #clock: Clock

  constructor(port: StreamPort, of: { readonly stream: string; readonly group: string }, clock: Clock) {
    this.name = groupStream(of)
    this.#port = port
    this.#clock = clock
  }

  /** `keptMs`: for how long entries are kept from now on; left out, as it is. */
  async declare(keptMs?: number): Promise<void> {
    const retention = keptMs === undefined ? undefined : { maxAgeMs: keptMs }
    await this.#port.declare({ name: this.name, partitions: 1, retention })
  }

  async append(...entries: readonly GroupEntry[]): Promise<void> {
    const records = entries.map((data) => ({ partition: 0, body: this.seal(data) }))
    for (let from = 0; from < records.length; from += page.maxRecords)
      await this.#port.append(this.name, records.slice(from, from + page.maxRecords))
  }

  seal(data: GroupEntry): string {
    const id = newId(this.#clock)
    const time = new Date(this.#clock.now()).toISOString()
    const attributes = { specversion: '1.0', id, source: '/spillway', type, time }
    const content = { datacontenttype: 'application/json', dataschema: schemaUri(type, 1) }
    return JSON.stringify({ ...attributes, ...content, correlationid: id, data })
  }

  /** What stands at or after a position, waiting for a first entry. */
  async read(position: number, waitMs: number, signal?: AbortSignal): Promise<GroupRecord[]> {
    const from = [{ partition: 0, position }]
    const records = await this.#port.read(this.name, from, { ...page, waitMs, signal })
    return records.map(open)
  }

  /** Everything that the log holds from a position to its end as it is now. */
  async *entries(from = 0): AsyncGenerator<GroupRecord> {
    const { earliest, next: end } = await this.#bounds()
    for (let position = Math.max(from, earliest); position < end; ) {
      const records = await this.read(position, fetchMs)
      for (const record of records) if (record.position < end) yield record
      // They are there, unless they were trimmed: an engine may need longer to fetch them, and to do without would be to forget.
      if (records.length === 0) position = Math.max(position, (await this.#bounds()).earliest)
      else position = records.at(-1)!.position + 1
    }
  }

  /** What the last holder of a partition left behind; `self` is who asks, and lives. Looks back only as far as it has to. */
  async lookBack(partition: number, self?: string): Promise<Found> {
    const { earliest, next } = await this.#bounds()
    for (let look = firstLook; ; look *= 8) {
      const from = Math.max(earliest, next - look)
      let handover: Handover | undefined
      let alive = false
      let done: Done = { below: earliest, above: [] }
      // A member runs one suspect at a time: only the last that it began can have killed it.
      const last = new Map<string, Began>()
      for await (const { entry } of this.entries(from)) {
        if (entry?.kind === 'began') last.set(entry.member, entry)
        if (!entry || !('partition' in entry) || entry.partition !== partition) continue
        if ('done' in entry) done = later(done, entry.done)
        if (entry.kind === 'alive') alive ||= entry.member === handover?.member
        if (entry.kind !== 'taken' && entry.kind !== 'left' && entry.kind !== 'passed') continue
        handover = entry
        alive = false
        last.delete(entry.member)
      }
      if (!handover && from > earliest) continue
      if (!handover) return { end: next, deaths: 0, done, began: [] }
      // Who left in good order need not have come past what it found begun.
      if (handover.kind === 'left' || alive || handover.member === self)
        return { end: next, deaths: handover.deaths, done, began: handover.began }
      const killer = last.get(handover.member)
      const began = killer?.partition === partition ? withMark(handover.began, killer) : handover.began
      return { end: next, deaths: handover.deaths + 1, done, began }
    }
  }

  /** What the next entry will equal or exceed. */
  async end(): Promise<number> {
    return (await this.#bounds()).next
  }

  /** Nothing below it is kept. */
  async earliest(): Promise<number> {
    return (await this.#bounds()).earliest
  }

  async #bounds(): Promise<{ readonly earliest: number; readonly next: number }> {
    return (await this.#port.bounds(this.name))[0]!
  }
}

function withMark(began: readonly Began[], mark: Began): readonly Began[] {
  const others = began.filter(({ log, position }) => log !== mark.log || position !== mark.position)
  return mark.attempt > 0 ? [...others, mark].slice(-mostBegan) : others
}

/** Of two words about the same partition the one that counts. */
export function later(one: Done, other: Done): Done {
  return other.below >= one.below ? other : one
}

function open({ position, appendedAt, body }: StreamRecord): GroupRecord {
  const message = decode(body)
  const none = { position, appendedAt, entry: undefined }
  if (message instanceof SpillwayError) return { ...none, malformed: message.message }
  if (message.type !== type) return { ...none, malformed: `it is a ${message.type}` }
  const entry = entryOf(message.data)
  // One of a version to come concerns nobody.
  return entry === 'malformed'
    ? { ...none, malformed: 'it does not say what is to be done' }
    : { ...none, entry }
}
