// How the partitions of a group are shared out: even, and moving as few as possible. Decides only; groups.ts writes.

export interface PartitionState {
  readonly partition: number
  readonly member: number | null
  /** Until when its member may take to give it up; null while it is not asked to. */
  readonly revokeBy: number | null
}

export interface Change {
  readonly partition: number
  /** 'free': nobody's now. 'revoke': its member is asked to give it up. 'give': it is `member`'s from now on. */
  readonly act: 'free' | 'revoke' | 'give'
  readonly member: number | null
}

/**
 * Every member keeps what it has up to its share; what is above is revoked, and given to others only when its member
 * has given it up, is gone, or had its time. `members` are the live ones, in the order in which they joined.
 */
export function shareOut(
  partitions: readonly PartitionState[],
  members: readonly number[],
  now: number,
): Change[] {
  const changes: Change[] = []
  const held = new Map<number, number[]>(members.map((member) => [member, []]))
  const free: number[] = []
  for (const { partition, member, revokeBy } of partitions) {
    const owned = member === null ? undefined : held.get(member)
    if (owned !== undefined && revokeBy === null) owned.push(partition)
    else if (owned === undefined || revokeBy! <= now) {
      if (member !== null) changes.push({ partition, act: 'free', member })
      free.push(partition)
    }
  }
  if (members.length === 0) return changes
  const share = Math.floor(partitions.length / members.length)
  let larger = partitions.length % members.length
  // Those who have most get the larger shares, so that the fewest partitions move.
  const order = [...held].sort((a, b) => b[1].length - a[1].length)
  for (const [member, owned] of order) {
    const quota = larger-- > 0 ? share + 1 : share
    for (const partition of owned.splice(quota)) changes.push({ partition, act: 'revoke', member })
    while (owned.length < quota && free.length > 0) {
      const partition = free.shift()!
      owned.push(partition)
      changes.push({ partition, act: 'give', member })
    }
  }
  return changes
}
