// The roster of a consumer group: who is in it, and who has which partition. Every change leaves it arranged: even shares
// that differ by at most one, moving as few partitions as possible. All of it is computing; storing it is elsewhere.

export interface RosterMember {
  readonly id: string
  /** How long it may be silent. */
  readonly sessionMs: number
}

export interface Share {
  readonly owner: string | null
  /** Raised each time the partition is given away. */
  readonly epoch: number
  /** Its owner is to give it back. Not taken back once begun. */
  readonly revoking: boolean
}

export interface Roster {
  /** In the order of joining. */
  readonly members: readonly RosterMember[]
  /** By partition. */
  readonly shares: readonly Share[]
}

export function emptyRoster(partitions: number): Roster {
  return {
    members: [],
    shares: Array.from({ length: partitions }, () => ({ owner: null, epoch: 0, revoking: false })),
  }
}

/** Undefined when the member is in it already. */
export function enter(roster: Roster, member: RosterMember): Roster | undefined {
  if (roster.members.some(({ id }) => id === member.id)) return undefined
  return arrange({ ...roster, members: [...roster.members, member] })
}

/** Undefined when none of the members is in it. */
export function exit(roster: Roster, ids: readonly string[]): Roster | undefined {
  const members = roster.members.filter(({ id }) => !ids.includes(id))
  return members.length === roster.members.length ? undefined : arrange({ ...roster, members })
}

/** Undefined when the member has none of the partitions in the epoch given. */
export function release(roster: Roster, id: string, given: ReadonlyMap<number, number>): Roster | undefined {
  let changed = false
  const shares = roster.shares.map((share, partition) => {
    if (share.owner !== id || share.epoch !== given.get(partition)) return share
    changed = true
    return { ...share, owner: null, revoking: false }
  })
  return changed ? arrange({ ...roster, shares }) : undefined
}

function arrange({ members, shares }: Roster): Roster {
  const kept = new Map<string, number[]>(members.map(({ id }) => [id, []]))
  const arranged = shares.map((share) =>
    share.owner === null || kept.has(share.owner) ? share : { ...share, owner: null, revoking: false },
  )
  const free: number[] = []
  for (const [partition, { owner, revoking }] of arranged.entries())
    if (owner === null) free.push(partition)
    else if (!revoking) kept.get(owner)!.push(partition)
  const fair = Math.floor(shares.length / Math.max(members.length, 1))
  const larger = members.length === 0 ? 0 : shares.length % members.length
  // The larger shares go to those who have most already. The sort is stable.
  const byShare = [...kept].sort(([, a], [, b]) => b.length - a.length)
  for (const [place, [id, has]] of byShare.entries()) {
    const due = fair + (place < larger ? 1 : 0)
    for (const partition of has.slice(due)) arranged[partition] = { ...arranged[partition]!, revoking: true }
    for (const partition of free.splice(0, due - Math.min(has.length, due)))
      arranged[partition] = { owner: id, epoch: arranged[partition]!.epoch + 1, revoking: false }
  }
  return { members, shares: arranged }
}
