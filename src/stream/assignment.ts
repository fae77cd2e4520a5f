// One partition while it is ours: its window, the lanes that keep each key in order, and its progress.
import { openMessage } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import { decode, type Message } from '../core/message.ts'
import type { HeldPartition, Progress } from '../ports/database.ts'
import type { StreamRecord } from '../ports/stream.ts'
import type { EventDelivery } from './event-delivery.ts'
import { type FailurePolicy, failurePolicy, type Handled, type SubscriptionPlan } from './plan.ts'
import { Window, type WindowEntry } from './window.ts'

/** For events that have no handler: all that happens to them is their burial. */
const unhandled = failurePolicy({})

/** An event on its way through its handler. */
export interface Task {
  readonly assignment: Assignment
  readonly record: StreamRecord
  readonly entry: WindowEntry
  /** Without one there is nothing to run: `unreadable` says why. */
  readonly handled: Handled | undefined
  readonly policy: FailurePolicy
  readonly message: Message | SpillwayError | Promise<Message | SpillwayError>
  attempt: number
  delivery: EventDelivery | undefined
}

export class Assignment {
  readonly partition: number
  readonly generation: number
  readonly window: Window
  /** Set when the partition is to be given away: nothing new starts. */
  draining = false
  /** Set when the partition is no longer ours: nothing of it counts any more. */
  gone = false
  /** What is known to be stored as our position, by the database and by the engine. */
  storedLow: number
  advisedLow = -1
  readonly #plan: SubscriptionPlan
  readonly #finishedBefore: Set<number>
  /** Per key: the tasks that wait for the one under way. A key without an entry is idle. */
  readonly #lanes = new Map<string, Task[]>()

  constructor(plan: SubscriptionPlan, partition: number, position: number, held: HeldPartition | undefined) {
    this.#plan = plan
    this.partition = partition
    this.generation = held?.generation ?? 0
    this.window = new Window(position, held?.sequences)
    this.storedLow = held?.position ?? -1
    this.#finishedBefore = new Set(held?.finished)
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
    if (repeated || this.#finishedBefore.delete(record.position)) {
      this.window.finish(entry)
      return undefined
    }
    const handled = decoded instanceof SpillwayError ? undefined : this.#plan.handlers.get(decoded.type)
    if (!handled && !(decoded instanceof SpillwayError) && !this.#plan.strictTypes) {
      this.window.finish(entry)
      return undefined
    }
    const message =
      decoded instanceof SpillwayError
        ? decoded
        : handled
          ? openMessage(handled.contract, decoded)
          : new SpillwayError(
              'INVALID_MESSAGE',
              `Event ${decoded.id} has the type ${decoded.type}, which has no handler in the group ${this.#plan.group}.`,
            )
    const policy = handled?.policy ?? unhandled
    const task: Task = {
      assignment: this,
      record,
      entry,
      handled,
      policy,
      message,
      attempt: 0,
      delivery: undefined,
    }
    return this.#enterLane(task) ? task : undefined
  }

  /** The event is settled for good. Returns the next task of its key, if one waits. */
  finish(task: Task): Task | undefined {
    this.window.finish(task.entry)
    const { key } = task.record
    if (key === undefined) return undefined
    const lane = this.#lanes.get(key)
    const next = lane?.shift()
    if (!next) this.#lanes.delete(key)
    return next
  }

  /** The mark that this event is handled, as it stands when its transaction commits. */
  progress(entry: WindowEntry): Progress {
    return this.#progress(entry.position, this.window.markWith(entry))
  }

  /** The mark that everything below `low` is handled. */
  progressSoFar(): Progress {
    const { low, sequences } = this.window
    return this.#progress(undefined, { low, sequences })
  }

  #progress(finished: number | undefined, mark: Pick<Progress, 'low' | 'sequences'>): Progress {
    const { stream, group } = this.#plan
    return { stream, group, partition: this.partition, generation: this.generation, finished, ...mark }
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
