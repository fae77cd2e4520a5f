// The outbox of a database in memory: rows by destination in the order of their commits, numbered when a relay takes them.
import type { Clock } from '../../core/clock.ts'
import { newId } from '../../core/id.ts'
import type { Destination, OutboxPort, OutboxRow } from '../../ports/database.ts'
import { type Capacity, checkOption } from './limits.ts'

/** Before it has its number. */
type Fresh = Omit<OutboxRow, 'sequence'>

interface Lane {
  readonly destination: Destination
  /** Committed and not yet numbered; a set, since its first one leaves without moving the others. */
  readonly fresh: Set<Fresh>
  /** Numbered, in that order. */
  readonly numbered: Map<number, OutboxRow>
}

export interface SetAsideRow {
  readonly row: OutboxRow
  readonly reason: string
}

export class Outbox {
  readonly producerId: string
  readonly #clock: Clock
  readonly #capacity: Capacity
  readonly #lanes = new Map<string, Lane>()
  #lastSequence = 0
  #waiting = 0
  readonly #setAside: SetAsideRow[] = []
  #lock: { readonly holder: string; readonly until: number } | undefined

  constructor(clock: Clock, capacity: Capacity) {
    this.producerId = newId(clock)
    this.#clock = clock
    this.#capacity = capacity
  }

  /** What could not be sent, oldest first. */
  get setAside(): readonly SetAsideRow[] {
    return [...this.#setAside]
  }

  /** Room was reserved by the caller. */
  store(messages: readonly Fresh[]): void {
    for (const message of messages) {
      const { kind, name } = message.destination
      const address = `${kind}:${name}`
      let lane = this.#lanes.get(address)
      if (lane === undefined) {
        lane = { destination: { kind, name }, fresh: new Set(), numbered: new Map() }
        this.#lanes.set(address, lane)
      }
      lane.fresh.add({ ...message, destination: lane.destination })
    }
    this.#waiting += messages.length
  }

  /** The port as one opened database has it; `check` throws once that is closed. */
  port(check: () => void): OutboxPort {
    const open =
      <A extends unknown[], R>(run: (...args: A) => R) =>
      async (...args: A): Promise<R> => {
        check()
        return run(...args)
      }
    return {
      producerId: this.producerId,
      lock: open((holder, leaseMs) => this.#takeLock(holder, leaseMs)),
      unlock: open((holder) => {
        if (this.#lock?.holder === holder) this.#lock = undefined
      }),
      pending: open(() => [...this.#lanes.values()].filter(hasRows).map(({ destination }) => destination)),
      take: open((holder, destination, limit, after = 0) => this.#take(holder, destination, limit, after)),
      remove: open((rows) => {
        for (const row of rows) if (this.#withdraw(row)) this.#capacity.free(1)
      }),
      setAside: open((row, reason) => {
        if (this.#withdraw(row)) this.#setAside.push({ row, reason })
      }),
      aside: open((limit, after = 0) =>
        this.#setAside
          .map(({ row, reason }) => ({ ...row, reason }))
          .filter(({ sequence }) => sequence > after)
          .sort((a, b) => a.sequence - b.sequence)
          .slice(0, limit),
      ),
      retry: open((sequences) => {
        const rows = this.#takeAside(sequences)
        const retriedAt = this.#clock.now()
        this.store(rows.map(({ sequence: _, ...message }) => ({ ...message, retriedAt })))
        return rows.length
      }),
      drop: open((sequences) => {
        const { length } = this.#takeAside(sequences)
        this.#capacity.free(length)
        return length
      }),
      count: open(() => ({ waiting: this.#waiting, setAside: this.#setAside.length })),
    }
  }

  /** In the order of their sequences. */
  #takeAside(sequences: readonly number[]): OutboxRow[] {
    const wanted = new Set(sequences)
    const taken = this.#setAside.filter(({ row }) => wanted.has(row.sequence))
    for (const one of taken) this.#setAside.splice(this.#setAside.indexOf(one), 1)
    return taken.map(({ row }) => row).sort((a, b) => a.sequence - b.sequence)
  }

  #takeLock(holder: string, leaseMs: number): boolean {
    checkOption('leaseMs', leaseMs, 1, 'time')
    const now = this.#clock.now()
    if (this.#lock !== undefined && this.#lock.holder !== holder && this.#lock.until > now) return false
    this.#lock = { holder, until: now + leaseMs }
    return true
  }

  #take(holder: string, { kind, name }: Destination, limit: number, after: number): OutboxRow[] {
    checkOption('limit', limit, 1, 'count')
    if (this.#lock?.holder !== holder || this.#lock.until <= this.#clock.now()) return []
    const lane = this.#lanes.get(`${kind}:${name}`)
    if (lane === undefined) return []
    let above = 0
    for (const sequence of lane.numbered.keys()) if (sequence > after) above++
    for (const message of lane.fresh) {
      if (above >= limit) break
      above++
      lane.fresh.delete(message)
      const sequence = ++this.#lastSequence
      lane.numbered.set(sequence, Object.freeze({ ...message, sequence }))
    }
    const rows: OutboxRow[] = []
    for (const row of lane.numbered.values()) {
      if (rows.length === limit) break
      if (row.sequence > after) rows.push(row)
    }
    return rows
  }

  /** Takes a row out of the way; false when it was gone already. */
  #withdraw({ destination: { kind, name }, sequence }: OutboxRow): boolean {
    const lane = this.#lanes.get(`${kind}:${name}`)
    if (lane?.numbered.delete(sequence) !== true) return false
    this.#waiting--
    return true
  }
}

function hasRows(lane: Lane): boolean {
  return lane.fresh.size + lane.numbered.size > 0
}
