// Queues as those see them who look after them, where receivers keep what they have taken (`inbox: { mode: 'store' }`): what is on the
// engine of the queue and what is kept are one. What is sent, and claimed, goes to the engine.
import type { QueueCapabilities } from '../ports/capability.ts'
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
} from '../ports/queue.ts'
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../ports/queue-control.ts'
import type { Duplicate, QueueRules } from '../ports/queue-rules.ts'
import type { ScheduleChange, ScheduleList, WhichSchedules } from '../ports/queue-schedules.ts'
import type { QueueAt } from '../transaction/forwarder.ts'

/** What the handles of messages begin with that their receiver keeps. */
const keptHandle = 'kept-'

export class ReceivedPort implements QueuePort {
  readonly capabilities: QueueCapabilities
  readonly limits: QueuePort['limits']
  readonly #engine: QueuePort
  readonly #keptOf: (queue: string) => QueueAt | undefined

  /** `keptOf`: where messages of the queue are kept; undefined for one that is worked off on its engine. */
  constructor(engine: QueuePort, keptOf: (queue: string) => QueueAt | undefined) {
    this.capabilities = engine.capabilities
    this.limits = engine.limits
    this.#engine = engine
    this.#keptOf = keptOf
  }

  declare(queues: readonly string[], rules?: QueueRules): Promise<void> {
    return this.#engine.declare(queues, rules)
  }

  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    return this.#engine.send(queue, messages)
  }

  claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    return this.#engine.claim(queue, options)
  }

  settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    return this.#engine.settle(queue, settlements)
  }

  extend(...given: Parameters<QueuePort['extend']>): Promise<ExtendResult[]> {
    return this.#engine.extend(...given)
  }

  async count(queue: string): Promise<QueueCount> {
    // First the engine: what leaves it is kept by then.
    const there = await this.#engine.count(queue)
    const kept = this.#keptOf(queue)
    if (!kept) return there
    const here = await kept.port.count(kept.queue)
    return {
      ready: there.ready + here.ready,
      delayed: there.delayed + here.delayed,
      waiting: there.waiting + here.waiting,
      leased: there.leased + here.leased,
      dead: there.dead + here.dead,
      paused: there.paused || here.paused,
    }
  }

  deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    return this.#pages(queue, options, (at, page) => at.port.deadLetters(at.queue, page))
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    const kept = this.#keptOf(queue)
    if (!kept) return this.#engine.redrive(queue, handles)
    const theirs = handles.filter((handle) => handle.startsWith(keptHandle))
    const others = handles.filter((handle) => !handle.startsWith(keptHandle))
    const here = await kept.port.redrive(
      kept.queue,
      theirs.map((handle) => handle.slice(keptHandle.length)),
    )
    return here + (others.length > 0 ? await this.#engine.redrive(queue, others) : 0)
  }

  async pause(queue: string): Promise<void> {
    await this.#engine.pause(queue)
    const kept = this.#keptOf(queue)
    await kept?.port.pause(kept.queue)
  }

  async resume(queue: string): Promise<void> {
    await this.#engine.resume(queue)
    const kept = this.#keptOf(queue)
    await kept?.port.resume(kept.queue)
  }

  peek(queue: string, options: PeekOptions): Promise<PeekedMessage[]> {
    return this.#pages(queue, options, (at, page) => at.port.peek(at.queue, page))
  }

  async cancel(queue: string, ids: readonly string[]): Promise<CancelResult[]> {
    const there = await this.#engine.cancel(queue, ids)
    const kept = this.#keptOf(queue)
    if (!kept) return there
    const here = await kept.port.cancel(kept.queue, ids)
    return there.map((result, index) => stronger(result, here[index]!))
  }

  async purge(queue: string, what: 'waiting' | 'dead'): Promise<number> {
    const there = await this.#engine.purge(queue, what)
    const kept = this.#keptOf(queue)
    return there + (kept ? await kept.port.purge(kept.queue, what) : 0)
  }

  finished(queue: string, options: PeekOptions): Promise<FinishedMessage[]> {
    return this.#engine.finished(queue, options)
  }

  trimFinished(queue: string): Promise<number> {
    return this.#engine.trimFinished(queue)
  }

  schedules(queue: string, which: WhichSchedules): Promise<ScheduleList> {
    return this.#engine.schedules(queue, which)
  }

  putSchedule(queue: string, change: ScheduleChange): Promise<'stored' | 'stale'> {
    return this.#engine.putSchedule(queue, change)
  }

  removeSchedule(queue: string, name: string): Promise<boolean> {
    return this.#engine.removeSchedule(queue, name)
  }

  names(): Promise<string[]> {
    return this.#engine.names()
  }

  /** What is kept comes first, then what is on the engine. */
  async #pages<Item extends { readonly handle: string }>(
    queue: string,
    { limit, after }: { readonly limit: number; readonly after?: string | undefined },
    page: (at: QueueAt, options: { readonly limit: number; readonly after?: string }) => Promise<Item[]>,
  ): Promise<Item[]> {
    const kept = this.#keptOf(queue)
    const there = { port: this.#engine, queue }
    if (kept && (after === undefined || after.startsWith(keptHandle))) {
      const from = after === undefined ? {} : { after: after.slice(keptHandle.length) }
      const found = await page(kept, { limit, ...from })
      const here = found.map((item) => ({ ...item, handle: `${keptHandle}${item.handle}` }))
      return here.length < limit ? [...here, ...(await page(there, { limit: limit - here.length }))] : here
    }
    return page(there, { limit, ...(after === undefined ? {} : { after }) })
  }
}

function stronger(a: CancelResult, b: CancelResult): CancelResult {
  return a === 'signalled' || b === 'unknown' ? a : b
}
