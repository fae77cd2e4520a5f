// Reading by position: long polls at the leaders of the partitions, each on a connection of its own, because a broker
// answers nothing else on a connection that polls. A poll that outlives its reader fills the read-ahead.
import { systemClock } from '../../core/clock.ts'
import type { PartitionPosition, ReadOptions, StreamRecord } from '../../ports/stream.ts'
import { type Codecs, codecsOf, RecordCursor } from './batch-reader.ts'
import type { Cluster } from './cluster.ts'
import { closedError, Fault } from './errors.ts'
import { type Fetch, type FetchedPart, fetchRequest } from './fetch-request.ts'
import type { Link } from './link.ts'
import type { Offsets } from './offsets.ts'
import { requirePartitions } from './options.ts'
import { ReadAhead, type Slot } from './read-ahead.ts'

const maxReadAheadBytes = 32 * 1024 * 1024
const maxSlots = 10_000
const maxFetchBytes = 8 * 1024 * 1024
const maxPartBytes = 1024 * 1024
/** The longest single poll: bounds how long a connection stays occupied after its reader went away. */
const maxPollMs = 5000
/** How long to wait for word of new leaders before the old ones are asked again. */
const refreshMs = 1000
/** For each broker. */
const maxIdleLinks = 16

export class StreamReader {
  readonly #cluster: Cluster
  readonly #offsets: Offsets
  readonly #fetch: Fetch
  readonly #codecs: Codecs
  readonly #ahead = new ReadAhead(maxReadAheadBytes, maxSlots)
  readonly #idle = new Map<number, Link[]>()
  readonly #closing = new AbortController()

  constructor(cluster: Cluster, offsets: Offsets) {
    const { client } = cluster
    this.#cluster = cluster
    this.#offsets = offsets
    this.#fetch = fetchRequest(client)
    this.#codecs = codecsOf(client)
  }

  async read(
    stream: string,
    from: readonly PartitionPosition[],
    options: ReadOptions,
  ): Promise<StreamRecord[]> {
    if (this.#closing.signal.aborted) throw closedError()
    const deadline = Date.now() + options.waitMs
    await requirePartitions(this.#cluster, stream, from)
    if (from.length === 0) await this.#change([], deadline, options.signal)
    if (options.signal?.aborted || from.length === 0) return []
    for (;;) {
      const slots = from.map(({ partition, position }) => this.#ahead.at(stream, partition, position))
      const records = this.#take(slots, options)
      if (records.length > 0) {
        this.#fetchOn(stream, from, records)
        return records
      }
      if (options.signal?.aborted || this.#closing.signal.aborted) return []
      this.#throwFailed(slots)
      const now = Date.now()
      const failing = slots.every((slot) => slot.fault !== undefined)
      if (now >= deadline && !failing && options.waitMs > 0) {
        for (const slot of slots) this.#ahead.tidy(slot)
        return []
      }
      if (options.waitMs > 0) {
        const due = slots.filter((slot) => !slot.fetching && slot.retryAt <= now)
        void this.#poll(stream, due, Math.max(0, Math.min(deadline - now, maxPollMs)))
        await this.#change(slots, failing ? now + maxPollMs : deadline, options.signal)
      } else {
        // A look is a request of its own: the answer of a poll under way may have left before the last append.
        const look = this.#poll(stream, slots, 0).then(() => slots.every((slot) => slot.fault !== undefined))
        if ((await this.#unlessEnded(look, options.signal)) === true) await this.#cluster.pause(100)
        else if (slots.every((slot) => slot.fault !== undefined || (!slot.cursor && !slot.more))) return []
      }
    }
  }

  /** Ends the reads; polls under way end with the cluster's links. */
  close(): void {
    this.#closing.abort()
  }

  /** Takes turns from a random start, each partition an even share as long as the others have records too. */
  #take(slots: readonly Slot[], { maxRecords, maxBytes }: ReadOptions): StreamRecord[] {
    const full = [...new Set(slots)].filter((slot) => slot.cursor !== undefined)
    const last = new Map<Slot, number>()
    const records: StreamRecord[] = []
    if (full.length === 0) return records
    const share = Math.ceil(maxRecords / full.length)
    let bytes = 0
    let turn = rotated(full)
    while (turn.length > 0 && records.length < maxRecords) {
      const open: Slot[] = []
      for (const slot of turn) {
        const cursor = slot.cursor!
        let end = Math.min(maxRecords, records.length + share)
        while (cursor.head !== undefined && records.length < end) {
          if (records.length > 0 && bytes + cursor.headBytes > maxBytes) end = -1
          else {
            bytes += cursor.headBytes
            records.push(cursor.head)
            last.set(slot, cursor.head.position)
            advance(cursor)
          }
        }
        if (cursor.head !== undefined && end >= 0) open.push(slot)
      }
      turn = open
    }
    for (const [slot, position] of last) {
      slot.next = slot.cursor!.next
      this.#ahead.move(slot, position + 1)
      slot.wake()
    }
    return records
  }

  /** Fetches in the background what will be asked for next and is not there yet. */
  #fetchOn(stream: string, from: readonly PartitionPosition[], records: readonly StreamRecord[]): void {
    const positions = new Map(from.map(({ partition, position }) => [partition, position]))
    for (const { partition, position } of records) positions.set(partition, position + 1)
    const now = Date.now()
    const slots = [...positions]
      .map(([partition, position]) => this.#ahead.at(stream, partition, position))
      .filter((slot) => slot.cursor === undefined && !slot.fetching && slot.retryAt <= now)
    void this.#poll(stream, slots, maxPollMs)
  }

  #throwFailed(slots: readonly Slot[]): void {
    for (const slot of slots) {
      const { fault } = slot
      if (fault === undefined) continue
      const gone = fault.id === 'UNKNOWN_TOPIC_OR_PARTITION' && slot.failures > 6
      const late = Date.now() - slot.failingSince >= this.#cluster.options.timeoutMs
      if (fault.passing && !gone && !late) continue
      this.#ahead.remove(slot)
      throw fault
    }
  }

  /** Resolves when an answer came for one of the slots, at `until`, or when there is no sense in waiting. */
  async #change(slots: readonly Slot[], until: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const retries = slots.filter((slot) => !slot.fetching).map((slot) => slot.retryAt)
    const bounds = slots
      .filter((slot) => slot.fault)
      .map((slot) => slot.failingSince + this.#cluster.options.timeoutMs)
    const cancel = systemClock.after(Math.min(until, ...retries, ...bounds) - Date.now() + 1, resolve)
    for (const slot of slots) slot.waiters.add(resolve)
    await this.#unlessEnded(promise, signal)
    for (const slot of slots) slot.waiters.delete(resolve)
    cancel()
  }

  /** The value, or undefined as soon as the signal fires or the engine closes. */
  async #unlessEnded<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
    const { promise: ended, resolve } = Promise.withResolvers<undefined>()
    const end = () => resolve(undefined)
    const { signal: closing } = this.#closing
    signal?.addEventListener('abort', end, { once: true })
    closing.addEventListener('abort', end, { once: true })
    if (signal?.aborted || closing.aborted) end()
    try {
      return await Promise.race([promise, ended])
    } finally {
      signal?.removeEventListener('abort', end)
      closing.removeEventListener('abort', end)
    }
  }

  /** Asks the leaders of the slots; the answers, or the faults, are in the slots afterwards. */
  async #poll(stream: string, slots: readonly Slot[], waitMs: number): Promise<void> {
    for (const slot of slots) slot.fetching = true
    const { leaders } = this.#cluster.known(stream) ?? { leaders: [] }
    const byNode = Map.groupBy(slots, (slot) => leaders[slot.partition] ?? -1)
    await Promise.all([...byNode].map(([node, part]) => this.#pollNode(stream, node, rotated(part), waitMs)))
  }

  async #pollNode(stream: string, node: number, slots: readonly Slot[], waitMs: number): Promise<void> {
    const asked = slots.map(({ partition, next }) => ({ partition, next }))
    const { timeoutMs } = this.#cluster.options
    const start = Date.now()
    try {
      if (node < 0) throw new Fault('LEADER_NOT_AVAILABLE', `a partition of ${stream} has no leader`)
      const link = await this.#acquire(node)
      const asking = this.#fetch(link, stream, asked, { waitMs, maxBytes: maxFetchBytes, maxPartBytes })
      const led = this.#cluster.fromLeader(node, slots, asking, waitMs)
      const answer = await this.#cluster.within(led, waitMs + timeoutMs).catch(async (thrown) => {
        await this.#cluster.release(link)
        throw thrown
      })
      await this.#giveBack(node, link)
      this.#cluster.check(answer.errorCode)
      const parts = new Map(answer.parts.map((part) => [part.partition, part]))
      for (const [index, slot] of slots.entries())
        await this.#accept(slot, asked[index]!.next, parts.get(slot.partition))
    } catch (thrown) {
      const fault = thrown instanceof Fault ? thrown : new Fault('NETWORK', String(thrown), thrown)
      const failingMs = Math.max(0, Date.now() - start - waitMs)
      for (const slot of slots) slot.failed(fault, failingMs)
    }
    if (slots.some((slot) => slot.fault !== undefined) && !this.#closing.signal.aborted)
      await this.#cluster.within(this.#cluster.refresh(stream), refreshMs).catch(() => {})
    for (const slot of slots) {
      slot.fetching = false
      this.#ahead.tidy(slot)
      slot.wake()
    }
  }

  async #accept(slot: Slot, asked: number, part: FetchedPart | undefined): Promise<void> {
    try {
      if (part === undefined) throw new Fault('NETWORK', 'no answer for this partition')
      if (part.errorCode === 1) return await this.#backIntoRange(slot)
      this.#cluster.check(part.errorCode)
      const wanted = slot.cursor === undefined && slot.next === asked && this.#ahead.holds(slot)
      const cursor = wanted ? this.#cursor(slot, part) : undefined
      // Only now: an answer that cannot be read is a failure, and may be one for long.
      slot.answered(part.end)
      if (cursor?.head !== undefined) this.#ahead.fill(slot, cursor)
      else if (cursor !== undefined) slot.next = cursor.next
    } catch (thrown) {
      slot.failed(thrown instanceof Fault ? thrown : new Fault('CORRUPT_MESSAGE', String(thrown), thrown))
    }
  }

  #cursor({ partition, position, next }: Slot, { bytes, aborted }: FetchedPart): RecordCursor | undefined {
    if (bytes === undefined) return undefined
    return new RecordCursor(bytes, partition, Math.max(position, next), next, aborted, this.#codecs)
  }

  /** Trimmed away: on from the earliest. Beyond the end: wait there, and pass over what is below the position. */
  async #backIntoRange(slot: Slot): Promise<void> {
    const [range] = await this.#offsets.range(slot.stream, [slot.partition])
    slot.next = Math.min(Math.max(slot.position, range!.earliest), range!.next)
    slot.answered(range!.next)
  }

  async #giveBack(node: number, link: Link): Promise<void> {
    const idle = this.#idle.get(node) ?? []
    if (idle.length < maxIdleLinks && !this.#closing.signal.aborted) idle.push(link)
    else await this.#cluster.release(link)
  }

  async #acquire(node: number): Promise<Link> {
    const idle = this.#idle.get(node) ?? []
    this.#idle.set(node, idle)
    for (let link = idle.pop(); link !== undefined; link = idle.pop()) {
      if (!link.closed) return link
      await this.#cluster.release(link)
    }
    return await this.#cluster.own(node, 2 * maxPollMs + this.#cluster.options.timeoutMs)
  }
}

function rotated<T>(items: readonly T[]): T[] {
  const start = Math.floor(Math.random() * items.length)
  return [...items.slice(start), ...items.slice(0, start)]
}

/** A batch that cannot be read ends the cursor before it: the next fetch begins there and reports it. */
function advance(cursor: RecordCursor): void {
  try {
    cursor.advance()
  } catch {
    cursor.head = undefined
  }
}
