// A consumer group in memory: who holds which partition, and the positions committed. After every change, on the next
// turn of the event loop, one pass asks for what must move and gives out what is free; a partition is free only when
// its holder has given it back.
import { setImmediate as nextTurn } from 'node:timers'
import type { Clock } from '../../core/clock.ts'
import { asError } from '../../core/errors.ts'
import type { CommitResult, JoinOptions, PartitionPosition } from '../../ports/stream.ts'
import { GroupMember, type MemberHome } from './member.ts'
import { shares } from './shares.ts'

export class Group implements MemberHome {
  readonly clock: Clock
  readonly #members = new Set<GroupMember>()
  readonly #holders: (GroupMember | undefined)[]
  readonly #committed: (number | null)[]
  #balancing = false

  constructor(partitions: number, clock: Clock) {
    this.clock = clock
    this.#holders = Array.from({ length: partitions }, () => undefined)
    this.#committed = Array.from({ length: partitions }, () => null)
  }

  get committed(): readonly (number | null)[] {
    return this.#committed
  }

  join(options: JoinOptions): GroupMember {
    const member = new GroupMember(this, options)
    this.#members.add(member)
    this.changed()
    return member
  }

  commit(member: GroupMember, { partition, position }: PartitionPosition): CommitResult {
    if (this.#holders[partition] !== member) return 'stale'
    this.#committed[partition] = position
    return 'committed'
  }

  /**
   * Balances soon, on a turn of its own: `join` has resolved by then, changes that come together are balanced once, and no
   * callback runs inside another.
   */
  changed(): void {
    if (this.#balancing) return
    this.#balancing = true
    nextTurn(() => {
      this.#balancing = false
      this.#balance()
    })
  }

  free(member: GroupMember, partitions: readonly number[]): void {
    for (const partition of partitions)
      if (this.#holders[partition] === member) this.#holders[partition] = undefined
    this.changed()
  }

  remove(member: GroupMember): void {
    this.#members.delete(member)
    this.free(member, [...this.#holders.keys()])
  }

  #balance(): void {
    const staying = [...this.#members].filter((member) => !member.leaving)
    const kept = this.#kept()
    const share = this.#shares(staying, kept)
    for (const [member, partitions] of kept) {
      if (member.leaving && (member.late || !this.#holders.includes(member))) member.end()
      else {
        const surplus = partitions.slice(share.get(member) ?? 0)
        if (surplus.length > 0 && !member.busy) member.revoke(surplus)
      }
    }
    this.#giveOut(staying, kept, share)
  }

  /** What each member has and is not giving back, ascending. */
  #kept(): Map<GroupMember, number[]> {
    const kept = new Map<GroupMember, number[]>([...this.#members].map((member) => [member, []]))
    for (const [partition, member] of this.#holders.entries())
      if (member !== undefined && !member.isGiving(partition)) kept.get(member)!.push(partition)
    return kept
  }

  #shares(staying: readonly GroupMember[], kept: Kept): Map<GroupMember, number> {
    const counts = shares(
      this.#holders.length,
      staying.map((member) => ({ kept: kept.get(member)!.length, late: member.late })),
    )
    return new Map(staying.map((member, index) => [member, counts[index]!]))
  }

  #giveOut(staying: readonly GroupMember[], kept: Kept, share: ReadonlyMap<GroupMember, number>): void {
    const free = [...this.#holders.keys()].filter((partition) => this.#holders[partition] === undefined)
    for (const member of staying) {
      if (member.busy) continue
      const room = Math.max(share.get(member)! - kept.get(member)!.length, 0)
      const partitions = free.splice(0, room)
      if (partitions.length === 0) continue
      for (const partition of partitions) this.#holders[partition] = member
      try {
        member.assign(partitions.map((partition) => ({ partition, position: this.#committed[partition]! })))
      } catch (thrown) {
        // It does not know what it holds: others shall have it.
        member.fail(asError(thrown))
      }
    }
  }
}

type Kept = ReadonlyMap<GroupMember, readonly number[]>
