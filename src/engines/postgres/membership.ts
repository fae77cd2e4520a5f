// One member of a consumer group, as its process sees it: heartbeats on their own, and the callbacks one after another,
// bringing what the process holds to what the database says.
import { backoff } from '../../core/backoff.ts'
import { systemClock } from '../../core/clock.ts'
import { asError, isSpillwayError } from '../../core/errors.ts'
import { newId } from '../../core/id.ts'
import type { CommitResult, JoinOptions, Membership, PartitionPosition } from '../../ports/stream.ts'
import { closed } from './errors.ts'
import { type GroupTable, groupTopic, type HeldPartition, type Member } from './group-table.ts'
import { checkOption } from './options.ts'
import type { Wake } from './wake.ts'

const again = { attempts: 1, initialMs: 50, maxMs: 2_000 }
/** Between heartbeats at most, so that what no notification told is noticed soon. */
const maxBeatMs = 3_000
const maxBeatUnheardMs = 500

export class PostgresMembership implements Membership {
  readonly #table: GroupTable
  readonly #wake: Wake
  readonly #member: Member
  readonly #options: JoinOptions
  readonly #left: () => void
  /** What the callbacks have been told. */
  readonly #held = new Map<number, HeldPartition>()
  /** What the database said last. */
  #told = new Map<number, HeldPartition>()
  #changed = false
  #reconciling: Promise<void> | undefined
  #commits: Promise<unknown> = Promise.resolve()
  #cancelExpiry = (): void => {}
  #arranging: Promise<void> | undefined
  #leaving: Promise<void> | undefined
  /** Nothing is assigned or revoked any more. */
  #draining = false
  #closed = false
  readonly #ending = new AbortController()
  #living: Promise<void> = Promise.resolve()

  constructor(table: GroupTable, wake: Wake, group: number, options: JoinOptions, left: () => void) {
    this.#table = table
    this.#wake = wake
    this.#member = { group, id: newId(), sessionMs: Math.round(options.sessionMs) }
    this.#options = options
    this.#left = left
  }

  /** Resolves when the group knows the member. */
  async start(): Promise<void> {
    const entering = this.#table.enter(this.#member)
    // Who closes meanwhile waits for it, and leaves after it.
    this.#living = entering.then(
      () => this.#live(),
      () => {},
    )
    await entering
  }

  commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    if (this.#closed) return Promise.reject(closed())
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
    this.#ending.abort()
    this.#leaving ??= this.#exit()
    await this.#leaving
  }

  async #commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    for (const { position } of positions) checkOption('position', position, 'count', 0)
    const ours = new Map<number, PartitionPosition & { readonly generation: number }>()
    for (const { partition, position } of positions) {
      const held = this.#held.get(partition)
      if (held !== undefined) ours.set(partition, { partition, position, generation: held.generation })
    }
    const stored = ours.size === 0 ? undefined : await this.#table.commit(this.#member, [...ours.values()])
    return positions.map(({ partition }) => (stored?.has(partition) ? 'committed' : 'stale'))
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
    this.#ending.abort()
    await this.#living
    this.#cancelExpiry()
    await this.#arranging
    await this.#commits
    this.#held.clear()
    // Where the server is away, the session ends by itself.
    await this.#table.exit(this.#member).catch(() => {})
    this.#left()
  }

  async #live(): Promise<void> {
    const { sessionMs } = this.#member
    const beatMs = Math.min(sessionMs / 3, this.#wake.listening ? maxBeatMs : maxBeatUnheardMs)
    // The caller gets the membership before the first callback.
    await new Promise((resolve) => setImmediate(resolve))
    for (let failures = 0; !this.#ending.signal.aborted; ) {
      const topic = groupTopic(this.#member.group)
      const turn = this.#wake.turn(topic)
      try {
        const sentAt = performance.now()
        await this.#beat(sentAt)
        failures = 0
        await this.#rest(topic, turn, sentAt + beatMs)
      } catch (thrown) {
        if (!isSpillwayError(thrown) || !thrown.retryable) return this.#fail(thrown)
        failures += 1
        await this.#rest(topic, turn, performance.now() + Math.min(backoff(again, failures), beatMs))
      }
    }
  }

  async #beat(sentAt: number): Promise<void> {
    const beat = await this.#table.beat(this.#member)
    this.#tell(beat.partitions)
    if (this.#draining) return
    if (!beat.alive) await this.#table.enter(this.#member)
    else this.#expireAt(sentAt + this.#member.sessionMs)
    // Not awaited: it may have to wait for the group's lock, and the heart must go on. Who fails leaves it to the next beat.
    if (beat.due) this.#arranging ??= this.#arrange()
  }

  async #arrange(): Promise<void> {
    await this.#table.arrange(this.#member.group).catch(() => {})
    this.#arranging = undefined
  }

  async #rest(topic: string, turn: number, until: number): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      const rest = until - performance.now()
      if (rest <= 0 || signal.aborted || this.#wake.turn(topic) !== turn) return
      await this.#wake.wait(topic, turn, rest, signal)
    }
  }

  /** Unheard for a session, the member counts as dead by its own clock too: others may have its partitions. */
  #expireAt(time: number): void {
    this.#cancelExpiry()
    this.#cancelExpiry = systemClock.after(time - performance.now(), () => this.#tell([]))
  }

  #tell(partitions: readonly HeldPartition[]): void {
    this.#told = new Map(partitions.map((held) => [held.partition, held]))
    this.#changed = true
    if (!this.#draining) this.#reconciling ??= this.#reconcile()
  }

  async #reconcile(): Promise<void> {
    try {
      while (this.#changed && !this.#draining) {
        this.#changed = false
        await this.#lose()
        await this.#giveBack()
        this.#gain()
      }
    } catch (thrown) {
      this.#fail(thrown)
    } finally {
      this.#reconciling = undefined
    }
  }

  async #lose(): Promise<void> {
    const lost = [...this.#held.values()].filter(
      ({ partition, generation }) => this.#told.get(partition)?.generation !== generation,
    )
    for (const { partition } of lost) this.#held.delete(partition)
    if (lost.length > 0)
      await this.#revoke(
        lost.map(({ partition }) => partition),
        true,
      )
  }

  async #giveBack(): Promise<void> {
    const revoking = [...this.#told.values()].filter((held) => held.revoking)
    if (revoking.length === 0) return
    const told = revoking.map(({ partition }) => partition).filter((partition) => this.#held.has(partition))
    if (told.length > 0) await this.#revoke(told, false)
    await this.#commits
    for (const { partition } of revoking) this.#held.delete(partition)
    for (const { partition } of revoking) this.#told.delete(partition)
    // If this fails they are taken back when their time is over.
    await this.#table.release(this.#member, revoking).catch(() => {})
  }

  #gain(): void {
    const gained = [...this.#told.values()].filter(
      (held) => !held.revoking && !this.#held.has(held.partition),
    )
    if (gained.length === 0 || this.#draining) return
    for (const held of gained) this.#held.set(held.partition, held)
    this.#options.assigned(gained.map(({ partition, position }) => ({ partition, position })))
  }

  /** Waits for the callback as long as a session, not longer. */
  async #revoke(partitions: readonly number[], lost: boolean): Promise<void> {
    let cancel = (): void => {}
    const bound = new Promise<void>((resolve) => {
      cancel = systemClock.after(this.#member.sessionMs, resolve)
    })
    const done = (async () => this.#options.revoked(partitions, lost))()
    await Promise.race([done.catch(() => {}), bound])
    cancel()
  }

  #fail(thrown: unknown): void {
    if (this.#draining) return
    this.#draining = true
    this.#ending.abort()
    this.#cancelExpiry()
    this.#held.clear()
    this.#left()
    this.#options.failed(asError(thrown))
  }
}
