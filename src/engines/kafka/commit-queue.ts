// The commits of a member: one request at a time, the newest position of each partition, so that an older one never
// overtakes. Whether a commit is stale is decided by what we hold and by the coordinator: its answer counts only for
// the generation that we take for the current one; while a round is under way we wait for its end and ask again.
import type { CommitResult, PartitionPosition } from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'
import type { Coordinator, Identity } from './coordinator.ts'
import { Fault } from './errors.ts'

/** A partition held: a new object every time it is assigned, so that a late commit knows that its time is over. */
export interface Hold {
  readonly partition: number
}

export interface CommitContext {
  hold(partition: number): Hold | undefined
  identity(): Identity
  /** Resolves at the end of the round under way; undefined when there is none. */
  settled(): Promise<void> | undefined
  /** The coordinator does not take us for a member any more. */
  refused(fault: Fault): void
}

interface Entry {
  readonly hold: Hold
  readonly position: number
  readonly result: PromiseWithResolvers<CommitResult>
}

export class CommitQueue {
  readonly #cluster: Cluster
  readonly #coordinator: Coordinator
  readonly #context: CommitContext
  #waiting: Entry[] = []
  #running = false

  constructor(cluster: Cluster, coordinator: Coordinator, context: CommitContext) {
    this.#cluster = cluster
    this.#coordinator = coordinator
    this.#context = context
  }

  async commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    const results = positions.map(({ partition, position }): Promise<CommitResult> | CommitResult => {
      const hold = this.#context.hold(partition)
      if (hold === undefined) return 'stale'
      const result = Promise.withResolvers<CommitResult>()
      this.#waiting.push({ hold, position, result })
      return result.promise
    })
    if (!this.#running) void this.#run()
    return await Promise.all(results)
  }

  async #run(): Promise<void> {
    this.#running = true
    await Promise.resolve() // the calls of this turn go together
    while (this.#waiting.length > 0) {
      const entries = this.#waiting
      this.#waiting = []
      try {
        await this.#cluster.persist((last) => this.#store(entries, last))
      } catch (thrown) {
        for (const { result } of entries) result.reject(thrown)
      }
    }
    this.#running = false
  }

  async #store(entries: readonly Entry[], last: Fault | undefined): Promise<void> {
    if (last !== undefined) this.#coordinator.forget()
    for (;;) {
      const held = entries.filter((entry) => {
        const same = this.#context.hold(entry.hold.partition) === entry.hold
        if (!same) entry.result.resolve('stale')
        return same
      })
      if (held.length === 0) return
      const newest = new Map(held.map(({ hold, position }) => [hold.partition, position]))
      const positions = [...newest].map(([partition, position]) => ({ partition, position }))
      const identity = this.#context.identity()
      try {
        await this.#coordinator.commit(identity, positions)
        for (const { result } of held) result.resolve('committed')
        return
      } catch (thrown) {
        if (!(thrown instanceof Fault && fencing.has(thrown.id))) throw thrown
        await this.#askAgain(identity, thrown)
      }
    }
  }

  /** The coordinator refused this generation: wait until we know better, or learn from it that we are no member. */
  async #askAgain(identity: Identity, fault: Fault): Promise<void> {
    const { memberId, generation } = this.#context.identity()
    const settled = this.#context.settled()
    if (settled !== undefined) await settled
    else if (memberId !== identity.memberId || generation !== identity.generation) return
    else if (fault.id === 'REBALANCE_IN_PROGRESS') await this.#cluster.pause(50)
    else this.#context.refused(fault)
  }
}

const fencing: ReadonlySet<string> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
])
