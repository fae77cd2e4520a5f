// How many partitions each member of a group gets: even shares that move as few partitions as can be.

export interface Holder {
  /** How many partitions the member has and is not already giving back. */
  readonly kept: number
  /** It has not given back in time what it was asked for: it takes no more for now, but keeps a share of what it has. */
  readonly late: boolean
}

/**
 * The share of each member, in the order of the members. Shares differ by at most one; the larger ones go to those
 * who hold most already, so that only what must move moves. Late members get no more than they have.
 */
export function shares(partitions: number, members: readonly Holder[]): number[] {
  const result = members.map(() => 0)
  const even = Math.ceil(partitions / members.length)
  let rest = partitions
  for (const [index, { kept, late }] of members.entries())
    if (late) {
      result[index] = Math.min(kept, even)
      rest -= result[index]
    }
  const ranked = [...members.keys()].filter((index) => !members[index]!.late)
  ranked.sort((a, b) => members[b]!.kept - members[a]!.kept)
  const base = Math.floor(rest / ranked.length)
  const larger = rest % ranked.length
  for (const [rank, index] of ranked.entries()) result[index] = rank < larger ? base + 1 : base
  return result
}
