// Who gets which partitions: even shares, and as few moves as possible. In two steps, so that no partition is ever in
// two hands: what moves is left out at first; when its holder has let go of it, it is given to the other one.

export interface Claimant {
  readonly memberId: string
  /** What it holds, and since which generation: of two that claim the same, the later one is right. */
  readonly held: readonly number[]
  readonly generation: number
}

export function assign(
  partitions: number,
  claimants: readonly Claimant[],
): ReadonlyMap<string, readonly number[]> {
  const members = [...claimants].sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const holders = holdersOf(partitions, members)
  const held = new Map(members.map(({ memberId }): [string, number[]] => [memberId, []]))
  for (const [partition, holder] of holders) held.get(holder)!.push(partition)

  const least = Math.floor(partitions / members.length)
  let larger = partitions % members.length
  const shares = new Map<string, number[]>()
  const room: { readonly memberId: string; readonly size: number }[] = []
  const byHolding = [...held].sort(([, a], [, b]) => b.length - a.length)
  for (const [memberId, mine] of byHolding) {
    // The larger shares go to those who hold most already.
    const size = larger > 0 ? least + 1 : least
    if (larger > 0) larger--
    shares.set(memberId, mine.slice(0, size))
    room.push({ memberId, size })
  }
  const kept = new Set([...shares.values()].flat())
  const free = Array.from({ length: partitions }, (_, partition) => partition).filter(
    (partition) => !kept.has(partition),
  )
  for (const { memberId, size } of room) {
    const share = shares.get(memberId)!
    // Held by somebody else still: it comes in the next round.
    for (const partition of free.splice(0, size - share.length))
      if (!holders.has(partition)) share.push(partition)
  }
  return shares
}

/** By partition; those that several claim belong to the latest generation, or to nobody when that is no answer. */
function holdersOf(partitions: number, members: readonly Claimant[]): Map<number, string> {
  const best = new Map<number, { generation: number; memberId: string | undefined }>()
  for (const { memberId, held, generation } of members)
    for (const partition of held) {
      if (partition >= partitions) continue
      const other = best.get(partition)
      if (other === undefined || generation > other.generation) best.set(partition, { generation, memberId })
      else if (generation === other.generation) other.memberId = undefined
    }
  const holders = new Map<number, string>()
  for (const [partition, { memberId }] of best) if (memberId !== undefined) holders.set(partition, memberId)
  return holders
}
