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
import { Backlog } from './backlog.ts'
import { checkBodies, checkOption, closedError, engineName, maxBodyBytes } from './limits.ts'
import type { MemoryStore } from './store.ts'
import type { OpenCalls } from './waiting.ts'

export class MemoryQueue implements QueuePort {
  readonly capabilities: QueueCapabilities = { fencing: 'engine', delay: true, atomicSend: true }
  readonly limits: QueuePort['limits'] = { maxBodyBytes, minLeaseMs: 100 }
  readonly #store: MemoryStore
  readonly #calls: OpenCalls = new Set()
  #closed = false

  constructor(store: MemoryStore) {
    this.#store = store
  }

  async declare(queues: readonly string[]): Promise<void> {
    if (this.#closed) throw closedError()
    const { backlogs, clock, capacity } = this.#store
    for (const queue of queues)
      if (!backlogs.has(queue)) backlogs.set(queue, new Backlog(queue, clock, capacity))
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<void> {
    const backlog = this.#find(queue)
    for (const { delayMs } of messages) if (delayMs !== undefined) checkOption('delayMs', delayMs, 0, 'time')
    checkBodies(messages)
    backlog.send(messages)
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

  async extend(queue: string, leases: readonly string[], leaseMs: number): Promise<ExtendResult[]> {
    const backlog = this.#find(queue)
    checkOption('leaseMs', leaseMs, this.limits.minLeaseMs, 'time')
    return backlog.extend(leases, leaseMs)
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
    const after = Number(options.after ?? 0)
    checkOption('after', after, 0, 'count')
    return backlog.deadLetters(after, options.limit)
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    return this.#find(queue).redrive(handles)
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
