// One round of a group: JoinGroup, in which all members say what they hold, and SyncGroup, in which the one that leads
// the round has said what all shall hold. Both wait for the slowest member, so they have a link of their own.
import type { Buffer } from 'node:buffer'
import { assign } from './assignment.ts'
import type { Cluster } from './cluster.ts'
import type { Identity } from './coordinator.ts'
import type { Link } from './link.ts'

const protocolType = 'consumer'
const protocolName = 'cooperative-sticky'

export interface RoundMember extends Identity {
  readonly groupId: string
  readonly stream: string
  readonly sessionMs: number
  readonly held: readonly number[]
  /** The coordinator gave this id; it counts from now on, also when the round fails. */
  named(memberId: string): void
  /** All members have joined, this one among them. */
  joined(): void
}

export interface RoundResult {
  readonly generation: number
  readonly assigned: readonly number[]
  /** Whether this member led it. */
  readonly led: boolean
}

/** Throws the Fault with which the coordinator refused. */
export async function playRound(
  cluster: Cluster,
  link: Link,
  partitions: number,
  member: RoundMember,
): Promise<RoundResult> {
  const { client } = cluster
  const { groupId, stream } = member
  let joined = await join(cluster, link, member, member.memberId)
  if (joined.errorCode !== 0 && cluster.fault(joined.errorCode).id === 'MEMBER_ID_REQUIRED') {
    member.named(joined.memberId)
    joined = await join(cluster, link, member, joined.memberId)
  }
  cluster.check(joined.errorCode)
  const { memberId, generationId } = joined
  member.named(memberId)
  member.joined()
  const led = joined.leader === memberId
  const synced = await link.call(
    client.syncGroupV5.api,
    groupId,
    generationId,
    memberId,
    null,
    protocolType,
    protocolName,
    led ? divide(cluster, stream, partitions, joined.members) : [],
  )
  cluster.check(synced.errorCode)
  const { assignedPartitions } = client.decodeConsumerProtocolAssignment(synced.assignment)
  return { generation: generationId, assigned: ofStream(stream, assignedPartitions), led }
}

function join(cluster: Cluster, link: Link, member: RoundMember, memberId: string) {
  const { groupId, stream, sessionMs, held, generation } = member
  const metadata = cluster.client.encodeConsumerProtocolSubscription({
    version: 2,
    topics: [stream],
    ownedPartitions: [{ topic: stream, partitions: [...held] }],
    generationId: generation,
  })
  const protocols = [{ name: protocolName, metadata }]
  const waitMs = rebalanceMs(sessionMs)
  const { joinGroupV7 } = cluster.client
  return link.call(joinGroupV7.api, groupId, sessionMs, waitMs, memberId, null, protocolType, protocols)
}

/** As the leader: who gets what. */
function divide(
  { client }: Cluster,
  stream: string,
  partitions: number,
  members: readonly { readonly memberId: string; readonly metadata: Buffer }[],
) {
  const claimants = members.map(({ memberId, metadata }) => {
    const { ownedPartitions, generationId } = client.decodeConsumerProtocolSubscription(metadata)
    return { memberId, held: ofStream(stream, ownedPartitions), generation: generationId }
  })
  return [...assign(partitions, claimants)].map(([memberId, share]) => ({
    memberId,
    assignment: client.encodeConsumerProtocolAssignment({
      version: 1,
      assignedPartitions: [{ topic: stream, partitions: [...share] }],
    }),
  }))
}

function ofStream(
  stream: string,
  list: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): number[] {
  return list.filter(({ topic }) => topic === stream).flatMap(({ partitions }) => partitions)
}

/** How long the coordinator waits for members to join a round: one of them may be waiting for its handlers. */
export function rebalanceMs(sessionMs: number): number {
  return 2 * sessionMs + 5000
}
