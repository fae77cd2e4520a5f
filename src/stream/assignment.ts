// One partition while it is ours: how far it is, the lanes that keep each key in order, and what is suspected of its events.
import { openMessage } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import { decode, type Message } from '../core/message.ts'
import type { StreamRecord } from '../ports/stream.ts'
import type { EventDelivery } from './event-delivery.ts'
import type { Whence } from './group-entry.ts'
import type { Ledger } from './ledger.ts'
import type { Past } from './past.ts'
import { type FailurePolicy, failurePolicy, type Handled, type SubscriptionPlan } from './plan.ts'
import type { Prepared, Unpreparable } from './preparation.ts'
import { Shown } from './shown.ts'
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
  /** What its handler needs beside the message: undefined before it is there, and after the attempt. */
  prepared: Prepared | Unpreparable | undefined
  delivery: EventDelivery | undefined
  readonly whence: Whence
  /** For one that was redriven: the id of its dead letter. */
  readonly letter?: string
  /** For an event that was parked and runs again: to be called when it is parked no longer, or for good. */
  readonly unparked?: (outcome: 'handled' | 'failed') => void
}

/** What is parked of a partition. */
export interface Parked {
  count: number
  readonly keys: Set<string>
  /** Those without key that are being let go of. */
  keyless?: Promise<void>
}

export class Assignment {
  readonly partition: number
  /** How far it is in the stream, and in the log of its group. */
  readonly main: Ledger
  readonly orders: Ledger
  past: Past
  readonly shown: Shown = new Shown()
  /** Set when the partition is to be given away: nothing new starts. */
  draining = false
  #gone = false
  readonly #ended = Promise.withResolvers<void>()
  /** What the engine is known to have stored as our position. */
  advisedLow = -1
  /** Orders that were finished and are not yet known to be stored. */
  ordersToStore = false
  readonly #plan: SubscriptionPlan
  /** Per key: the tasks that wait for the one under way. A key without an entry is idle. */
  readonly #lanes = new Map<string, (Task | (() => void))[]>()

  /** Per key: the task that has its turn, and only waits until there is room to park it. */
  readonly #roomless = new Map<string, Task>()

  /** Undefined where there is nowhere to park. */
  readonly parked: Parked | undefined

  constructor(
    plan: SubscriptionPlan,
    partition: number,
    main: Ledger,
    orders: Ledger,
    past: Past,
    parked?: Parked,
  ) {
    this.parked = parked
    this.#plan = plan
    this.partition = partition
    this.main = main
    this.orders = orders
    this.past = past
  }

  /** True once the partition is no longer ours: nothing of it counts any more. */
  get gone(): boolean {
    return this.#gone
  }

  /** Resolves when nothing of it counts any more. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  end(): void {
    this.draining = true
    this.#gone = true
    this.#ended.resolve()
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
    return this.#entered(this.#task(this.main, 'stream', record, entry, decoded))
  }

  /** Takes an event in that is to be handled again; `at` is its place in the log of the group, `letter` the id of its dead letter. */
  acceptRedriven(record: StreamRecord, at: WindowEntry, letter?: string): Task | undefined {
    const more = letter === undefined ? {} : { letter }
    return this.#entered(this.#task(this.orders, 'group', record, at, decode(record.body), more))
  }

  /** An event that was parked, to run again while the lane of its key is held. */
  parkedTask(record: StreamRecord, unparked: NonNullable<Task['unparked']>): Task | undefined {
    const entry = { position: record.position, producer: undefined, sequence: 0, finished: true }
    return this.#task(this.main, 'parked', record, entry, decode(record.body), { unparked })
  }

  /** Calls `start` once nothing of the key is under way; until `release` nothing else of it is. */
  hold(key: string, start: () => void): void {
    const lane = this.#lanes.get(key)
    const roomless = this.#roomless.get(key)
    if (lane && !roomless) {
      lane.push(start)
      return
    }
    // It waits for room that only those before it can make: they go first.
    if (lane && roomless) lane.unshift(roomless)
    else this.#lanes.set(key, [])
    this.#roomless.delete(key)
    start()
  }

  /** The task was not begun: it has its turn, and there is no room to park it behind those of its key. */
  waitForRoom(task: Task): void {
    if (task.record.key !== undefined) this.#roomless.set(task.record.key, task)
  }

  /** False when the turn of the task has passed to those that are parked before it: it comes when they are through. */
  hasItsTurn(task: Task): boolean {
    const { key } = task.record
    return key !== undefined && this.#roomless.get(key) === task && this.#roomless.delete(key)
  }

  /** What is under way of a key has ended. Returns the task that comes next, if one waits. */
  release(key: string | undefined): Task | undefined {
    if (key === undefined) return undefined
    const lane = this.#lanes.get(key)
    const next = lane?.shift()
    if (typeof next === 'object') return next
    if (next) next()
    else this.#lanes.delete(key)
    return undefined
  }

  #task(
    ledger: Ledger,
    log: Whence,
    record: StreamRecord,
    entry: WindowEntry,
    decoded: Message | SpillwayError,
    more: Pick<Task, 'unparked' | 'letter'> = {},
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
      prepared: undefined,
      delivery: undefined,
      whence: log,
      ...more,
    }
    return task
  }

  #entered(task: Task | undefined): Task | undefined {
    return task && this.#enterLane(task) ? task : undefined
  }

  /** The event is settled for good. Returns the next task of its key, if one waits. */
  finish(task: Task): Task | undefined {
    task.ledger.window.finish(task.entry)
    if (task.ledger === this.orders) this.ordersToStore = true
    return this.release(task.record.key)
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
