// Membership in a consumer group, by Kafka's classic group protocol with cooperative rebalancing (KIP-429): a member keeps
// what it holds while the group is reordered, and lets go only of what moves. We drive the protocol ourselves, because
// the engine must hold back a partition until its handler has finished, and knows by the generation who may commit.
//
// One round: JoinGroup (says what we hold) → SyncGroup (says what we shall hold) → `revoked` for what goes, and then
// another round, so that it can be given away → `assigned` for what comes. Heartbeats go on all the time, on another
// connection; their answer tells when the next round is due.
import { systemClock } from '../../core/clock.ts'
import { asError, SpillwayError } from '../../core/errors.ts'
import type { CommitResult, JoinOptions, Membership, PartitionPosition } from '../../ports/stream.ts'
import type { Cluster } from './cluster.ts'
import { CommitQueue, type Hold } from './commit-queue.ts'
import type { Coordinator } from './coordinator.ts'
import { closedError, Fault, translate } from './errors.ts'
import { Heartbeat } from './heartbeat.ts'
import type { Link } from './link.ts'
import { playRound, rebalanceMs } from './round.ts'

/** How long the coordinator may be away before the membership is given up. */
const patienceMs = 60_000
/** How often the leader of a group looks whether partitions were added. */
const watchMs = 30_000

export class Member implements Membership {
  readonly #cluster: Cluster
  readonly #coordinator: Coordinator
  readonly #stream: string
  readonly #options: JoinOptions
  readonly #commits: CommitQueue
  readonly #heartbeat: Heartbeat
  readonly #holds = new Map<number, Hold>()
  readonly #revoking = new Set<number>()
  readonly #firstJoin = Promise.withResolvers<void>()
  #memberId = ''
  #generation = -1
  #assigned: ReadonlySet<number> = new Set()
  /** From the beginning of a round until it succeeded: the generation we know may be over already. */
  #joining: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>()
  /** Wakes the loop between two rounds: with a reason to begin the next, or with the fault that ended the membership. */
  #nextRound: PromiseWithResolvers<void> = newRound()
  /** Rises when everything held is lost. */
  #losses = 0
  #callbacks: Promise<void> = Promise.resolve()
  #joinLink: Link | undefined
  #cancelWatch: (() => void) | undefined
  #leaving: Promise<void> | undefined
  #known = false
  /** No more is to be assigned. */
  #over = false

  /** Resolves when the group knows the member; rejects when it does not come to that. */
  readonly joined: Promise<void> = this.#firstJoin.promise
  /** Resolves when the member neither is one nor tries to be one any more. */
  readonly over: Promise<void>

  constructor(cluster: Cluster, coordinator: Coordinator, stream: string, options: JoinOptions) {
    this.#cluster = cluster
    this.#coordinator = coordinator
    this.#stream = stream
    this.#options = options
    this.#commits = new CommitQueue(cluster, coordinator, {
      hold: (partition) => this.#holds.get(partition),
      identity: () => ({ memberId: this.#memberId, generation: this.#generation }),
      settled: () => this.#joining?.promise,
      refused: (fault) => {
        this.#lose()
        this.#nextRound.reject(fault)
      },
    })
    this.#heartbeat = new Heartbeat(cluster, coordinator, options.sessionMs, {
      state: () => ({
        memberId: this.#memberId,
        generation: this.#generation,
        round: this.#joining === undefined ? this.#nextRound : undefined,
      }),
      rebalance: () => this.#nextRound.resolve(),
      refused: (fault) => this.#nextRound.reject(fault),
      expired: () => {
        this.#lose()
        this.#nextRound.resolve()
      },
    })
    this.joined.catch(() => {})
    this.over = this.#run().finally(() => {
      this.#joining?.resolve()
      // Unless it has joined: who waits for that must not wait for ever.
      this.#firstJoin.reject(closedError())
    })
  }

  commit(positions: readonly PartitionPosition[]): Promise<CommitResult[]> {
    return this.#commits.commit(positions)
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    this.#nextRound.resolve()
    // A round under way ends first, so that commits find a settled group; but not for ever.
    await this.#within(this.over, Math.min(this.#options.sessionMs, 5000))
    this.#over = true
    await this.#revoke([...this.#holds.keys()], false)
    await this.#callbacks
    await this.#depart()
  }

  /** Leaves without a word to the handler. */
  end(): Promise<void> {
    this.#leaving ??= this.#depart()
    return this.#leaving
  }

  async #depart(): Promise<void> {
    this.#over = true
    this.#nextRound.resolve()
    this.#heartbeat.stop()
    this.#cancelWatch?.()
    this.#holds.clear()
    await this.#sayGoodbye().catch(() => {})
    await this.#closeJoinLink()
    await this.#within(this.over, 1000)
  }

  /** Best effort: who cannot be reached learns by the end of the session. */
  async #sayGoodbye(): Promise<void> {
    if (this.#memberId === '') return
    const { leaveGroupV4 } = this.#cluster.client
    const member = { memberId: this.#memberId, groupInstanceId: null }
    for (let tries = 0; tries < 3; tries++) {
      const left = this.#coordinator
        .link('group')
        .then((link) => link.call(leaveGroupV4.api, this.#coordinator.groupId, [member]))
      const answer = await this.#cluster.within(left, 2000)
      if (answer.errorCode === 0) return
      this.#coordinator.forget()
    }
  }

  async #run(): Promise<void> {
    let failures = 0
    while (this.#leaving === undefined) {
      try {
        await this.#join()
        failures = 0
        if (this.#leaving !== undefined) return
        const assigned = this.#assigned
        const left = [...this.#holds.keys()].filter((partition) => !assigned.has(partition))
        const round = this.#nextRound
        await this.#revoke(left, false)
        await this.#take([...assigned].filter((partition) => !this.#holds.has(partition)))
        if (left.length === 0) await round.promise
      } catch (thrown) {
        if (this.#leaving !== undefined) return
        try {
          await this.#recover(asFault(thrown), failures++)
        } catch (fatal) {
          await this.#fail(fatal)
          return
        }
      }
    }
  }

  async #join(): Promise<void> {
    this.#joining ??= Promise.withResolvers<void>()
    this.#nextRound = newRound()
    const topic = await this.#cluster.refresh(this.#stream)
    const link = await this.#openJoinLink()
    const losses = this.#losses
    const partitions = topic.leaders.length
    const { generation, assigned, led } = await playRound(this.#cluster, link, partitions, {
      groupId: this.#coordinator.groupId,
      stream: this.#stream,
      sessionMs: this.#options.sessionMs,
      memberId: this.#memberId,
      generation: this.#generation,
      held: [...this.#holds.keys()],
      named: (memberId) => {
        this.#memberId = memberId
      },
      joined: () => {
        this.#heartbeat.contact(performance.now())
        this.#known = true
        this.#firstJoin.resolve()
      },
    })
    this.#heartbeat.contact(performance.now())
    // What we said to hold was lost meanwhile: this assignment rests on it.
    if (losses !== this.#losses) throw new Fault('REBALANCE_IN_PROGRESS', 'the session ended meanwhile')
    this.#generation = generation
    this.#assigned = new Set(assigned)
    this.#joining?.resolve()
    this.#joining = undefined
    this.#heartbeat.start()
    this.#cancelWatch?.()
    if (led) this.#watchPartitions(partitions)
  }

  /** Partitions can be added to a topic; who leads the group looks, and has them assigned. */
  #watchPartitions(partitions: number): void {
    const round = this.#nextRound
    this.#cancelWatch = systemClock.after(watchMs, async () => {
      const topic = await this.#cluster.refresh(this.#stream).catch(() => undefined)
      if (round !== this.#nextRound || this.#over) return
      if (topic !== undefined && topic.leaders.length !== partitions) round.resolve()
      else this.#watchPartitions(partitions)
    })
  }

  async #take(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return
    const losses = this.#losses
    const positions = await this.#coordinator.committed(partitions)
    await this.#callbacks
    if (losses !== this.#losses || this.#over) return
    for (const partition of partitions) this.#holds.set(partition, { partition })
    this.#options.assigned(positions)
  }

  /** Tells the handler and waits for it, at most `sessionMs`; until then the partitions are still ours to commit. */
  async #revoke(partitions: readonly number[], lost: boolean): Promise<void> {
    const open = partitions.filter((partition) => !this.#revoking.has(partition))
    if (open.length === 0) return
    const holds = open.map((partition) => this.#holds.get(partition))
    for (const partition of open) {
      this.#revoking.add(partition)
      if (lost) this.#holds.delete(partition)
    }
    const told = async () => this.#options.revoked(open, lost)
    // One call at a time, in order.
    const turn = this.#callbacks.then(() =>
      this.#within(
        told().catch(() => {}),
        this.#options.sessionMs,
      ),
    )
    this.#callbacks = turn
    await turn
    for (const [index, partition] of open.entries()) {
      this.#revoking.delete(partition)
      if (this.#holds.get(partition) === holds[index]) this.#holds.delete(partition)
    }
  }

  /** The session is over, or must be taken for it: others may hold our partitions. */
  #lose(): void {
    this.#losses++
    const held = [...this.#holds.keys()]
    void this.#revoke(held, true)
    this.#holds.clear()
    // Commits that wait for the end of the round learn at once that they are stale.
    if (this.#joining === undefined) return
    this.#joining.resolve()
    this.#joining = Promise.withResolvers<void>()
  }

  async #recover(fault: Fault, failures: number): Promise<void> {
    switch (fault.id) {
      case 'REBALANCE_IN_PROGRESS':
        return
      case 'UNKNOWN_MEMBER_ID':
      case 'FENCED_INSTANCE_ID':
        this.#memberId = ''
        this.#generation = -1
        this.#lose()
        return
      case 'ILLEGAL_GENERATION':
        this.#generation = -1
        this.#lose()
        return
    }
    if (!fault.passing) throw fault
    const patience = this.#known ? patienceMs + this.#options.sessionMs : this.#cluster.options.timeoutMs
    const away = this.#heartbeat.silentMs > patience
    if (away || fault.id === 'UNKNOWN_TOPIC_OR_PARTITION') throw fault
    this.#coordinator.forget()
    await this.#closeJoinLink()
    await this.#cluster.pause(Math.min(50 * 2 ** failures, 1000))
    if (this.#cluster.closing.aborted) throw closedError()
  }

  async #fail(thrown: unknown): Promise<void> {
    this.#over = true
    this.#heartbeat.stop()
    this.#cancelWatch?.()
    const error = asError(translate(thrown, `keeping the membership in ${this.#coordinator.groupId}`))
    this.#lose()
    await this.#closeJoinLink()
    if (this.#known) this.#options.failed(error)
    else this.#firstJoin.reject(error)
  }

  async #openJoinLink(): Promise<Link> {
    const node = await this.#coordinator.node()
    if (this.#joinLink !== undefined && !this.#joinLink.closed) return this.#joinLink
    this.#joinLink = await this.#cluster.own(node, rebalanceMs(this.#options.sessionMs) + 10_000)
    return this.#joinLink
  }

  async #closeJoinLink(): Promise<void> {
    const link = this.#joinLink
    this.#joinLink = undefined
    if (link !== undefined) await this.#cluster.release(link)
  }

  /** Resolves with the promise, or after `ms` in any case. */
  async #within(promise: Promise<void>, ms: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = systemClock.after(ms, resolve)
    await Promise.race([promise, late])
    cancel()
  }
}

function newRound(): PromiseWithResolvers<void> {
  const round = Promise.withResolvers<void>()
  round.promise.catch(() => {})
  return round
}

function asFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown
  if (thrown instanceof SpillwayError) return new Fault(thrown.code, thrown.message, thrown)
  return new Fault('UNKNOWN_SERVER_ERROR', String(thrown), thrown)
}
