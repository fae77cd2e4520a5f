// The consumer groups that this process is a member of.
import type { CommittedPosition, JoinOptions, Membership } from '../../ports/stream.ts'
import type { Connection } from './connection.ts'
import { type GroupStream, GroupTable } from './group-table.ts'
import { PostgresMembership } from './membership.ts'
import type { Wake } from './wake.ts'

export class Groups {
  readonly #table: GroupTable
  readonly #wake: Wake
  readonly #memberships = new Set<PostgresMembership>()

  constructor(connection: Connection, wake: Wake, schema: string) {
    this.#table = new GroupTable(connection, wake, schema)
    this.#wake = wake
  }

  async join(stream: GroupStream, name: string, options: JoinOptions): Promise<Membership> {
    const group = await this.#table.declare(stream, name)
    const membership = new PostgresMembership(this.#table, this.#wake, group, options, () =>
      this.#memberships.delete(membership),
    )
    await membership.start()
    this.#memberships.add(membership)
    return membership
  }

  committed(stream: GroupStream, name: string): Promise<CommittedPosition[]> {
    return this.#table.committed(stream, name)
  }

  /** Ends the memberships without a further callback. */
  async close(): Promise<void> {
    await Promise.all([...this.#memberships].map((membership) => membership.close()))
  }
}
