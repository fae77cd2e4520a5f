// The consumer groups that this process is a member of, and where groups are.
import type { CommittedPosition, JoinOptions, Membership } from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'
import { Coordinator } from './coordinator.ts'
import { closedError } from './errors.ts'
import { Member } from './membership.ts'

export class Groups {
  readonly #cluster: Cluster
  readonly #members = new Set<Member>()
  #closed = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  async join(stream: string, group: string, options: JoinOptions): Promise<Membership> {
    if (this.#closed) throw closedError()
    await this.#cluster.topic(stream)
    if (this.#closed) throw closedError()
    const coordinator = new Coordinator(this.#cluster, stream, group)
    const member = new Member(this.#cluster, coordinator, stream, options)
    this.#members.add(member)
    void member.over.then(() => this.#members.delete(member))
    await member.joined
    return member
  }

  async committed(stream: string, group: string): Promise<CommittedPosition[]> {
    const topic = await this.#cluster.current(stream)
    return await new Coordinator(this.#cluster, stream, group).committed([...topic.leaders.keys()])
  }

  /** Ends all memberships, without a further callback; their partitions are free at once. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#members].map((member) => member.end()))
  }
}
