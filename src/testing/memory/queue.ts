// The queue port of the in-memory engine: finds the queue, refuses what cannot be, and leaves the rest to the backlog.
import { SpillwayError } from '../../core/errors.ts'
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
import {
  checkCarried,
  checkProgress,
  checkRules,
  type Duplicate,
  type QueueRules,
} from '../../ports/queue-rules.ts'
import {
  checkSchedule,
  type ScheduleChange,
  type ScheduleList,
  type WhichSchedules,
} from '../../ports/queue-schedules.ts'
import { Backlog } from './backlog.ts'
import { checkBodies, checkOption, closedError, engineName, maxBodyBytes } from './limits.ts'
import type { MemoryStore } from './store.ts'
import type { OpenCalls } from './waiting.ts'

export class MemoryQueue implements QueuePort {
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
  readonly limits: QueuePort['limits'] = { maxBodyBytes, minLeaseMs: 100 }
  readonly #store: MemoryStore
  readonly #calls: OpenCalls = new Set()
  #closed = false

  constructor(store: MemoryStore) {
    this.#store = store
  }

  async declare(queues: readonly string[], rules?: QueueRules): Promise<void> {
    if (this.#closed) throw closedError()
    if (rules !== undefined) checkRules(engineName, this.capabilities, rules)
    const { backlogs, clock, capacity, flows } = this.#store
    if (rules !== undefined) for (const queue of queues) backlogs.get(queue)?.checkChange(rules)
    for (const queue of queues) {
      const backlog = backlogs.get(queue) ?? new Backlog(queue, clock, capacity, flows)
      backlogs.set(queue, backlog)
      if (rules !== undefined) backlog.change(rules)
    }
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    const backlog = this.#find(queue)
    checkMessages(messages, backlog.rules)
    return backlog.send(messages)
  }

  async claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    const backlog = this.#find(queue)
    checkOption('limit', options.limit, 1, 'count')
    checkOption('leaseMs', options.leaseMs, this.limits.minLeaseMs, 'time')
    checkOption('waitMs', options.waitMs, 0, 'time')
    return backlog.claim(options, this.#calls)
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    const backlog = this.#find(queue)
    for (const settlement of settlements)
      if (settlement.kind === 'retry') checkOption('delayMs', settlement.delayMs, 0, 'time')
    return backlog.settle(settlements)
  }

  async extend(
    queue: string,
    leases: readonly string[],
    leaseMs: number,
    progress?: readonly (string | undefined)[],
  ): Promise<ExtendResult[]> {
    const backlog = this.#find(queue)
    checkOption('leaseMs', leaseMs, this.limits.minLeaseMs, 'time')
    checkProgress(engineName, progress)
    return backlog.extend(leases, leaseMs, progress)
  }

  async count(queue: string): Promise<QueueCount> {
    return this.#find(queue).count()
  }

  async deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    const backlog = this.#find(queue)
    checkOption('limit', options.limit, 1, 'count')
    return backlog.deadLetters(placeOf(options.after), options.limit)
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    return this.#find(queue).redrive(handles)
  }

  async pause(queue: string): Promise<void> {
    this.#find(queue).pause()
  }

  async resume(queue: string): Promise<void> {
    this.#find(queue).resume()
  }

  async peek(queue: string, options: PeekOptions): Promise<PeekedMessage[]> {
    const backlog = this.#find(queue)
    checkOption('limit', options.limit, 1, 'count', 1_000)
    return backlog.peek(placeOf(options.after), options.limit)
  }

  async cancel(queue: string, ids: readonly string[]): Promise<CancelResult[]> {
    return this.#find(queue).cancel(ids)
  }

  async purge(queue: string, what: 'waiting' | 'dead'): Promise<number> {
    return this.#find(queue).purge(what)
  }

  async schedules(queue: string, which: WhichSchedules): Promise<ScheduleList> {
    const { schedules, paused } = this.#find(queue)
    return schedules.list(which, this.#store.clock.now(), paused)
  }

  async putSchedule(queue: string, change: ScheduleChange): Promise<'stored' | 'stale'> {
    const backlog = this.#find(queue)
    checkSchedule(engineName, change)
    checkMessages(change.messages, backlog.rules)
    return backlog.schedules.put(change, () => backlog.send(change.messages))
  }

  async removeSchedule(queue: string, name: string): Promise<boolean> {
    return this.#find(queue).schedules.remove(name)
  }

  async finished(queue: string, options: PeekOptions): Promise<FinishedMessage[]> {
    const backlog = this.#find(queue)
    checkOption('limit', options.limit, 1, 'count', 1_000)
    placeOf(options.after)
    return backlog.finished(options)
  }

  async trimFinished(queue: string): Promise<number> {
    return this.#find(queue).trimFinished()
  }

  async names(): Promise<string[]> {
    if (this.#closed) throw closedError()
    return [...this.#store.backlogs.keys()].sort()
  }

  close(): void {
    this.#closed = true
    for (const call of this.#calls) call.end([])
  }

  #find(queue: string): Backlog {
    if (this.#closed) throw closedError()
    const backlog = this.#store.backlogs.get(queue)
    if (backlog !== undefined) return backlog
    throw new SpillwayError('UNKNOWN_QUEUE', `The memory engine has no queue '${queue}'.`, {
      engine: engineName,
    })
  }
}

/** Throws for the first that cannot be stored under these rules. */
function checkMessages(messages: readonly OutgoingMessage[], rules: QueueRules): void {
  for (const message of messages) {
    if (message.delayMs !== undefined) checkOption('delayMs', message.delayMs, 0, 'time')
    checkCarried(message, rules)
  }
  checkBodies(messages)
}

/** The number that a handle is. */
function placeOf(after = '0'): number {
  const place = Number(after)
  checkOption('after', place, 0, 'count')
  return place
}
