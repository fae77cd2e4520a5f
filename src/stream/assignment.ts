// One partition while it is ours: how far it is, the lanes that keep each key in order, and what is suspected of its events.
import { openMessage } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import { decode, type Message } from '../core/message.ts'
import type { StreamRecord } from '../ports/stream.ts'
import type { EventDelivery } from './event-delivery.ts'
import type { Ledger } from './ledger.ts'
import type { Past } from './past.ts'
import { type FailurePolicy, failurePolicy, type Handled, type SubscriptionPlan } from './plan.ts'
import type { Window, WindowEntry } from './window.ts'

/** For events that have no handler: all that happens to them is their burial. */
const unhandled = failurePolicy({})

/** An event on its way through its handler. */
export interface Task {
  readonly assignment: Assignment
  /** Where it is finished: in the stream, or in the log of the group. */
  readonly ledger: Ledger
  readonly record: StreamRecord
  readonly entry: WindowEntry
  /** Without one there is nothing to run: `unreadable` says why. */
  readonly handled: Handled | undefined
  readonly policy: FailurePolicy
  readonly message: Message | SpillwayError | Promise<Message | SpillwayError>
  attempt: number
  /** It may have killed a process: it runs alone, and each attempt is written down before it starts. */
  readonly suspect: boolean
  /** How many processes it killed for certain. */
  readonly killed: number
  delivery: EventDelivery | undefined
}

export class Assignment {
  readonly partition: number
  /** How far it is in the stream, and in the log of its group. */
  readonly main: Ledger
  readonly orders: Ledger
  past: Past
  /** Set when the partition is to be given away: nothing new starts. */
  draining = false
  /** Set when the partition is no longer ours: nothing of it counts any more. */
  gone = false
  /** What the engine is known to have stored as our position. */
  advisedLow = -1
  /** Orders that were finished and are not yet known to be stored. */
  ordersToStore = false
  readonly #plan: SubscriptionPlan
  /** Per key: the tasks that wait for the one under way. A key without an entry is idle. */
  readonly #lanes = new Map<string, Task[]>()

  constructor(plan: SubscriptionPlan, partition: number, main: Ledger, orders: Ledger, past: Past) {
    this.#plan = plan
    this.partition = partition
    this.main = main
    this.orders = orders
    this.past = past
  }

  get window(): Window {
    return this.main.window
  }

  /** Takes the next record in; returns its task when it can run now, undefined when it waits for its key or needs no handling. */
  accept(record: StreamRecord): Task | undefined {
    if (record.position < this.window.cursor) return undefined
    const decoded = decode(record.body)
    const { producerid: producer, sequence: digits } = decoded instanceof SpillwayError ? {} : decoded
    const sequence = Number(digits)
    const numbered = typeof producer === 'string' && Number.isSafeInteger(sequence)
    const repeated = numbered && this.window.isRepeated(producer, sequence)
    const entry = this.window.add(record.position, numbered ? producer : undefined, numbered ? sequence : 0)
    if (repeated || this.main.wasFinished(record.position)) {
      this.window.finish(entry)
      return undefined
    }
    return this.#task(this.main, 'stream', record, entry, decoded)
  }

  /** Takes an event in that is to be handled again; `at` is its place in the log of the group. */
  acceptRedriven(record: StreamRecord, at: WindowEntry): Task | undefined {
    return this.#task(this.orders, 'group', record, at, decode(record.body))
  }

  #task(
    ledger: Ledger,
    log: 'stream' | 'group',
    record: StreamRecord,
    entry: WindowEntry,
    decoded: Message | SpillwayError,
  ): Task | undefined {
    const unreadable = decoded instanceof SpillwayError
    const handled = unreadable ? undefined : this.#plan.handlers.get(decoded.type)
    if (!handled && !unreadable && !this.#plan.strictTypes) {
      ledger.window.finish(entry)
      return undefined
    }
    const message = unreadable
      ? decoded
      : handled
        ? openMessage(handled.contract, decoded)
        : new SpillwayError(
            'INVALID_MESSAGE',
            `Event ${decoded.id} has the type ${decoded.type}, which has no handler in the group ${this.#plan.group}.`,
          )
    const killed = this.past.killed(log, entry.position)
    const task: Task = {
      assignment: this,
      ledger,
      record,
      entry,
      handled,
      policy: handled?.policy ?? unhandled,
      message,
      attempt: killed,
      suspect: this.past.isSuspect(log, entry.position),
      killed,
      delivery: undefined,
    }
    return this.#enterLane(task) ? task : undefined
  }

  /** The event is settled for good. Returns the next task of its key, if one waits. */
  finish(task: Task): Task | undefined {
    task.ledger.window.finish(task.entry)
    if (task.ledger === this.orders) this.ordersToStore = true
    const { key } = task.record
    if (key === undefined) return undefined
    const lane = this.#lanes.get(key)
    const next = lane?.shift()
    if (!next) this.#lanes.delete(key)
    return next
  }

  #enterLane(task: Task): boolean {
    const { key } = task.record
    if (key === undefined) return true
    const lane = this.#lanes.get(key)
    if (lane) lane.push(task)
    else this.#lanes.set(key, [])
    return lane === undefined
  }
}
