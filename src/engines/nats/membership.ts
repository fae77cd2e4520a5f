// One member of a consumer group, as its process sees it: its beats, and the callbacks one after another, bringing what
// the process holds to what the roster says.
import { systemClock } from '../../core/clock.ts'
import { isSpillwayError } from '../../core/errors.ts'
import { newId } from '../../core/id.ts'
import type { CommitResult, JoinOptions, Membership, PartitionPosition } from '../../ports/stream.ts'
import { enter, exit, type Roster, release, type Share } from './assignment.ts'
import { closedError, Fault, translate } from './errors.ts'
import type { Link } from './link.ts'
import { requirePartition, requireWhole } from './options.ts'
import { Pulse } from './pulse.ts'
import type { HeldPartition, RosterStore, StoredRoster } from './roster-store.ts'

/** Between beats at most, so that what was not heard is noticed soon. */
const maxBeatMs = 2_000

export class NatsMembership implements Membership {
  readonly #store: RosterStore
  readonly #link: Link
  readonly #options: JoinOptions
  readonly #left: () => void
  readonly #id = newId()
  readonly #pulse: Pulse
  /** What the callbacks have been told. */
  readonly #held = new Map<number, HeldPartition>()
  /** What the roster said last that is ours. */
  #told = new Map<number, Share>()
  #known: StoredRoster | undefined
  #changed = false
  #refreshing: Promise<void> | undefined
  #refreshAgain = false
  #reconciling: Promise<void> | undefined
  #commits: Promise<unknown> = Promise.resolve()
  #cancelExpiry = (): void => {}
  #leaving: Promise<void> | undefined
  /** Nothing is assigned or revoked any more. */
  #draining = false
  #closed = false

  constructor(store: RosterStore, link: Link, beats: string, options: JoinOptions, left: () => void) {
    this.#store = store
    this.#link = link
    this.#options = options
    this.#left = left
    this.#pulse = new Pulse(link, beats, this.#id, Math.min(options.sessionMs / 4, maxBeatMs), {
      newer: () => void this.#refresh(),
      echo: (sentAt) => this.#alive(sentAt),
    })
  }

  /** Resolves when the group knows the member. */
  async start(): Promise<void> {
    try {
      const entered = await this.#enter()
      // The caller gets the membership before the first callback.
      setImmediate(() => this.#learn(entered))
    } catch (thrown) {
      this.#pulse.close()
      this.#left()
      throw thrown
    }
  }

  commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    if (this.#closed) return Promise.reject(closedError())
    try {
      for (const { partition, position } of positions) {
        requirePartition(this.#store.stream.name, partition, this.#store.stream.partitions)
        requireWhole('position', position, 0)
      }
    } catch (thrown) {
      return Promise.reject(thrown)
    }
    // One after another: of two commits of a partition the later call must win.
    const result = this.#commits.then(() => this.#commit(positions))
    this.#commits = result.catch(() => {})
    return result
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  /** Ends at once: nobody is called back any more, and the partitions are free. */
  async close(): Promise<void> {
    this.#closed = true
    this.#leaving ??= this.#exit()
    await this.#leaving
  }

  async #commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    const last = new Map(positions.map(({ partition, position }) => [partition, position]))
    const results = new Map<number, CommitResult>()
    await Promise.all(
      [...last].map(async ([partition, position]) => {
        const held = this.#held.get(partition)
        results.set(partition, held === undefined ? 'stale' : await this.#store.commit(held, position))
      }),
    ).catch((thrown) => {
      throw translate(thrown, 'storing positions')
    })
    const stale = [...results].some(([partition, result]) => result === 'stale' && this.#held.has(partition))
    if (stale) void this.#refresh()
    return positions.map(({ partition }) => results.get(partition)!)
  }

  async #leave(): Promise<void> {
    this.#draining = true
    await this.#reconciling
    const partitions = [...this.#held.keys()]
    // The heart goes on meanwhile: what is held must not be taken before it is given back.
    if (partitions.length > 0 && !this.#closed) await this.#revoke(partitions, false)
    await this.#exit()
  }

  async #exit(): Promise<void> {
    this.#draining = true
    this.#cancelExpiry()
    if (!this.#closed) await this.#commits
    this.#held.clear()
    // Where the server is away, the session ends by itself.
    const left = this.#link.up ? await this.#update((roster) => exit(roster, [this.#id])) : undefined
    if (left !== undefined) this.#pulse.beat(left.revision)
    this.#pulse.close()
    this.#left()
  }

  async #enter(): Promise<StoredRoster> {
    const { sessionMs } = this.#options
    const entered = await this.#store.update((roster) => enter(roster, { id: this.#id, sessionMs }))
    this.#pulse.beat(entered.revision)
    return entered
  }

  /** What was sent at that time has been heard by all: the session goes on from there, and silence up to there counts. */
  #alive(sentAt: number): void {
    if (this.#draining) return
    this.#cancelExpiry()
    const rest = sentAt + this.#options.sessionMs - performance.now()
    // Unheard for a session, the member counts as dead by its own clock too: others may have its partitions.
    this.#cancelExpiry = systemClock.after(rest, () => this.#tell(new Map()))
    if (this.#told.size === 0) void this.#refresh()
    const dead = this.#pulse.silent(this.#known?.roster.members ?? [], sentAt)
    if (dead.length > 0)
      void this.#update((roster) => exit(roster, dead)).then((found) => found && this.#learn(found))
  }

  /** Reads the roster; once more if it was asked for meanwhile. */
  #refresh(): Promise<void> {
    if (this.#refreshing !== undefined) this.#refreshAgain = true
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined
      if (!this.#refreshAgain) return
      this.#refreshAgain = false
      void this.#refresh()
    })
    return this.#refreshing
  }

  async #read(): Promise<void> {
    if (this.#draining) return
    try {
      this.#learn(await this.#store.read())
    } catch (thrown) {
      this.#judge(thrown)
    }
  }

  #learn(found: StoredRoster): void {
    if (this.#draining) return
    if (this.#known !== undefined && found.revision < this.#known.revision) return
    const news = found.revision !== this.#known?.revision
    this.#known = found
    if (news) this.#pulse.beat(found.revision)
    if (!found.roster.members.some(({ id }) => id === this.#id))
      void this.#enter().then(
        (entered) => this.#learn(entered),
        (thrown) => this.#judge(thrown),
      )
    const ours = [...found.roster.shares.entries()].filter(([, { owner }]) => owner === this.#id)
    this.#tell(new Map(ours))
  }

  #tell(shares: Map<number, Share>): void {
    this.#told = shares
    this.#changed = true
    if (!this.#draining) this.#reconciling ??= this.#reconcile()
  }

  async #reconcile(): Promise<void> {
    try {
      while (this.#changed && !this.#draining) {
        this.#changed = false
        await this.#lose()
        await this.#giveBack()
        await this.#gain()
      }
    } catch (thrown) {
      this.#judge(thrown)
    } finally {
      this.#reconciling = undefined
    }
  }

  async #lose(): Promise<void> {
    const lost = [...this.#held.values()].filter(
      ({ partition, epoch }) => this.#told.get(partition)?.epoch !== epoch,
    )
    for (const { partition } of lost) this.#held.delete(partition)
    if (lost.length > 0)
      await this.#revoke(
        lost.map(({ partition }) => partition),
        true,
      )
  }

  async #giveBack(): Promise<void> {
    const revoking = [...this.#told].filter(([, { revoking }]) => revoking)
    if (revoking.length === 0) return
    const held = revoking.map(([partition]) => partition).filter((partition) => this.#held.has(partition))
    if (held.length > 0) await this.#revoke(held, false)
    await this.#commits
    for (const [partition] of revoking) this.#held.delete(partition)
    for (const [partition] of revoking) this.#told.delete(partition)
    const epochs = new Map(revoking.map(([partition, { epoch }]) => [partition, epoch]))
    const released = await this.#update((roster) => release(roster, this.#id, epochs))
    if (released !== undefined) this.#learn(released)
  }

  async #gain(): Promise<void> {
    const due = [...this.#told].filter(([partition, { revoking }]) => !revoking && !this.#held.has(partition))
    const acquired = await Promise.all(
      due.map(([partition, { epoch }]) => this.#store.acquire(partition, epoch)),
    )
    const gained = acquired.filter((held) => held !== undefined)
    // What changed while we asked comes with the next turn.
    if (gained.length === 0 || this.#draining || this.#changed) return
    for (const held of gained) this.#held.set(held.partition, held)
    this.#options.assigned(gained.map(({ partition, position }) => ({ partition, position })))
  }

  /** Waits for the callback as long as a session, not longer. */
  async #revoke(partitions: readonly number[], lost: boolean): Promise<void> {
    const bound = Promise.withResolvers<void>()
    const cancel = systemClock.after(this.#options.sessionMs, bound.resolve)
    const done = (async () => this.#options.revoked(partitions, lost))()
    await Promise.race([done.catch(() => {}), bound.promise])
    cancel()
  }

  /** Undefined when it did not work out: the next beat leads here again. */
  async #update(change: (roster: Roster) => Roster | undefined): Promise<StoredRoster | undefined> {
    try {
      return await this.#store.update(change)
    } catch (thrown) {
      this.#judge(thrown)
      return undefined
    }
  }

  /** What passes by itself is tried again at the next beat. */
  #judge(thrown: unknown): void {
    const passing = thrown instanceof Fault ? thrown.passing : isSpillwayError(thrown) && thrown.retryable
    if (passing || this.#draining) return
    this.#draining = true
    this.#cancelExpiry()
    this.#held.clear()
    this.#pulse.close()
    this.#left()
    this.#options.failed(translate(thrown, 'keeping a membership'))
  }
}
