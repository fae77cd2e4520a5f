// The consumer groups that this process is a member of.
import type { CommittedPosition, JoinOptions, Membership } from '../../ports/stream.ts'
import type { Connection } from './connection.ts'
import { closed } from './errors.ts'
import { type GroupStream, GroupTable } from './group-table.ts'
import { PostgresMembership } from './membership.ts'
import type { Wake } from './wake.ts'

export class Groups {
  readonly #table: GroupTable
  readonly #wake: Wake
  readonly #memberships = new Set<PostgresMembership>()
  #closed = false

  constructor(connection: Connection, wake: Wake, schema: string) {
    this.#table = new GroupTable(connection, wake, schema)
    this.#wake = wake
  }

  async join(stream: GroupStream, name: string, options: JoinOptions): Promise<Membership> {
    const group = await this.#table.declare(stream, name)
    if (this.#closed) throw closed()
    const left = (): void => {
      this.#memberships.delete(membership)
    }
    const membership = new PostgresMembership(this.#table, this.#wake, group, options, left)
    this.#memberships.add(membership)
    await membership.start().catch((thrown: unknown) => {
      left()
      throw thrown
    })
    if (this.#closed) throw closed()
    return membership
  }

  committed(stream: GroupStream, name: string): Promise<CommittedPosition[]> {
    return this.#table.committed(stream, name)
  }

  /** Ends the memberships without a further callback, also those that are just being made. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#memberships].map((membership) => membership.close()))
  }
}
