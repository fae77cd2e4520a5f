// The queue port on JetStream: a work-queue stream, one consumer for all, and marks for what the server does not keep.
import { missing, type QueueCapabilities } from '../../ports/capability.ts'
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
import type { CancelResult, FinishedMessage, PeekedMessage } from '../../ports/queue-control.ts'
import { checkCarried, checkRules, type Duplicate, type QueueRules } from '../../ports/queue-rules.ts'
import type { ScheduleList } from '../../ports/queue-schedules.ts'
import type { Api, StreamInfo } from './api.ts'
import type { Backlog } from './backlog.ts'
import { DeadLetters } from './dead-letters.ts'
import type { Declaring } from './declaring.ts'
import { apiCode, closedError, isFault, translate } from './errors.ts'
import { Leases } from './leases.ts'
import { Marks } from './marks.ts'
import type { Names } from './names.ts'
import { requireAtLeast, requireWhole } from './options.ts'
import { QueueClaim } from './queue-claim.ts'
import { QueueSend } from './queue-send.ts'
import { QueueSettle } from './queue-settle.ts'
import { consumerName, Queues } from './queues.ts'

const minLeaseMs = 100

export class NatsQueue implements QueuePort {
  readonly capabilities: QueueCapabilities = {
    fencing: 'effects',
    delay: false,
    atomicSend: false,
    keyOrder: false,
    priority: false,
    dedup: false,
    groups: false,
    concurrency: false,
    rate: false,
    flow: false,
    finished: false,
    progress: false,
    history: false,
    pause: false,
    peek: false,
    cancel: false,
    purge: false,
    schedules: false,
  }
  readonly limits: { readonly maxBodyBytes: number; readonly minLeaseMs: number }
  readonly #api: Api
  readonly #queues: Queues
  readonly #names: Names
  readonly #marks: Marks
  readonly #send: QueueSend
  readonly #claim: QueueClaim
  readonly #settle: QueueSettle
  readonly #dead: DeadLetters
  readonly #running = new Set<Promise<unknown>>()
  #closed = false

  constructor(
    api: Api,
    declaring: Declaring,
    names: Names,
    backlog: Backlog,
    maxBodyBytes: number,
    seen: (what: string, info: StreamInfo) => void,
  ) {
    this.limits = { maxBodyBytes, minLeaseMs }
    this.#api = api
    this.#queues = new Queues(api, declaring, names, seen)
    this.#names = names
    this.#marks = new Marks(api)
    const leases = new Leases()
    this.#send = new QueueSend(api, this.#queues, backlog, maxBodyBytes)
    this.#claim = new QueueClaim(api, this.#queues, leases, this.#marks)
    this.#settle = new QueueSettle(api, this.#queues, leases, this.#marks)
    this.#dead = new DeadLetters(api)
  }

  declare(queues: readonly string[], rules: QueueRules = {}): Promise<void> {
    return this.#call(`declaring ${queues.length} queues`, undefined, async () => {
      checkRules('nats', this.capabilities, rules)
      for (const queue of queues) await this.#queues.declare(queue)
    })
  }

  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    return this.#call(`sending to '${queue}'`, queue, async () => {
      for (const message of messages) checkCarried(message, {})
      await this.#send.send(queue, messages)
      return []
    })
  }

  claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    return this.#call(`claiming from '${queue}'`, queue, () => {
      requireWhole('limit', options.limit, 1)
      requireAtLeast('leaseMs', options.leaseMs, minLeaseMs)
      requireAtLeast('waitMs', options.waitMs, 0)
      return this.#claim.claim(queue, options)
    })
  }

  settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    return this.#call(`settling in '${queue}'`, queue, () => {
      for (const settlement of settlements)
        if (settlement.kind === 'retry') requireAtLeast('delayMs', settlement.delayMs, 0)
      return this.#settle.settle(queue, settlements)
    })
  }

  extend(
    queue: string,
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[] = [],
  ): Promise<ExtendResult[]> {
    return this.#call(`extending leases in '${queue}'`, queue, () => {
      requireAtLeast('leaseMs', leaseMs, minLeaseMs)
      if (progress.some((text) => text !== undefined)) throw missing('nats', 'queue', 'progress')
      return this.#settle.extend(queue, leases, leaseMs)
    })
  }

  count(name: string): Promise<QueueCount> {
    return this.#call(`counting '${name}'`, name, async () => {
      const queue = await this.#queues.get(name)
      const { stream } = queue.names
      // In this order: whatever has a mark has been delivered by the time that the consumer is asked.
      const [marks, dead] = await this.#marks.all(queue)
      const consumer = await this.#api.consumerInfo(stream, consumerName)
      if (consumer === undefined) await this.#queues.check(name)
      const now = Date.now()
      const waiting = this.#marks.current(queue, marks, consumer).filter(({ dueAt }) => dueAt !== undefined)
      const delayed = waiting.filter(({ dueAt }) => dueAt! > now).length
      return {
        ready: (consumer?.num_pending ?? 0) + waiting.length - delayed,
        delayed,
        waiting: 0,
        leased: Math.max(0, (consumer?.num_ack_pending ?? 0) - waiting.length),
        dead,
        paused: false,
      }
    })
  }

  deadLetters(
    queue: string,
    { limit, after }: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    return this.#call(`listing the dead letters of '${queue}'`, queue, async () => {
      requireWhole('limit', limit, 1)
      return await this.#dead.list(await this.#queues.get(queue), limit, after)
    })
  }

  redrive(queue: string, handles: readonly string[]): Promise<number> {
    return this.#call(`redriving in '${queue}'`, queue, async () =>
      this.#dead.redrive(await this.#queues.get(queue), handles),
    )
  }

  names(): Promise<string[]> {
    return this.#call('listing the queues', undefined, () => this.#api.names(this.#names.queues))
  }

  pause(): Promise<void> {
    return Promise.reject(missing('nats', 'queue', 'pause'))
  }

  resume(): Promise<void> {
    return Promise.reject(missing('nats', 'queue', 'pause'))
  }

  peek(): Promise<PeekedMessage[]> {
    return Promise.reject(missing('nats', 'queue', 'peek'))
  }

  cancel(): Promise<CancelResult[]> {
    return Promise.reject(missing('nats', 'queue', 'cancel'))
  }

  purge(): Promise<number> {
    return Promise.reject(missing('nats', 'queue', 'purge'))
  }

  schedules(): Promise<ScheduleList> {
    return Promise.reject(missing('nats', 'queue', 'schedules'))
  }

  putSchedule(): Promise<'stored' | 'stale'> {
    return Promise.reject(missing('nats', 'queue', 'schedules'))
  }

  removeSchedule(): Promise<boolean> {
    return Promise.reject(missing('nats', 'queue', 'schedules'))
  }

  finished(): Promise<FinishedMessage[]> {
    return Promise.reject(missing('nats', 'queue', 'finished'))
  }

  trimFinished(): Promise<number> {
    return Promise.reject(missing('nats', 'queue', 'finished'))
  }

  /** Ends the claims, and waits until what was accepted is done. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#claim.close()
    await Promise.allSettled(this.#running)
  }

  async #call<T>(doing: string, name: string | undefined, call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError()
    // What throws at once rejects too.
    const running = (async () => call())()
    this.#running.add(running)
    try {
      return await running
    } catch (thrown) {
      const gone =
        name !== undefined &&
        (isFault(thrown, apiCode.streamNotFound) || isFault(thrown, apiCode.consumerNotFound))
      const cause = gone ? await this.#queues.check(name).catch((error) => error) : undefined
      throw translate(cause ?? thrown, doing)
    } finally {
      this.#running.delete(running)
    }
  }
}
