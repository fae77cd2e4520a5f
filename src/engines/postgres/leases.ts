// What a lease says: its queue, the number of its message or task, and the fencing token.
import { int8Array } from './arrays.ts'

export interface Held {
  readonly id: number
  readonly token: number
}

/** Of a message without rules. */
export function leaseOf(queue: number, id: string, token: string): string {
  return `${queue}.${id}.${token}`
}

export function taskLeaseOf(queue: number, id: string, token: string): string {
  return `${queue}r${id}.${token}`
}

/** What a lease of the queue stands for; undefined for what is none. */
export function readLease(queue: number, lease: string): Held | undefined {
  return read(/^(\d{1,10})\.(\d{1,15})\.(\d{1,16})$/, queue, lease)
}

export function readTaskLease(queue: number, lease: string): Held | undefined {
  return read(/^(\d{1,10})r(\d{1,15})\.(\d{1,16})$/, queue, lease)
}

export function isTaskLease(lease: string): boolean {
  return lease.includes('r')
}

function read(form: RegExp, queue: number, lease: string): Held | undefined {
  const parts = form.exec(lease)
  if (parts === null || Number(parts[1]) !== queue) return undefined
  return { id: Number(parts[2]), token: Number(parts[3]) }
}

/** The leases of several calls, each once: a lease that is named again is stale by then. */
export class Known {
  /** Which of the leases, counted over all calls, go into the statement. */
  readonly chosen: number[] = []
  readonly #held: Held[] = []
  readonly #sizes: number[]

  constructor(
    calls: readonly { readonly queue: number; readonly leases: readonly string[] }[],
    read: typeof readLease = readLease,
  ) {
    this.#sizes = calls.map((call) => call.leases.length)
    const known = new Map<number, { readonly index: number; readonly held: Held }>()
    let index = 0
    for (const { queue, leases } of calls)
      for (const lease of leases) {
        const held = read(queue, lease)
        if (held !== undefined && !known.has(held.id)) known.set(held.id, { index, held })
        index += 1
      }
    // Everyone locks them in the same order.
    for (const { index, held } of [...known.values()].sort((a, b) => a.held.id - b.held.id)) {
      this.chosen.push(index)
      this.#held.push(held)
    }
  }

  parameters(): Buffer[] {
    return [int8Array(this.#held.map((held) => held.id)), int8Array(this.#held.map((held) => held.token))]
  }

  /** What the statement returned, as the results of the calls. */
  results<Row extends { readonly id: string }, Good>(
    rows: readonly Row[],
    good: (row: Row) => Good,
  ): (Good | 'stale')[][] {
    const found = new Map(rows.map((row) => [Number(row.id), row]))
    const flat: (Good | 'stale')[] = Array(this.#sizes.reduce((sum, size) => sum + size, 0)).fill('stale')
    this.chosen.forEach((index, place) => {
      const row = found.get(this.#held[place]!.id)
      if (row !== undefined) flat[index] = good(row)
    })
    return this.#divide(flat)
  }

  /** The same of a statement that returned the stale ones. */
  allBut<Good>(rows: readonly { readonly id: string }[], good: Good): (Good | 'stale')[][] {
    const stale = new Set(rows.map((row) => Number(row.id)))
    const flat: (Good | 'stale')[] = Array(this.#sizes.reduce((sum, size) => sum + size, 0)).fill('stale')
    this.chosen.forEach((index, place) => {
      if (!stale.has(this.#held[place]!.id)) flat[index] = good
    })
    return this.#divide(flat)
  }

  #divide<Result>(flat: readonly Result[]): Result[][] {
    let at = 0
    return this.#sizes.map((size) => {
      at += size
      return flat.slice(at - size, at)
    })
  }
}
