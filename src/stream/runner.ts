// Runs the handlers of a subscription: so many at a time, each within its deadline, again after a failure, or to the dead letters.
import { backoff } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { asError, asSpillwayError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { outcomeOf, reasonText } from '../core/outcome.ts'
import { guarded } from '../core/report.ts'
import type { OnSettled, Settled } from '../core/settled.ts'
import type { CommitOutcome } from '../ports/database.ts'
import type { StreamPort } from '../ports/stream.ts'
import type { Assignment, Task } from './assignment.ts'
import { deadEvent, deadStream } from './dead-events.ts'
import { EventDelivery, type EventMark } from './event-delivery.ts'
import type { SubscriptionPlan } from './plan.ts'
import { needsPreparing, Preparing } from './preparing.ts'

/** How long after its abort an attempt may linger before it no longer counts. */
const lingerMs = 1_000
const buryAgainMs = 1_000
/** What is parked of one partition at most; how long an event waits for room. */
const mostParked = 10_000
const parkAgainMs = 1_000
const waits = 'an event of its key was parked before it'
const triedOn =
  "It is tried again until it succeeds, and later events of its key wait; `onFailure: 'skip'` or `'park'` would set it aside."

/** Where dead letters go when no database keeps them until a relay sends them. */
type DeadLetters = Pick<StreamPort, 'limits' | 'append'>

export interface RunnerEvents {
  /** A place or room became free. */
  freed(): void
  /** A suspect is about to run for the n-th time, or (one less) its attempt has ended: to be written down first. */
  mark(task: Task, attempt: number): Promise<void>
  /** No more can be parked of this partition. */
  full(assignment: Assignment): void
  /** Another member raised the generation of this partition. */
  stale(assignment: Assignment): void
  report(error: SpillwayError, messageId?: string): void
}

export class Runner {
  readonly #port: DeadLetters
  readonly #plan: SubscriptionPlan
  readonly #clock: Clock
  readonly #concurrency: number
  readonly #events: RunnerEvents
  readonly #onSettled: OnSettled | undefined
  readonly #running = new Set<Task>()
  readonly #preparing: Preparing
  #ready: Task[] = []
  /** The one suspect that runs, and those that wait for it. */
  #suspect: Task | undefined
  #suspects: Task[] = []
  /** Cancels the timers of tasks that wait for another attempt. */
  readonly #resting = new Map<Task, () => void>()
  #waiters: (() => void)[] = []
  #stopping = false

  constructor(
    port: DeadLetters,
    plan: SubscriptionPlan,
    clock: Clock,
    concurrency: number,
    events: RunnerEvents,
  ) {
    this.#port = port
    this.#plan = plan
    this.#clock = clock
    this.#concurrency = concurrency
    this.#events = events
    this.#onSettled = plan.onSettled && guarded(plan.onSettled, 'onSettled')
    this.#preparing = new Preparing((task) => {
      this.#ready.push(task)
      this.runReady()
    })
  }

  /** Tasks that run, or that only wait for a place. What waits to be prepared does not keep others from being read. */
  get load(): number {
    return this.#ready.length + this.#suspects.length + this.#running.size
  }

  /** The turn of the task in its key has come. */
  add(task: Task): void {
    const coming = this.#passOver(task)
    if (!coming || this.#stopping || coming.assignment.draining) return
    if (needsPreparing(coming, isSetAside(coming))) this.#preparing.add(coming)
    else this.#ready.push(coming)
  }

  /** The first of its key, from this one on, that a handler is to run for. */
  #passOver(task: Task): Task | undefined {
    const { assignment } = task
    let coming: Task | undefined = task
    while (coming && !assignment.draining && assignment.shown.isCovered(coming))
      coming = assignment.finish(coming)
    if (coming !== task) this.#events.freed()
    return coming
  }

  runReady(): void {
    while (!this.#stopping && this.#running.size < this.#concurrency && this.#ready.length > 0) {
      const task = this.#ready.shift()!
      if (task.assignment.draining) {
        this.#preparing.release(task)
        if (task.suspect) this.#nextSuspect()
        continue
      }
      // Its key was parked when its turn came, and is not any more.
      if (needsPreparing(task, isSetAside(task))) {
        this.#preparing.add(task)
        if (task.suspect) this.#nextSuspect()
        continue
      }
      if (task.suspect) {
        if (this.#suspect) {
          this.#suspects.push(task)
          continue
        }
        this.#suspect = task
      }
      task.attempt += 1
      const deadlineAt = this.#clock.elapsed() + task.policy.deadlineMs
      task.delivery = new EventDelivery(task.record, task.attempt, deadlineAt, () => this.#markOf(task))
      this.#running.add(task)
      void this.#run(task, task.delivery)
    }
  }

  /** Starts nothing more. What runs goes on. */
  stopStarting(): void {
    this.#stopping = true
    this.#preparing.withdraw(() => true)
    this.#ready = []
    this.#suspects = []
    for (const cancel of this.#resting.values()) cancel()
    this.#resting.clear()
  }

  /** Ends the attempts that are past their deadline. */
  checkDeadlines(): void {
    const now = this.#clock.elapsed()
    for (const task of this.#running)
      if (task.delivery && !task.delivery.ended && now >= task.delivery.deadlineAt)
        this.#timeOut(task, task.delivery)
  }

  /** Nothing of these partitions starts any more; resolves when nothing of them runs. */
  async drained(of: readonly Assignment[]): Promise<void> {
    this.#withdraw((task) => of.includes(task.assignment))
    for (const [task, cancel] of this.#resting) if (of.includes(task.assignment)) this.#forget(task, cancel)
    while ([...this.#running].some((task) => of.includes(task.assignment))) await this.#untilEnded()
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await this.#untilEnded()
  }

  /** Nothing under way in this partition counts any more, and its handlers are told so. */
  drop(assignment: Assignment, why: string): void {
    for (const task of this.#running) {
      if (task.assignment !== assignment) continue
      const what = `Event ${this.nameOf(task)} was under way when ${why}.`
      this.#end(task)
      task.delivery?.abort(new SpillwayError('LEASE_LOST', what))
    }
    this.#withdraw((task) => task.assignment === assignment)
    for (const [task, cancel] of this.#resting) if (task.assignment === assignment) this.#forget(task, cancel)
  }

  /** Tells every handler to end; those that do not soon no longer count. */
  abortAll(error: SpillwayError): void {
    for (const task of this.#running) task.delivery?.abort(error)
    this.#clock.after(lingerMs, () => {
      for (const task of [...this.#running]) this.#end(task)
    })
  }

  nameOf(task: Task): string {
    return `${this.#plan.stream}/${task.record.partition}:${task.record.position}`
  }

  async #run(task: Task, delivery: EventDelivery): Promise<void> {
    try {
      if (task.whence === 'stream' && isParked(task)) return await this.#park(task, delivery, waits, 0)
      const message = task.message instanceof Promise ? await task.message : task.message
      if (message instanceof SpillwayError || !task.handled) {
        const error =
          message instanceof SpillwayError
            ? message
            : new SpillwayError('INTERNAL', 'An event had no handler.')
        this.#events.report(error, this.nameOf(task))
        await this.#bury(task, delivery, error.message)
        return
      }
      if (task.killed >= task.policy.retry.attempts) {
        task.attempt = task.killed
        await this.#giveUp(task, delivery, `its process ended ${task.killed} times while it was handled`)
        return
      }
      if (task.whence === 'group' && isParked(task)) {
        await this.#bury(task, delivery, 'its key is parked: let go of it first, then redrive')
        return
      }
      if (task.suspect && !(await this.#marked(task, delivery, task.killed + 1))) return
      const { prepared } = task
      if (prepared && 'thrown' in prepared) throw prepared.thrown
      const result = await task.handled.handler(message, delivery, prepared?.value)
      if (delivery.ended) return
      const said = outcomeOf(result)
      if (result === 'stale' && this.#plan.store) this.#events.stale(task.assignment)
      else if (!said) {
        task.assignment.shown.add(task)
        this.#done(task, result === 'committed')
        if (result === 'committed' || !task.assignment.gone) this.#tell(task, 'done')
      } else if (said.outcome === 'dead-letter') await this.#bury(task, delivery, said.reason)
      else await this.#again(task, delivery, said.reason ?? 'the handler asked for a retry', said.delayMs)
    } catch (thrown) {
      await this.#failed(task, delivery, thrown)
    }
  }

  /** Writes down that a suspect begins; without that it does not. */
  async #marked(task: Task, delivery: EventDelivery, attempt: number): Promise<boolean> {
    try {
      await this.#events.mark(task, attempt)
      return !delivery.ended
    } catch (thrown) {
      this.#events.report(asSpillwayError(thrown), this.nameOf(task))
      if (delivery.ended) return false
      this.#end(task)
      this.#rest(task, buryAgainMs)
      return false
    }
  }

  async #failed(task: Task, delivery: EventDelivery, thrown: unknown): Promise<void> {
    if (delivery.ended) return
    if (this.#stopping && delivery.signal.aborted) {
      this.#end(task)
      return
    }
    const error = asError(thrown)
    const what = `Handling event ${this.nameOf(task)} failed at attempt ${task.attempt}: ${error.message}.`
    const remedy = task.policy.onFailure === 'block' ? { remedy: triedOn } : {}
    const failure = new SpillwayError('HANDLER_FAILED', what, { cause: thrown, ...remedy })
    this.#events.report(failure, this.nameOf(task))
    await this.#again(task, delivery, error.message)
  }

  #timeOut(task: Task, delivery: EventDelivery): void {
    const what = `Event ${this.nameOf(task)} was not handled within ${task.policy.deadlineMs} ms.`
    const error = new SpillwayError('HANDLER_TIMEOUT', what)
    this.#events.report(error, this.nameOf(task))
    delivery.end()
    delivery.abort(error)
    void this.#again(task, delivery, error.message)
  }

  #done(task: Task, stored: boolean): void {
    this.#end(task)
    const { assignment } = task
    if (assignment.gone) return
    if (task.unparked) {
      task.unparked('handled')
      this.runReady()
      return
    }
    const next = assignment.finish(task)
    if (stored) task.ledger.storedLow = Math.max(task.ledger.storedLow, task.delivery?.markedLow ?? -1)
    if (next && !assignment.draining) this.add(next)
    this.runReady()
    this.#events.freed()
  }

  /** Frees the place of a task. */
  #end(task: Task): void {
    task.delivery?.end()
    this.#preparing.release(task)
    if (!this.#running.delete(task)) return
    if (this.#suspect === task) {
      this.#suspect = undefined
      // Whoever comes next is written down as the only one that runs; where nobody comes, that must be said.
      if (this.#suspects.length === 0 && !task.assignment.gone)
        void this.#events.mark(task, task.killed).catch(() => {})
      this.#nextSuspect()
    }
    for (const wake of this.#waiters.splice(0)) wake()
    this.runReady()
    this.#events.freed()
  }

  async #again(task: Task, delivery: EventDelivery, reason: string, delayMs?: number): Promise<void> {
    const { retry, onFailure } = task.policy
    if (task.attempt >= retry.attempts && onFailure !== 'block') {
      await this.#giveUp(task, delivery, `attempt ${task.attempt} of ${retry.attempts}: ${reason}`)
      return
    }
    this.#end(task)
    this.#rest(task, delayMs ?? backoff(retry, task.attempt))
    this.#tell(task, 'retried', reason)
  }

  /** It was not tried: it only waits behind another of its key. */
  #waitForRoom(task: Task): void {
    task.attempt -= 1
    task.assignment.waitForRoom(task)
    this.#rest(task, parkAgainMs, () => task.assignment.hasItsTurn(task))
  }

  #rest(task: Task, delayMs: number, goesOn = () => true): void {
    if (this.#stopping || task.assignment.draining) return
    const cancel = this.#clock.after(delayMs, () => {
      this.#resting.delete(task)
      if (!goesOn()) return
      this.add(task)
      this.runReady()
    })
    this.#resting.set(task, cancel)
  }

  #forget(task: Task, cancel: () => void): void {
    cancel()
    this.#resting.delete(task)
  }

  /** By its policy: put aside, or to the dead letters. What was redriven cannot be put aside: its place is not in the stream. */
  #giveUp(task: Task, delivery: EventDelivery, reason: string): Promise<void> {
    const parks = task.policy.onFailure === 'park' && task.whence !== 'group'
    return parks ? this.#park(task, delivery, reason, task.attempt) : this.#bury(task, delivery, reason)
  }

  /** Puts an event aside in the transaction that finishes it; says anew why, of one that was parked before. */
  async #park(task: Task, delivery: EventDelivery, why: string, attempts: number): Promise<void> {
    delivery.end()
    const { assignment, record } = task
    const { parked } = assignment
    const { store } = this.#plan
    if (!parked || !store || (parked.count >= mostParked && !task.unparked)) {
      this.#events.full(assignment)
      this.#end(task)
      if (attempts === 0) this.#waitForRoom(task)
      else this.#rest(task, parkAgainMs)
      return
    }
    const { position, key, body, appendedAt } = record
    const park = { position, key, body, appendedAt, reason: reasonText(why), attempts }
    const progress = task.unparked ? task.ledger.progressSoFar() : delivery.progress()
    try {
      const outcome = await store.commit({ outbox: [], progress, park, timeoutMs: 5_000 })
      if (assignment.gone) this.#end(task)
      else if (outcome === 'stale') this.#events.stale(assignment)
      else if (task.unparked) {
        this.#end(task)
        task.unparked('failed')
        this.#tell(task, 'parked', why)
      } else {
        if (outcome === 'committed') parked.count += 1
        if (key !== undefined) parked.keys.add(key)
        this.#done(task, true)
        this.#tell(task, 'parked', why)
      }
    } catch (thrown) {
      this.#events.report(asSpillwayError(thrown), this.nameOf(task))
      this.#end(task)
      this.#rest(task, buryAgainMs)
    }
  }

  #markOf({ ledger, entry, unparked, letter }: Task): EventMark {
    if (!this.#plan.store) return {}
    if (unparked) return { progress: ledger.progressSoFar(), unpark: entry.position }
    // Two who redrive the same letter order it twice: its id lets it have its effects once.
    const inbox = letter === undefined ? {} : { inbox: { consumer: deadStream(this.#plan), ids: [letter] } }
    return { progress: ledger.progress(entry), ...inbox }
  }

  /**
   * To the dead letters: with a database in the transaction that marks the event as handled, else before the mark. The
   * attempt has ended by then, so that the handler can commit no more; when the dead letters cannot be reached, the event
   * is tried again later rather than lost.
   */
  async #bury(task: Task, delivery: EventDelivery, reason: string): Promise<void> {
    delivery.end()
    try {
      const outcome = await this.#store(task, delivery, reason)
      if (task.assignment.gone) this.#end(task)
      else if (outcome === 'stale') this.#events.stale(task.assignment)
      else {
        this.#done(task, this.#plan.store !== undefined)
        this.#tell(task, 'dead-lettered', reason)
      }
    } catch (thrown) {
      this.#events.report(asSpillwayError(thrown), this.nameOf(task))
      this.#end(task)
      this.#rest(task, buryAgainMs)
    }
  }

  async #store(task: Task, delivery: EventDelivery, reason: string): Promise<CommitOutcome> {
    const { maxBodyBytes } = this.#port.limits
    const { id, body } = deadEvent(this.#plan, task.record, reason, task.attempt, this.#clock, maxBodyBytes)
    const name = deadStream(this.#plan)
    if (this.#plan.store) {
      const outbox = [{ destination: { kind: 'stream' as const, name }, id, key: undefined, body }]
      return this.#plan.store.commit({ outbox, ...delivery.mark(), timeoutMs: 5_000 })
    }
    await this.#port.append(name, [{ partition: 0, body }])
    return 'committed'
  }

  #tell({ handled, message, attempt }: Task, outcome: Settled['outcome'], reason?: string): void {
    if (!this.#onSettled) return
    const { group: by, stream } = this.#plan
    const type = handled?.contract.type ?? stream
    const tried = reason === waits ? 0 : attempt
    const why = reason === undefined ? {} : { reason }
    const tell = (opened: Message | SpillwayError) => {
      const given = opened instanceof SpillwayError ? undefined : opened
      this.#onSettled?.({ type, by, outcome, ...why, attempt: tried, message: given })
    }
    if (message instanceof Promise) void message.then(tell)
    else tell(message)
  }

  #nextSuspect(): void {
    if (this.#suspect) return
    const next = this.#suspects.shift()
    if (next) this.#ready.unshift(next)
  }

  /** Takes tasks back that only wait for a place. */
  #withdraw(which: (task: Task) => boolean): void {
    this.#preparing.withdraw(which)
    for (const task of [...this.#ready, ...this.#suspects]) if (which(task)) this.#preparing.release(task)
    this.#ready = this.#ready.filter((task) => !which(task))
    this.#suspects = this.#suspects.filter((task) => !which(task))
  }

  #untilEnded(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }
}

/** It is not going to run: it waits behind those of its key that are parked, or is refused for them. */
function isSetAside(task: Task): boolean {
  return task.whence !== 'parked' && isParked(task)
}

function isParked({ assignment, record: { key } }: Task): boolean {
  return key !== undefined && assignment.parked?.keys.has(key) === true
}
