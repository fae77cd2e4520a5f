// Which member of a consumer group gets which partitions: even shares that differ by at most one, moving as few as possible.

export interface PartitionState {
  readonly partition: number
  /** Who has it; undefined while nobody does. */
  readonly member: string | undefined
  /** Its member was told to give it back. */
  readonly revoking: boolean
}

export interface Plan {
  /** Free partitions that get a member. */
  readonly give: readonly { readonly partition: number; readonly member: string }[]
  /** Partitions that their members must give back, to be given on when they have. */
  readonly revoke: readonly number[]
}

/** `members`: those alive, in the order of joining. A revocation once begun is not taken back. */
export function plan(members: readonly string[], partitions: readonly PartitionState[]): Plan {
  const kept = new Map<string, number[]>(members.map((member) => [member, []]))
  const free: number[] = []
  for (const { partition, member, revoking } of partitions) {
    if (member === undefined) free.push(partition)
    else if (!revoking) kept.get(member)?.push(partition)
  }
  const give: { partition: number; member: string }[] = []
  const revoke: number[] = []
  const base = Math.floor(partitions.length / members.length)
  const extra = partitions.length % members.length
  // Who has most keeps most: the larger shares go to those that need to give back least. The sort is stable.
  const byShare = [...members].sort((a, b) => kept.get(b)!.length - kept.get(a)!.length)
  byShare.forEach((member, place) => {
    const share = base + (place < extra ? 1 : 0)
    const has = kept.get(member)!
    revoke.push(...has.slice(share))
    for (let missing = share - has.length; missing > 0 && free.length > 0; missing--)
      give.push({ partition: free.shift()!, member })
  })
  return { give, revoke }
}
