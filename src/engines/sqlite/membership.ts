// One member of a consumer group, as its owner sees it. The storage thread says what changes; the owner is told of one
// change after the other.
import { asError, type SpillwayError } from '../../core/errors.ts'
import type { CommitResult, JoinOptions, Membership, PartitionPosition } from '../../ports/stream.ts'
import { checkWhole, longestTimerMs } from './range.ts'
import type { Storage } from './storage.ts'
import type { MemberNotice, WriteOperation } from './wire.ts'

export class SqliteMembership implements Membership {
  readonly #storage: Storage
  readonly #id: number
  readonly #options: JoinOptions
  readonly #onLeft: () => void
  /** The generation of each partition that the owner has. */
  readonly #held = new Map<number, number>()
  /** What was lost, while the owner is still to be told. */
  readonly #gone = new Set<number>()
  /** The last call of the owner's callbacks, which never overlap. */
  #calls: Promise<void> = Promise.resolve()
  #left: Promise<void> | undefined
  #failed = false

  constructor(storage: Storage, id: number, options: JoinOptions, onLeft: () => void) {
    this.#storage = storage
    this.#id = id
    this.#options = options
    this.#onLeft = onLeft
  }

  notice(notice: MemberNotice): void {
    if (notice.change === 'revoked' && notice.lost)
      for (const partition of notice.partitions) this.#gone.add(partition)
    this.#calls = this.#calls.then(() => this.#tell(notice)).catch((thrown) => this.fail(asError(thrown)))
  }

  async #tell(notice: MemberNotice): Promise<void> {
    if (this.#left !== undefined || this.#failed) return
    if (notice.change === 'assigned') {
      const { partitions, generations, committed } = notice
      for (const [index, partition] of partitions.entries()) this.#held.set(partition, generations[index]!)
      this.#options.assigned(
        partitions.map((partition, index) => ({ partition, position: committed[index]! })),
      )
      return
    }
    // Asked to give up what is lost by now, because this process did not hear of it in time: then it is lost. Whoever
    // was asked in time, and took too long, is not told again.
    const held = notice.partitions.filter((partition) => this.#held.has(partition))
    const lost = held.filter((partition) => notice.lost || this.#gone.has(partition))
    const asked = held.filter((partition) => !lost.includes(partition))
    if (notice.lost) for (const partition of notice.partitions) this.#gone.delete(partition)
    for (const partition of lost) this.#held.delete(partition)
    const generations = asked.map((partition) => this.#held.get(partition)!)
    if (lost.length > 0) await this.#revoke(lost, true)
    if (asked.length > 0) await this.#revoke(asked, false)
    for (const partition of asked) this.#held.delete(partition)
    // If these are lost on their way, the others wait until the time for giving up is over, and the storage thread
    // brings the member back with one of the next heartbeats.
    if (asked.length > 0)
      await this.#tellStorage({ kind: 'givenUp', member: this.#id, partitions: asked, generations })
    if (notice.lost) await this.#tellStorage({ kind: 'rejoin', member: this.#id })
  }

  /** A rejection counts as given back: what the owner could not finish, others do. */
  async #revoke(partitions: readonly number[], lost: boolean): Promise<void> {
    try {
      await this.#options.revoked(partitions, lost)
    } catch {}
  }

  async commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    if (positions.length === 0) return []
    for (const { position } of positions) checkWhole(position, 0, 'position')
    const results = await this.#storage.ask({
      kind: 'commit',
      member: this.#id,
      positions: positions.flatMap(({ partition, position }) => [
        partition,
        this.#held.get(partition) ?? -1,
        position,
      ]),
    })
    return results.map((result) => (result === 1 ? 'committed' : 'stale'))
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  async #leave(): Promise<void> {
    this.#storage.hold()
    try {
      const told = this.#calls.then(async () => {
        const partitions = [...this.#held.keys()]
        if (partitions.length > 0) await this.#revoke(partitions, false)
      })
      await withinMs(
        told.catch(() => {}),
        this.#options.sessionMs,
      )
      await this.#end()
    } finally {
      this.#onLeft()
      this.#storage.release()
    }
  }

  /** Ends the membership without a further callback. */
  close(): Promise<void> {
    this.#left ??= this.#end()
    return this.#left
  }

  async #end(): Promise<void> {
    this.#held.clear()
    // If this is lost, the others wait until its session is over.
    await this.#tellStorage({ kind: 'leave', member: this.#id })
  }

  async #tellStorage(operation: WriteOperation): Promise<void> {
    try {
      await this.#storage.ask(operation)
    } catch {}
  }

  fail(error: Error | SpillwayError): void {
    if (this.#failed || this.#left !== undefined) return
    this.#failed = true
    this.#held.clear()
    this.#onLeft()
    this.#options.failed(error)
  }
}

async function withinMs(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(ms, longestTimerMs))
  })
  await Promise.race([promise, over])
  clearTimeout(timer)
}
