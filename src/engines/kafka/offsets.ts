// Where partitions begin and end, and which position a time has: from the leaders.
import type { PartitionBounds, PartitionPosition } from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'

const earliest = -2n
const latest = -1n
/** As reading does: not past the first record of a transaction that is still open. */
const committedOnly = 1

export class Offsets {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  async bounds(stream: string, only?: readonly number[]): Promise<PartitionBounds[]> {
    const [first, next] = await Promise.all([
      this.#list(stream, earliest, only),
      this.#list(stream, latest, only),
    ])
    return first.map(({ partition, position }, index) => {
      return { partition, earliest: position, next: Math.max(next[index]!.position, position) }
    })
  }

  async positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    const found = await this.#list(stream, BigInt(Math.max(0, Math.ceil(time))))
    if (found.every(({ position }) => position >= 0)) return found
    const next = await this.#list(stream, latest)
    return found.map((it, index) => (it.position >= 0 ? it : next[index]!))
  }

  /** In the order of partitions; -1 where no record has the time. */
  async #list(stream: string, time: bigint, only?: readonly number[]): Promise<PartitionPosition[]> {
    const topic = await this.#cluster.topic(stream)
    const found = new Map<number, number>()
    const wanted = only ?? [...topic.leaders.keys()]
    await this.#cluster.persist(async (last) => {
      if (last !== undefined) await this.#cluster.refresh(stream)
      const open = wanted.filter((partition) => !found.has(partition))
      const byNode = Map.groupBy(open, (partition) => this.#cluster.leader(stream, partition))
      await Promise.all(
        [...byNode].map(([node, partitions]) => this.#ask(stream, node, partitions, time, found)),
      )
    })
    return wanted.map((partition) => ({ partition, position: found.get(partition) ?? -1 }))
  }

  async #ask(
    stream: string,
    node: number,
    partitions: readonly number[],
    time: bigint,
    found: Map<number, number>,
  ): Promise<void> {
    const link = await this.#cluster.link('control', node)
    const asked = partitions.map((partitionIndex) => {
      return { partitionIndex, currentLeaderEpoch: -1, timestamp: time }
    })
    const answer = await link.call(this.#cluster.client.listOffsetsV7.api, -1, committedOnly, [
      { name: stream, partitions: asked },
    ])
    let code = 0
    for (const topic of answer.topics)
      for (const { partitionIndex, errorCode, offset } of topic.partitions) {
        if (errorCode === 0) found.set(partitionIndex, Number(offset))
        else code = errorCode
      }
    this.#cluster.check(code)
  }
}
