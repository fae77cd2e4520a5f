// The broker that keeps a group: finding it, and the requests about committed positions that it answers.
import type { CommittedPosition, PartitionPosition } from '../../ports/stream.ts'
import type { Cluster, Purpose } from './cluster.ts'
import { Fault } from './errors.ts'
import type { Link } from './link.ts'

/** As what a member commits; the fence. */
export interface Identity {
  readonly memberId: string
  readonly generation: number
}

export class Coordinator {
  readonly groupId: string
  readonly #cluster: Cluster
  readonly #stream: string
  #node: Promise<number> | undefined
  #uncertain = false

  constructor(cluster: Cluster, stream: string, group: string) {
    this.#cluster = cluster
    this.#stream = stream
    this.groupId = groupIdOf(stream, group)
  }

  node(): Promise<number> {
    if (this.#node === undefined) {
      const asked = this.#find()
      this.#node = asked
      asked.catch(() => {
        if (this.#node === asked) this.#node = undefined
      })
    }
    return this.#node
  }

  /** It did not answer, or is not the coordinator any more: look for it again, and for where the brokers are. */
  forget(): void {
    this.#node = undefined
    this.#uncertain = true
  }

  async link(purpose: Purpose): Promise<Link> {
    return await this.#cluster.link(purpose, await this.node())
  }

  async #find(): Promise<number> {
    if (this.#uncertain) await this.#cluster.discover()
    this.#uncertain = false
    const link = await this.#cluster.any()
    const answer = await link.call(this.#cluster.client.findCoordinatorV4.api, 0, [this.groupId])
    const found = answer.coordinators.find(({ key }) => key === this.groupId)
    if (found === undefined) throw new Fault('COORDINATOR_NOT_AVAILABLE', 'no coordinator in the answer')
    this.#cluster.check(found.errorCode)
    return found.nodeId
  }

  /** Null for partitions without a committed position. In the order asked. */
  async committed(partitions: readonly number[]): Promise<CommittedPosition[]> {
    const positions = await this.#cluster.persist(async (last) => {
      if (last !== undefined) this.forget()
      const link = await this.link('commit')
      const topics = [{ name: this.#stream, partitionIndexes: [...partitions] }]
      const answer = await link.call(
        this.#cluster.client.offsetFetchV7.api,
        [{ groupId: this.groupId, topics }],
        true,
      )
      this.#cluster.check(answer.errorCode)
      const found = new Map<number, number>()
      for (const topic of answer.topics)
        for (const { partitionIndex, errorCode, committedOffset } of topic.partitions) {
          this.#cluster.check(errorCode)
          found.set(partitionIndex, Number(committedOffset))
        }
      return found
    })
    return partitions.map((partition) => {
      const position = positions.get(partition) ?? -1
      return { partition, position: position < 0 ? null : position }
    })
  }

  /** One attempt; resolves when all are stored, rejects with the first Fault. */
  async commit(identity: Identity, positions: readonly PartitionPosition[]): Promise<void> {
    const link = await this.link('commit')
    const partitions = positions.map(({ partition, position }) => ({
      partitionIndex: partition,
      committedOffset: BigInt(position),
      committedLeaderEpoch: -1,
      committedMetadata: null,
    }))
    const answer = await link.call(
      this.#cluster.client.offsetCommitV8.api,
      this.groupId,
      identity.generation,
      identity.memberId,
      null,
      [{ name: this.#stream, partitions }],
    )
    for (const topic of answer.topics)
      for (const { errorCode } of topic.partitions) this.#cluster.check(errorCode)
  }
}

/**
 * The name of the Kafka group of a group of a stream: `<group>@<stream>`. Every stream has its own, so that a member of
 * one stream's group never waits for a member of another's. No name of either contains an '@'.
 */
function groupIdOf(stream: string, group: string): string {
  return group + groupSuffix(stream)
}

/** What the names of a stream's groups end with. */
export function groupSuffix(stream: string): string {
  return `@${stream}`
}
