// What is parked in a database in memory: by partition of a group, in the order of positions.
import type { PartitionOfGroup } from '../../ports/database.ts'
import type { ListParked, ParkedEvent, ParkingPort } from '../../ports/parking.ts'
import { type Capacity, checkOption } from './limits.ts'

export class ParkingTable {
  readonly #capacity: Capacity
  readonly #rows = new Map<string, Map<number, ParkedEvent>>()

  constructor(capacity: Capacity) {
    this.#capacity = capacity
  }

  has(of: PartitionOfGroup, position: number): boolean {
    return this.#of(of).has(position)
  }

  /** Room for a new one was reserved by the caller. */
  store(of: PartitionOfGroup, event: ParkedEvent): void {
    this.#of(of).set(event.position, Object.freeze({ ...event }))
  }

  remove(of: PartitionOfGroup, position: number): void {
    if (this.#of(of).delete(position)) this.#capacity.free(1)
  }

  removeFrom(of: PartitionOfGroup, position: number): void {
    for (const each of [...this.#of(of).keys()]) if (each >= position) this.remove(of, each)
  }

  /** The port as one opened database has it; `check` throws once that is closed. */
  port(check: () => void): ParkingPort {
    return {
      list: async (of, { after = -1, key, limit }: ListParked) => {
        check()
        checkOption('limit', limit, 1, 'count')
        const fits = (event: ParkedEvent) => key === undefined || (event.key ?? null) === key
        return this.#sorted(of)
          .filter((event) => event.position > after && fits(event))
          .slice(0, limit)
      },
      summary: async (of) => {
        check()
        const events = this.#sorted(of)
        const keys = new Set(events.flatMap(({ key }) => (key === undefined ? [] : [key])))
        return { count: events.length, keys: [...keys] }
      },
    }
  }

  #sorted(of: PartitionOfGroup): ParkedEvent[] {
    return [...this.#of(of).values()].sort((a, b) => a.position - b.position)
  }

  #of({ stream, group, partition }: PartitionOfGroup): Map<number, ParkedEvent> {
    const address = JSON.stringify([stream, group, partition])
    let rows = this.#rows.get(address)
    if (rows === undefined) {
      rows = new Map()
      this.#rows.set(address, rows)
    }
    return rows
  }
}
