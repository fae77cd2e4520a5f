// One member of a consumer group in memory: its callbacks, called one at a time, and where it stands with them.
import type { Clock } from '../../core/clock.ts'
import type {
  CommitResult,
  CommittedPosition,
  JoinOptions,
  Membership,
  PartitionPosition,
} from '../../ports/stream.ts'
import { checkOption, closedError } from './limits.ts'

/** What a member needs of its group. */
export interface MemberHome {
  readonly clock: Clock
  commit(member: GroupMember, position: PartitionPosition): CommitResult
  /** The member wants to leave. */
  changed(): void
  /** The member has given these back, or had its time for it. */
  free(member: GroupMember, partitions: readonly number[]): void
  /** The member is gone, and whatever it held is free. */
  remove(member: GroupMember): void
}

export class GroupMember implements Membership {
  readonly #home: MemberHome
  readonly #options: JoinOptions
  readonly #gone = Promise.withResolvers<void>()
  /** What it was asked to give back and has not. */
  #giving: ReadonlySet<number> = new Set()
  #revoking = false
  #late = false
  #leaving = false
  #closed = false
  #stopTimer = (): void => {}

  constructor(home: MemberHome, options: JoinOptions) {
    this.#home = home
    this.#options = options
  }

  /** Its `revoked` is under way: nothing else may be called. */
  get busy(): boolean {
    return this.#revoking
  }

  /** Its `revoked` is under way for longer than `sessionMs`: what it was asked for is not its own any more. */
  get late(): boolean {
    return this.#late
  }

  get leaving(): boolean {
    return this.#leaving
  }

  /** Resolves when it has left. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  isGiving(partition: number): boolean {
    return this.#giving.has(partition)
  }

  async commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    if (this.#closed) throw closedError()
    for (const { position } of positions) checkOption('position', position, 0, 'count')
    return positions.map((position) => this.#home.commit(this, position))
  }

  leave(): Promise<void> {
    this.#leaving = true
    this.#home.changed()
    return this.gone
  }

  /** Gone at once and without a callback: its engine was closed. */
  close(): void {
    this.#closed = true
    this.end()
  }

  /** Called when nothing is left to give back. */
  end(): void {
    this.#stopTimer()
    this.#home.remove(this)
    this.#gone.resolve()
  }

  assign(partitions: readonly CommittedPosition[]): void {
    this.#options.assigned(partitions)
  }

  fail(error: Error): void {
    this.end()
    this.#options.failed(error)
  }

  /** Calls `revoked`; the partitions are being given until its promise ends, in whatever way, or `sessionMs` are over. */
  revoke(partitions: readonly number[]): void {
    this.#revoking = true
    this.#giving = new Set(partitions)
    this.#stopTimer = this.#home.clock.after(this.#options.sessionMs, () => {
      this.#late = true
      this.#given(partitions)
    })
    const over = (): void => {
      this.#stopTimer()
      this.#revoking = false
      this.#late = false
      this.#given(partitions)
    }
    new Promise((resolve) => resolve(this.#options.revoked(partitions, false))).then(over, over)
  }

  #given(partitions: readonly number[]): void {
    this.#giving = new Set()
    this.#home.free(this, partitions)
  }
}
