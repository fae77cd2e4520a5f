// A member of a consumer group as the cases see it.
import assert from 'node:assert/strict'
import type {
  CommitResult,
  CommittedPosition,
  Membership,
  PartitionPosition,
  StreamPort,
} from '../../../ports/stream.ts'
import { eventually, within } from '../wait.ts'
import type { GroupBench } from './bench.ts'
import type { Ledger } from './ledger.ts'

export interface MemberOptions {
  /** What the member does before it gives partitions back. */
  readonly draining?: (partitions: readonly number[], member: Member) => Promise<void>
  /** It is known to hold on for too long: that others get its partitions is no breach. */
  readonly forfeits?: boolean
  /** Its `revoked` rejects once it has drained. */
  readonly rejects?: boolean
  readonly sessionMs?: number
}

let members = 0

export class Member {
  readonly name: string = `member ${++members}`
  readonly forfeits: boolean
  /** What it holds, with the position that came with the assignment. */
  readonly held: Map<number, number | null> = new Map()
  /** What it is about to give back. */
  readonly draining: Set<number> = new Set()
  /** Every revocation, in order. */
  readonly revocations: { readonly partitions: readonly number[]; readonly lost: boolean }[] = []
  readonly #ledger: Ledger
  readonly #options: MemberOptions
  #busy = false
  #joined = false
  #membership: Membership | undefined

  private constructor(ledger: Ledger, options: MemberOptions) {
    this.#ledger = ledger
    this.#options = options
    this.forfeits = options.forfeits ?? false
  }

  static async join(bench: GroupBench, port: StreamPort, options: MemberOptions = {}): Promise<Member> {
    const member = new Member(bench.ledger, options)
    const joining = port.join(bench.stream, bench.group, {
      sessionMs: options.sessionMs ?? bench.sessionMs,
      assigned: (partitions) => member.#assigned(partitions),
      revoked: (partitions, lost) => member.#revoked(partitions, lost),
      failed: (error) => member.#ledger.breach(`${member.name} failed: ${error.message}`),
    })
    const told = joining.then((membership) => {
      member.#joined = true
      return membership
    })
    member.#membership = await within(bench.patienceMs, 'joining', told)
    return member
  }

  /** The numbers of the partitions it holds, ascending. */
  partitions(): number[] {
    return [...this.held.keys()].sort((a, b) => a - b)
  }

  commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    return this.#membership!.commit(positions)
  }

  async leave(): Promise<void> {
    await this.#membership!.leave()
  }

  #assigned(partitions: readonly CommittedPosition[]): void {
    if (!this.#joined) this.#ledger.breach(`${this.name}: assigned before join had resolved`)
    if (this.#busy) this.#ledger.breach(`${this.name}: assigned while revoked was under way`)
    for (const { partition, position } of partitions) {
      if (this.held.has(partition)) this.#ledger.breach(`${this.name} was assigned ${partition} twice`)
      this.#ledger.take(partition, this)
      this.held.set(partition, position)
    }
  }

  async #revoked(partitions: readonly number[], lost: boolean): Promise<void> {
    if (this.#busy) this.#ledger.breach(`${this.name}: revoked while revoked was under way`)
    this.#busy = true
    for (const partition of partitions)
      if (!this.held.has(partition))
        this.#ledger.breach(`${this.name} was to give back ${partition}, which it does not hold`)
    this.revocations.push({ partitions: [...partitions], lost })
    for (const partition of partitions) this.draining.add(partition)
    try {
      await this.#options.draining?.(partitions, this)
    } catch (error) {
      this.#ledger.breach(`${this.name}: draining failed: ${String(error)}`)
    }
    for (const partition of partitions) {
      this.held.delete(partition)
      this.draining.delete(partition)
      this.#ledger.give(partition, this)
    }
    this.#busy = false
    if (this.#options.rejects) throw new Error('this revoked rejects, as it was made to')
  }
}

/** Waits until the members hold all partitions between them, in even shares. */
export async function balanced(bench: GroupBench, list: readonly Member[]): Promise<void> {
  await eventually(
    `${list.length} members share ${bench.partitions} partitions`,
    () => {
      const held = list.flatMap((member) => member.partitions()).sort((a, b) => a - b)
      assert.deepEqual(held, [...Array(bench.partitions).keys()], 'all partitions, each once')
      const shares = list.map((member) => member.held.size)
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `even shares: ${shares.join(', ')}`)
    },
    bench.patienceMs,
  )
}

/** Ends a case: everyone leaves, and nothing was called that must not be. */
export async function dismiss(bench: GroupBench, list: readonly Member[]): Promise<void> {
  await within(2 * bench.patienceMs, 'leaving', Promise.all(list.map((member) => member.leave())))
  bench.ledger.check()
}
