// What is parked in a service's file: for looking. What parks and lets go is a unit.
import type { ListParked, ParkedEvent, ParkingPort, PartitionOfGroup } from '../../ports/parking.ts'
import type { UnitStatements } from './database-unit.ts'

interface Row extends Omit<ParkedEvent, 'key'> {
  readonly key: string | null
}

export class SqliteParking implements ParkingPort {
  readonly #statements: UnitStatements
  readonly #check: () => void

  /** `check` throws once the database is closed. */
  constructor(statements: UnitStatements, check: () => void) {
    this.#statements = statements
    this.#check = check
  }

  async list(of: PartitionOfGroup, { after = -1, key, limit }: ListParked): Promise<ParkedEvent[]> {
    this.#check()
    const { stream, group, partition } = of
    const { parked, parkedOf } = this.#statements
    const rows =
      key === undefined
        ? parked.all(stream, group, partition, after, limit)
        : parkedOf.all(stream, group, partition, key, after, limit)
    return (rows as Row[]).map((row) => ({ ...row, key: row.key ?? undefined }))
  }

  async summary(of: PartitionOfGroup): Promise<{ readonly count: number; readonly keys: readonly string[] }> {
    this.#check()
    const address = [of.stream, of.group, of.partition] as const
    const { count } = this.#statements.parkedCount.get(...address) as { count: number }
    const keys = this.#statements.parkedKeys.all(...address) as { key: string }[]
    return { count, keys: keys.map(({ key }) => key) }
  }
}
