// What members do about the log of their group: whoever holds a partition carries out what concerns it.
import { SpillwayError } from '../core/errors.ts'
import type { StreamPort, StreamRecord } from '../ports/stream.ts'
import type { Assignment, Task } from './assignment.ts'
import type { RedriveOrder, UnparkOrder } from './group-entry.ts'
import type { GroupLog, GroupRecord } from './group-log.ts'
import type { SubscriptionPlan } from './plan.ts'
import type { WindowEntry } from './window.ts'

const waitMs = 5_000
const fetchMs = 1_000

export interface OrdersEvents {
  /** The partitions that are read for: held, and with room. */
  readable(): Assignment[]
  run(tasks: readonly Task[]): void
  replay(assignment: Assignment, position: number, at: WindowEntry): void
  unpark(assignment: Assignment, order: UnparkOrder, at: WindowEntry): void
  report(error: SpillwayError): void
  /** Waits after a failure that may pass; throws one that will not. */
  recover(thrown: unknown, failures: number): Promise<void>
}

export class Orders {
  readonly #port: StreamPort
  readonly #plan: SubscriptionPlan
  readonly #log: GroupLog
  readonly #events: OrdersEvents
  #reading = new AbortController()
  #waiting = false

  constructor(port: StreamPort, plan: SubscriptionPlan, log: GroupLog, events: OrdersEvents) {
    this.#port = port
    this.#plan = plan
    this.#log = log
    this.#events = events
  }

  /** The partitions changed: reading begins anew. */
  interrupt(): void {
    this.#reading.abort()
  }

  /** There is room again. */
  freed(): void {
    if (this.#waiting && this.#events.readable().length > 0) this.interrupt()
  }

  async run(stopping: AbortSignal): Promise<void> {
    for (let failures = 0; !stopping.aborted; ) {
      const readable = this.#events.readable()
      this.#reading = new AbortController()
      const { signal } = this.#reading
      if (readable.length === 0) {
        this.#waiting = true
        await untilAborted(signal)
        this.#waiting = false
        continue
      }
      try {
        const position = Math.min(...readable.map(({ orders }) => orders.window.cursor))
        for (const record of await this.#log.read(position, waitMs, signal))
          await this.#take(record, readable)
        failures = 0
      } catch (thrown) {
        if (stopping.aborted) return
        failures += 1
        await this.#events.recover(thrown, failures)
      }
    }
  }

  async #take(
    { position, appendedAt, entry, malformed }: GroupRecord,
    readable: readonly Assignment[],
  ): Promise<void> {
    const concerned = readable.filter(({ orders, draining }) => !draining && position >= orders.window.cursor)
    const body =
      entry?.kind === 'redrive' && concerned.some(isOf(entry)) ? await this.#bodyOf(entry) : undefined
    for (const assignment of concerned) {
      const { window } = assignment.orders
      const at = window.add(position)
      const done = () => {
        window.finish(at)
        assignment.ordersToStore = true
      }
      if (entry?.kind === 'redrive' && isOf(entry)(assignment)) {
        if (assignment.orders.wasFinished(position) || body === undefined) done()
        else this.#redrive(assignment, entry, body, appendedAt, at)
      } else if (entry?.kind === 'replay') {
        const to = entry.positions.find(({ partition }) => partition === assignment.partition)
        if (!to || assignment.orders.wasFinished(position)) done()
        else this.#events.replay(assignment, to.position, at)
      } else if (entry?.kind === 'unpark') {
        if (assignment.orders.wasFinished(position)) done()
        else this.#events.unpark(assignment, entry, at)
      } else if (malformed !== undefined) {
        if (!assignment.orders.wasFinished(position)) this.#setAside(assignment, position, malformed)
        done()
      } else window.finish(at)
    }
  }

  /** Nobody will ever be able to carry it out: it is passed, and one member says so. */
  #setAside({ partition }: Assignment, position: number, why: string): void {
    if (partition !== 0) return
    const what = `The entry ${position} of ${this.#log.name} cannot be read and is passed over: ${why}.`
    this.#events.report(new SpillwayError('INVALID_MESSAGE', what))
  }

  #redrive(
    assignment: Assignment,
    { partition, position, key, letter }: RedriveOrder,
    body: string,
    appendedAt: number,
    at: WindowEntry,
  ): void {
    const record = { partition, position, key, body, appendedAt, version: undefined }
    const task = assignment.acceptRedriven(record, at, letter)
    if (task) this.#events.run([task])
    else if (at.finished) assignment.ordersToStore = true
  }

  /** What was too large to be kept twice stands where it always stood, unless it was trimmed. */
  async #bodyOf(order: RedriveOrder): Promise<string | undefined> {
    if (order.body !== undefined) return order.body
    const { partition, position } = order
    const options = { maxRecords: 1, maxBytes: 1, waitMs: fetchMs }
    const [found]: readonly (StreamRecord | undefined)[] = await this.#port.read(
      this.#plan.stream,
      [{ partition, position }],
      options,
    )
    if (found?.position === position) return found.body
    // An engine that needs longer to fetch it must not make it a lost one.
    if (!found && !(await this.#isTrimmed(partition, position)))
      throw new SpillwayError(
        'ENGINE_UNAVAILABLE',
        `The event ${this.#plan.stream}/${partition}:${position}, which is to be handled again, could not be fetched within ${fetchMs} ms.`,
      )
    const what = `The event ${this.#plan.stream}/${partition}:${position} was to be handled again, and is no longer there.`
    this.#events.report(new SpillwayError('EVENTS_TRIMMED', what))
    return undefined
  }

  async #isTrimmed(partition: number, position: number): Promise<boolean> {
    const bounds = await this.#port.bounds(this.#plan.stream)
    const of = bounds.find((each) => each.partition === partition)
    return !of || position < of.earliest || position >= of.next
  }
}

function isOf({ partition }: RedriveOrder): (assignment: Assignment) => boolean {
  return (assignment) => assignment.partition === partition
}

/** Resolves when the signal fires. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
