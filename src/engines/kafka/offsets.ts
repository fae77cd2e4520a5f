// Where partitions begin and end, and which position a time has: from the leaders.
import type { PartitionBounds, PartitionPosition } from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'
import { LastRecord } from './last-record.ts'
import { requireAtLeast } from './options.ts'

const earliest = -2n
const latest = -1n
/** How long the replicas may take to delete; if they take longer we ask again. */
const deleteMs = 4000
/** As reading does: not past the first record of a transaction that is still open. */
const committedOnly = 1

export class Offsets {
  readonly #cluster: Cluster
  readonly #lastRecord: LastRecord

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#lastRecord = new LastRecord(cluster)
  }

  /** Of all partitions that there are now; `next` is right behind the last record. */
  async bounds(stream: string): Promise<PartitionBounds[]> {
    const ranges = await this.range(stream, await this.#partitions(stream))
    const ends = ranges.map((range) => this.#lastRecord.end(stream, range))
    return (await Promise.all(ends)).map((next, index) => ({ ...ranges[index]!, next }))
  }

  /** Has the leaders delete what is below the positions. A position above the end stands for the end. */
  async trim(stream: string, below: readonly PartitionPosition[]): Promise<void> {
    const ranges = await this.range(
      stream,
      below.map(({ partition }) => partition),
    )
    const open = new Map<number, bigint>()
    for (const [index, { partition, position }] of below.entries()) {
      const { earliest, next } = ranges[index]!
      if (position > earliest) open.set(partition, BigInt(Math.min(position, next)))
    }
    await this.#cluster.persist(async (last) => {
      if (open.size === 0) return
      if (last !== undefined) await this.#cluster.refresh(stream)
      const byNode = Map.groupBy(open, ([partition]) => this.#cluster.leader(stream, partition))
      await Promise.all([...byNode].map(([node, parts]) => this.#delete(stream, node, parts, open)))
    })
  }

  async #delete(
    stream: string,
    node: number,
    parts: readonly (readonly [partition: number, offset: bigint])[],
    open: Map<number, bigint>,
  ): Promise<void> {
    const link = await this.#cluster.link('control', node)
    const partitions = parts.map(([partitionIndex, offset]) => ({ partitionIndex, offset }))
    const { deleteRecordsV2 } = this.#cluster.client
    const answer = await link.call(deleteRecordsV2.api, [{ name: stream, partitions }], deleteMs)
    let code = 0
    for (const topic of answer.topics)
      for (const { partitionIndex, errorCode } of topic.partitions) {
        if (errorCode === 0) open.delete(partitionIndex)
        else code = errorCode
      }
    this.#cluster.check(code)
  }

  /** What the broker says that can be read: at the end there may be positions without a record. */
  async range(stream: string, only: readonly number[]): Promise<PartitionBounds[]> {
    const [first, next] = await Promise.all([
      this.#list(stream, earliest, only),
      this.#list(stream, latest, only),
    ])
    return first.map(({ partition, position }, index) => {
      return { partition, earliest: position, next: Math.max(next[index]!.position, position) }
    })
  }

  async positionsAt(stream: string, time: number): Promise<PartitionPosition[]> {
    requireAtLeast('time', time, Number.NEGATIVE_INFINITY)
    const exact = BigInt(Math.min(Math.max(0, Math.ceil(time)), Number.MAX_SAFE_INTEGER))
    const found = await this.#list(stream, exact, await this.#partitions(stream))
    if (found.every(({ position }) => position >= 0)) return found
    const next = new Map((await this.bounds(stream)).map((bounds) => [bounds.partition, bounds.next]))
    return found.map(({ partition, position }) => ({
      partition,
      position: position >= 0 ? position : next.get(partition)!,
    }))
  }

  async #partitions(stream: string): Promise<number[]> {
    return [...(await this.#cluster.current(stream)).leaders.keys()]
  }

  /** In the order of partitions; -1 where no record has the time. */
  async #list(stream: string, time: bigint, wanted: readonly number[]): Promise<PartitionPosition[]> {
    const found = new Map<number, number>()
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
