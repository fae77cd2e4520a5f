// The queue port of the embedded engine. Calls of one turn on one queue are merged into one operation each.
import { isSpillwayError, SpillwayError } from '../../core/errors.ts'
import type { QueueCapabilities } from '../../ports/capability.ts'
import type {
  ClaimedMessage,
  ClaimOptions,
  DeadMessage,
  ExtendResult,
  OutgoingMessage,
  QueueCount,
  QueuePort,
  Settlement,
  SettleResult,
} from '../../ports/queue.ts'
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import { checkProgress, checkRules, type Duplicate, type QueueRules } from '../../ports/queue-rules.ts'
import {
  checkSchedule,
  type ScheduleChange,
  type ScheduleList,
  type WhichSchedules,
} from '../../ports/queue-schedules.ts'
import { maxBodyBytes } from './limits.ts'
import { QueueControl } from './queue-control.ts'
import { putSchedule } from './queue-schedules.ts'
import { addMessages, checkedSize, emptySend } from './queue-send.ts'
import { checkMs, checkWhole } from './range.ts'
import { RecordReader } from './record.ts'
import { closedError, type Pending, type Storage } from './storage.ts'
import { WaitingRoom } from './waiting-room.ts'
import { type Answers, type QueueFacts, runFlag, runWidth, settleKind, type WriteOperation } from './wire.ts'

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

const minLeaseMs = 100
/** More are not leased in one claim: its answer is bounded. */
const maxClaim = 10_000
/** What a lease takes on its way, roughly, for the bound of what is under way. */
const bytesOfLease = 64

/** A queue that is known by its number, and what this turn asks of it so far. */
interface Channel {
  readonly id: number
  facts: QueueFacts
  readonly room: WaitingRoom
  readonly open: {
    turn: number
    byKind: Partial<{ [Kind in MergedKind]: Pending<Of<Kind>> }>
    claimed: Promise<Claimed> | undefined
  }
}

/** What a merged claim brought: the messages of each caller, in their order, as far as there were any. */
interface Claimed {
  readonly callers: readonly ClaimedMessage[][]
  readonly nextDue: number | null
}

type MergedKind = 'send' | 'claim' | 'settle' | 'extend'

export class SqliteQueue implements QueuePort {
  readonly capabilities: QueueCapabilities = {
    fencing: 'engine',
    delay: true,
    atomicSend: true,
    keyOrder: true,
    priority: true,
    dedup: true,
    groups: true,
    concurrency: true,
    rate: true,
    flow: true,
    finished: true,
    progress: true,
    history: true,
    pause: true,
    peek: true,
    cancel: true,
    purge: true,
    schedules: true,
  }
  readonly limits: QueuePort['limits'] = { maxBodyBytes, minLeaseMs }
  readonly #storage: Storage
  readonly #channels = new Map<string, Channel>()
  readonly #byId = new Map<number, Channel>()
  readonly #reader = new RecordReader()
  readonly #control: QueueControl
  #closed = false

  constructor(storage: Storage) {
    this.#storage = storage
    this.#control = new QueueControl(storage)
  }

  async declare(queues: readonly string[], rules?: QueueRules): Promise<void> {
    if (rules !== undefined) checkRules('sqlite', this.capabilities, rules)
    const facts = await this.#storage.ask({
      kind: 'declareQueues',
      names: queues,
      rules: rules === undefined ? null : plainRules(rules),
    })
    for (const [index, name] of queues.entries()) this.#add(name, facts[index]!)
  }

  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    return this.#byItsRules(queue, (channel) => this.#sendAs(channel, messages))
  }

  async putSchedule(queue: string, change: ScheduleChange): Promise<'stored' | 'stale'> {
    checkSchedule('sqlite', change)
    return this.#byItsRules(queue, ({ facts }) => putSchedule(this.#storage, facts, change))
  }

  /** Does what depends on the rules of the queue, again when they are others than we knew. */
  async #byItsRules<Result>(
    queue: string,
    act: (channel: Channel) => Promise<Result | 'outdated'>,
  ): Promise<Result> {
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    for (;;) {
      const { version } = channel.facts
      let refusal: unknown
      try {
        const answer = await act(channel)
        if (answer !== 'outdated') return answer
      } catch (thrown) {
        if (!isSpillwayError(thrown) || thrown.code !== 'INVALID_OPTION') throw thrown
        refusal = thrown
      }
      // Somebody may have declared the queue with other rules since we asked for them.
      channel.facts = (await this.#factsOf(queue)) ?? channel.facts
      if (refusal !== undefined && channel.facts.version === version) throw refusal
    }
  }

  async #sendAs(
    channel: Channel,
    messages: readonly OutgoingMessage[],
  ): Promise<readonly Duplicate[] | 'outdated'> {
    const bytes = checkedSize(messages, channel.facts.rules)
    if (messages.length === 0) return []
    const room = this.#storage.admit(bytes)
    if (room !== undefined) await room
    const { version, rules } = channel.facts
    const make = () => emptySend(channel.facts)
    // What waits for others may be refused: alone, so that nobody else is.
    const pending = messages.some(({ after }) => after !== undefined && !after.mayCome)
      ? this.#storage.begin(make())
      : this.#merge(channel, 'send', make, (open) => open.version === version)
    pending.bytes += bytes
    const first = pending.operation.extras.length
    addMessages(this.#storage.slabs, rules, pending.operation, pending.held, messages)
    // A claim that waits here looks again in the same turn: it shares the commit, and its answer comes with that of the send.
    channel.room.wake()
    const answer = await pending.answer
    if (answer === 'outdated') return answer
    const end = first + messages.length
    return answer
      .filter(([index]) => index >= first && index < end)
      .map(([index, id]) => ({ index: index - first, id }))
  }

  async claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    if (this.#closed) throw closedError()
    const { leaseMs } = options
    checkWhole(options.limit, 1, 'limit')
    checkMs(leaseMs, minLeaseMs, 'leaseMs')
    checkMs(options.waitMs, 0, 'waitMs')
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    if (options.signal?.aborted || this.#closed) return []
    const limit = Math.min(options.limit, maxClaim)
    return channel.room.until(() => this.#look(channel, limit, leaseMs), options.waitMs, options.signal)
  }

  async #look(
    channel: Channel,
    limit: number,
    leaseMs: number,
  ): Promise<{ found: ClaimedMessage[]; empty: boolean; nextDue: number | null }> {
    const pending = this.#merge(channel, 'claim', () => ({ kind: 'claim', queue: channel.id, wants: [] }))
    const { wants } = pending.operation
    const mine = wants.length / 2
    wants.push(limit, Math.ceil(leaseMs))
    // The callers of one operation share the reading of its answer.
    if (mine === 0) channel.open.claimed = pending.answer.then((answer) => this.#messages(channel.id, answer))
    const { callers, nextDue } = await channel.open.claimed!
    const found = callers[mine]
    if (found === undefined) return { found: [], empty: true, nextDue }
    channel.room.due(leaseMs)
    return { found, empty: false, nextDue }
  }

  #messages(queue: number, { claimed, nextDue }: Answers['claim']): Claimed {
    const callers: ClaimedMessage[][] = []
    const reader = this.#reader
    for (const { token, counts, runs, data } of claimed) {
      reader.start(data)
      let caller: ClaimedMessage[] = []
      let next = 0
      let left = 0
      for (let i = 0; i < runs.length; i += runWidth) {
        const end = runs[i]! + runs[i + 1]!
        const starts = runs[i + 2]!
        const suspect = (runs[i + 3]! & runFlag.suspect) !== 0
        const orphan = (runs[i + 3]! & runFlag.orphan) !== 0
        for (let seq = runs[i]!; seq < end; seq++) {
          if (left === 0) {
            caller = []
            callers.push(caller)
            left = counts[next++]!
          }
          left--
          caller.push(
            reader.next((id, key, body, _, redrivenAt) => ({
              id,
              key,
              body,
              starts,
              suspect,
              lease: `${queue}:${seq}:${token}`,
              fencingToken: token,
              ...(orphan ? { orphan } : undefined),
              ...(redrivenAt === undefined ? undefined : { redrivenAt }),
            })),
          )
        }
      }
    }
    return { callers, nextDue }
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    if (settlements.length === 0) return []
    for (const settlement of settlements)
      if (settlement.kind === 'retry') checkMs(settlement.delayMs, 0, 'delayMs')
    const bytes = settlements.length * bytesOfLease
    const room = this.#storage.admit(bytes)
    if (room !== undefined) await room
    const pending = this.#merge(channel, 'settle', () => ({
      kind: 'settle',
      queue: channel.id,
      seqs: [],
      tokens: [],
      kinds: [],
      arguments: [],
      reasons: [],
    }))
    pending.bytes += bytes
    const { operation, answer } = pending
    const first = operation.seqs.length
    for (const settlement of settlements) {
      addLease(operation, settlement.lease)
      operation.kinds.push(settleKind[settlement.kind])
      operation.arguments.push(
        settlement.kind === 'retry'
          ? Math.ceil(settlement.delayMs)
          : settlement.kind === 'dead-letter'
            ? settlement.reason
            : null,
      )
      operation.reasons.push(settlement.kind === 'retry' ? (settlement.reason ?? null) : null)
    }
    const results = await answer
    return settlements.map((_, index) => (results[first + index] === 1 ? 'settled' : 'stale'))
  }

  async extend(
    queue: string,
    leases: readonly string[],
    leaseMs: number,
    progress?: readonly (string | undefined)[],
  ): Promise<ExtendResult[]> {
    checkProgress('sqlite', progress)
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    checkMs(leaseMs, minLeaseMs, 'leaseMs')
    if (leases.length === 0) return []
    const { operation, answer } = this.#merge(channel, 'extend', () => ({
      kind: 'extend',
      queue: channel.id,
      seqs: [],
      tokens: [],
      leasesMs: [],
      progress: [],
    }))
    const first = operation.seqs.length
    for (const [index, lease] of leases.entries()) {
      addLease(operation, lease)
      operation.leasesMs.push(Math.ceil(leaseMs))
      const said = progress?.[index]
      if (said !== undefined) operation.progress.push([first + index, said])
    }
    const results = await answer
    return leases.map((_, index) => extendResults[results[first + index]!]!)
  }

  async count(queue: string): Promise<QueueCount> {
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    return this.#storage.ask({ kind: 'count', queue: channel.id })
  }

  async deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    checkWhole(options.limit, 1, 'limit')
    const rows = await this.#storage.ask({
      kind: 'deadLetters',
      queue: channel.id,
      limit: options.limit,
      after: options.after === undefined ? 0 : handleNumber(options.after),
    })
    return rows.map(({ handle, reason, starts, diedAt, history, data }) => {
      this.#reader.start(data)
      return this.#reader.next((id, key, body) => ({
        handle: String(handle),
        id,
        key,
        body,
        reason,
        starts,
        diedAt,
        history: history === null ? [] : JSON.parse(history),
      }))
    })
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    const channel = this.#channels.get(queue) ?? (await this.#find(queue))
    return this.#storage.ask({ kind: 'redrive', queue: channel.id, handles: handles.map(handleNumber) })
  }

  async schedules(queue: string, which: WhichSchedules): Promise<ScheduleList> {
    return this.#storage.ask({ kind: 'schedules', queue: await this.#idOf(queue), which })
  }

  async removeSchedule(queue: string, name: string): Promise<boolean> {
    return this.#storage.ask({ kind: 'removeSchedule', queue: await this.#idOf(queue), name })
  }

  async names(): Promise<string[]> {
    return [...(await this.#storage.ask({ kind: 'queueNames' }))]
  }

  async pause(queue: string): Promise<void> {
    await this.#control.pause(await this.#idOf(queue), true)
  }

  async resume(queue: string): Promise<void> {
    await this.#control.pause(await this.#idOf(queue), false)
  }

  async peek(queue: string, options: PeekOptions): Promise<PeekedMessage[]> {
    return this.#control.peek(await this.#idOf(queue), options)
  }

  async cancel(queue: string, ids: readonly string[]): Promise<CancelResult[]> {
    return this.#control.cancel(await this.#idOf(queue), ids)
  }

  async purge(queue: string, what: 'waiting' | 'dead'): Promise<number> {
    return this.#control.purge(await this.#idOf(queue), what)
  }

  async finished(queue: string, options: PeekOptions): Promise<FinishedMessage[]> {
    return this.#control.finished(await this.#idOf(queue), options)
  }

  async trimFinished(queue: string): Promise<number> {
    return this.#control.trimFinished(await this.#idOf(queue))
  }

  /** Look again: in these queues, or in all. */
  wake(ids: readonly number[] | undefined): void {
    if (ids === undefined) for (const channel of this.#byId.values()) channel.room.wake()
    else for (const id of ids) this.#byId.get(id)?.room.wake()
  }

  close(): void {
    this.#closed = true
    for (const channel of this.#byId.values()) channel.room.close()
  }

  async #idOf(queue: string): Promise<number> {
    return (this.#channels.get(queue) ?? (await this.#find(queue))).id
  }

  async #find(name: string): Promise<Channel> {
    const facts = await this.#factsOf(name)
    if (facts === null)
      throw new SpillwayError('UNKNOWN_QUEUE', `There is no queue '${name}'.`, { engine: 'sqlite' })
    return this.#add(name, facts)
  }

  #factsOf(name: string): Promise<QueueFacts | null> {
    return this.#storage.ask({ kind: 'findQueue', name })
  }

  #add(name: string, facts: QueueFacts): Channel {
    const known = this.#channels.get(name)
    if (known !== undefined) {
      known.facts = facts
      return known
    }
    const room = new WaitingRoom(this.#storage)
    const channel: Channel = {
      id: facts.id,
      facts,
      room,
      open: { turn: -1, byKind: {}, claimed: undefined },
    }
    this.#channels.set(name, channel)
    this.#byId.set(facts.id, channel)
    return channel
  }

  /** The operation of this kind that the current turn has for the queue; a new one if there is none yet. */
  #merge<Kind extends MergedKind>(
    channel: Channel,
    kind: Kind,
    make: () => Of<Kind>,
    fits: (operation: Of<Kind>) => boolean = () => true,
  ): Pending<Of<Kind>> {
    const { open } = channel
    if (open.turn !== this.#storage.turn) {
      open.turn = this.#storage.turn
      open.byKind = {}
    }
    const known = open.byKind[kind] as Pending<Of<Kind>> | undefined
    if (known !== undefined && fits(known.operation)) return known
    const pending = this.#storage.begin(make())
    ;(open.byKind as Record<string, unknown>)[kind] = pending
    return pending
  }
}

const extendResults: readonly ExtendResult[] = ['stale', 'extended', 'cancelled']

/** Without what is not asked for, always in the same order: so that equal rules are equal texts. */
function plainRules(rules: QueueRules): QueueRules {
  const { keyOrder, priority, dedup, groups, concurrency, rate, flow, finished } = rules
  return {
    ...(keyOrder && { keyOrder }),
    ...(priority && { priority }),
    ...(dedup && { dedup }),
    ...(groups && { groups: groups.concurrency === undefined ? {} : { concurrency: groups.concurrency } }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate && { rate: { count: rate.count, perMs: rate.perMs } }),
    ...(flow && { flow }),
    ...(finished && {
      finished: {
        ...(finished.count !== undefined && { count: finished.count }),
        ...(finished.forMs !== undefined && { forMs: Math.ceil(finished.forMs) }),
      },
    }),
  }
}

/** A lease names queue, message and fencing token; one that cannot be read is nobody's, and so stale. */
function addLease(
  to: { readonly queue: number; readonly seqs: number[]; readonly tokens: number[] },
  lease: string,
): void {
  const first = lease.indexOf(':')
  const second = lease.indexOf(':', first + 1)
  const seq = Number(lease.slice(first + 1, second))
  const token = Number(lease.slice(second + 1))
  const good =
    Number(lease.slice(0, first)) === to.queue && Number.isSafeInteger(seq) && Number.isSafeInteger(token)
  to.seqs.push(good ? seq : 0)
  to.tokens.push(good ? token : 0)
}

function handleNumber(handle: string): number {
  return /^[1-9]\d{0,15}$/.test(handle) ? Number(handle) : -1
}
