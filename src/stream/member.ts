// A member of a consumer group at work: joins, reads ahead, runs handlers, keeps progress, gives partitions back.
import { backoff } from '../core/backoff.ts'
import { blockedLoop } from '../core/blocked-loop.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { asError, asSpillwayError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import { isOutcome } from '../core/outcome.ts'
import type { CommittedPosition, Membership, StreamPort } from '../ports/stream.ts'
import { Assignment, type Task } from './assignment.ts'
import { deadEvent, deadStream } from './dead-events.ts'
import { EventDelivery } from './event-delivery.ts'
import type { SubscriptionPlan } from './plan.ts'
import { startPositions } from './start.ts'

/** Events that are ready to run, over all partitions; and records from the first unfinished one on, for each. */
const readAhead = 2_000
const heldUp = 5_000
/** How often progress is stored where no handler's transaction stores it. */
const storeEveryMs = 200
const lingerMs = 1_000

export interface MemberSettings {
  readonly concurrency: number
  readonly sessionMs: number
}

export class Member {
  readonly #port: StreamPort
  readonly #plan: SubscriptionPlan
  readonly #clock: Clock
  readonly #settings: MemberSettings
  /** The partitions that the engine says are ours; those being acquired; those being worked on. */
  readonly #ours = new Set<number>()
  readonly #taking = new Map<number, object>()
  readonly #assignments = new Map<number, Assignment>()
  readonly #running = new Set<Task>()
  #ready: Task[] = []
  #membership: Membership | undefined
  #reading = new AbortController()
  #storing: Promise<void> = Promise.resolve()
  #waiters: (() => void)[] = []
  #stopping = false
  /** How many partitions are being read, and whether others were passed over because they had no room. */
  #reads = 0
  #leftOut = false
  #failure: Error | undefined

  constructor(port: StreamPort, plan: SubscriptionPlan, clock: Clock, settings: MemberSettings) {
    this.#port = port
    this.#plan = plan
    this.#clock = clock
    this.#settings = settings
  }

  async run(stopping: AbortSignal, abandon: AbortSignal): Promise<void> {
    stopping.addEventListener('abort', () => this.#interrupt(), { once: true })
    const abort = () => this.#abortAll(new SpillwayError('ABORTED', 'The subscription is stopping.'))
    abandon.addEventListener('abort', abort, { once: true })
    await this.#persist(stopping, () => this.#port.declare({ name: deadStream(this.#plan), partitions: 1 }))
    await this.#persist(stopping, async () => {
      this.#membership = await this.#port.join(this.#plan.stream, this.#plan.group, {
        sessionMs: this.#settings.sessionMs,
        assigned: (partitions) => this.#assigned(partitions),
        revoked: (partitions, lost) => this.#revoked(partitions, lost),
        failed: (error) => this.#fail(error),
      })
    })
    const cancelTick = this.#everyTick()
    try {
      await this.#readUntil(stopping)
    } finally {
      this.#stopping = true
      cancelTick()
      await this.#membership?.leave().catch((thrown) => this.#report(asSpillwayError(thrown)))
      abandon.removeEventListener('abort', abort)
    }
  }

  async #readUntil(stopping: AbortSignal): Promise<void> {
    let failures = 0
    while (!stopping.aborted) {
      if (this.#failure) throw this.#failure
      const from = this.#readable(readAhead)
      this.#reads = from.length
      this.#leftOut = from.length < this.#assignments.size
      this.#reading = new AbortController()
      if (from.length === 0) {
        await this.#untilInterrupted(this.#reading.signal)
        continue
      }
      try {
        const options = { maxRecords: 500, maxBytes: 4 << 20, waitMs: 30_000, signal: this.#reading.signal }
        const records = await this.#port.read(this.#plan.stream, from, options)
        failures = 0
        for (const record of records) {
          const assignment = this.#assignments.get(record.partition)
          if (!assignment || assignment.draining) continue
          const task = assignment.accept(record)
          if (task) this.#ready.push(task)
        }
        this.#runReady()
      } catch (thrown) {
        if (stopping.aborted) return
        failures += 1
        await this.#recover(thrown, failures, stopping)
      }
    }
  }

  /** The partitions with room, each from its cursor; none while `most` events are ready to run. */
  #readable(most: number): { partition: number; position: number }[] {
    if (this.#ready.length + this.#running.size >= most) return []
    return [...this.#assignments.values()]
      .filter((assignment) => !assignment.draining && assignment.window.size < heldUp)
      .map(({ partition, window }) => ({ partition, position: window.cursor }))
  }

  #assigned(partitions: readonly CommittedPosition[]): void {
    for (const { partition, position } of partitions) {
      this.#ours.add(partition)
      void this.#take(partition, position)
    }
  }

  /** Raises the generation where a database keeps it, and starts from the stored position. */
  async #take(partition: number, committed: number | null): Promise<void> {
    const token = {}
    this.#taking.set(partition, token)
    const stillOurs = () => this.#taking.get(partition) === token && !this.#stopping
    for (let failures = 1; stillOurs(); failures++) {
      try {
        const { store, stream, group } = this.#plan
        const held = store ? await store.acquire(stream, group, partition) : undefined
        const position = (store ? held?.position : committed) ?? (await this.#firstPosition(partition))
        if (!stillOurs()) return
        this.#taking.delete(partition)
        this.#assignments.set(partition, new Assignment(this.#plan, partition, position, held))
        this.#interrupt()
        return
      } catch (thrown) {
        await this.#recover(thrown, failures).catch((error) => this.#fail(error))
      }
    }
  }
  async #firstPosition(partition: number): Promise<number> {
    const bounds = await this.#port.bounds(this.#plan.stream)
    const starts = await startPositions(this.#port, this.#plan.stream, this.#plan.from ?? 'earliest', bounds)
    return starts.find((start) => start.partition === partition)?.position ?? 0
  }

  async #revoked(partitions: readonly number[], lost: boolean): Promise<void> {
    const leaving: Assignment[] = []
    for (const partition of partitions) {
      this.#ours.delete(partition)
      this.#taking.delete(partition)
      const assignment = this.#assignments.get(partition)
      if (assignment) leaving.push(assignment)
    }
    for (const assignment of leaving) {
      assignment.draining = true
      if (lost) this.#drop(assignment, 'its session expired')
    }
    this.#ready = this.#ready.filter((task) => !task.assignment.draining)
    const busy = () => [...this.#running].some((task) => leaving.includes(task.assignment))
    const cancel = this.#clock.after(this.#settings.sessionMs / 2, () => {
      for (const assignment of leaving) this.#drop(assignment, 'its partition was given to another member')
    })
    while (busy()) await new Promise<void>((resolve) => this.#waiters.push(resolve))
    cancel()
    if (!lost) await this.#store(leaving.filter((assignment) => !assignment.gone))
    for (const assignment of leaving)
      if (this.#assignments.get(assignment.partition) === assignment)
        this.#assignments.delete(assignment.partition)
    this.#interrupt()
  }

  /** The partition is no longer ours: nothing under way counts, and it is told so. */
  #drop(assignment: Assignment, why: string): void {
    assignment.gone = true
    assignment.draining = true
    for (const task of this.#running) {
      if (task.assignment !== assignment) continue
      const what = `Event ${assignment.partition}:${task.record.position} of ${this.#plan.stream} was under way when ${why}.`
      this.#end(task)
      task.delivery?.abort(new SpillwayError('LEASE_LOST', what))
    }
    this.#ready = this.#ready.filter((task) => task.assignment !== assignment)
  }

  /** Another member raised the generation: if the engine still holds the partition ours, take it again from the store. */
  #retake(assignment: Assignment): void {
    if (assignment.gone) return
    this.#drop(assignment, 'another member took its partition')
    if (this.#assignments.get(assignment.partition) !== assignment) return
    this.#assignments.delete(assignment.partition)
    this.#clock.after(100 + Math.random() * 400, () => {
      if (
        !this.#stopping &&
        this.#ours.has(assignment.partition) &&
        !this.#assignments.has(assignment.partition)
      )
        void this.#take(assignment.partition, null)
    })
  }
  #runReady(): void {
    while (this.#running.size < this.#settings.concurrency && this.#ready.length > 0) {
      const task = this.#ready.shift()!
      if (task.assignment.draining) continue
      task.attempt += 1
      task.delivery = new EventDelivery(
        task.record,
        task.attempt,
        this.#clock.now() + task.policy.deadlineMs,
        () => (this.#plan.store ? task.assignment.progress(task.entry) : undefined),
      )
      this.#running.add(task)
      void this.#run(task, task.delivery)
    }
  }

  async #run(task: Task, delivery: EventDelivery): Promise<void> {
    try {
      const message = task.message instanceof Promise ? await task.message : task.message
      if (message instanceof SpillwayError || !task.handled) {
        const error =
          message instanceof SpillwayError
            ? message
            : new SpillwayError('INTERNAL', 'An event had no handler.')
        this.#report(error, this.#nameOf(task))
        await this.#bury(task, delivery, error.message)
        return
      }
      const result = await task.handled.handler(message, delivery)
      if (delivery.ended) return
      if (result === 'stale') this.#retake(task.assignment)
      else if (!isOutcome(result)) this.#done(task, result === 'committed')
      else if (result.outcome === 'dead-letter') await this.#bury(task, delivery, result.reason)
      else await this.#again(task, delivery, result.reason ?? 'the handler asked for a retry', result.delayMs)
    } catch (thrown) {
      if (delivery.ended) return
      if (this.#stopping && delivery.signal.aborted) return this.#end(task)
      const error = asError(thrown)
      const what = `Handling event ${this.#nameOf(task)} failed at attempt ${task.attempt}: ${error.message}.`
      this.#report(new SpillwayError('HANDLER_FAILED', what, { cause: thrown }), this.#nameOf(task))
      await this.#again(task, delivery, error.message).catch((failure) => this.#burialFailed(task, failure))
    }
  }

  #done(task: Task, stored: boolean): void {
    this.#end(task)
    const { assignment } = task
    if (assignment.gone) return
    const next = assignment.finish(task)
    if (stored) assignment.storedLow = Math.max(assignment.storedLow, task.delivery?.markedLow ?? -1)
    if (next && !assignment.draining) this.#ready.push(next)
    this.#runReady()
    if (this.#leftOut) this.#readMore()
  }

  /** Frees the place of a task. */
  #end(task: Task): void {
    task.delivery?.end()
    if (!this.#running.delete(task)) return
    for (const wake of this.#waiters.splice(0)) wake()
    this.#runReady()
  }

  async #again(task: Task, delivery: EventDelivery, reason: string, delayMs?: number): Promise<void> {
    const { retry, onFailure } = task.policy
    if (task.attempt >= retry.attempts && onFailure === 'skip') {
      await this.#bury(task, delivery, `attempt ${task.attempt} of ${retry.attempts}: ${reason}`)
      return
    }
    this.#end(task)
    this.#clock.after(delayMs ?? backoff(retry, task.attempt), () => {
      if (task.assignment.draining) return
      this.#ready.push(task)
      this.#runReady()
    })
  }

  /** To the dead letters: with a database in the transaction that marks the event as handled, else before the mark. */
  async #bury(task: Task, delivery: EventDelivery, reason: string): Promise<void> {
    const dead = deadEvent(this.#plan, task.record, reason, task.attempt, this.#clock)
    const { store } = this.#plan
    if (store) {
      const destination = { kind: 'stream' as const, name: deadStream(this.#plan) }
      const outbox = [{ destination, id: dead.id, key: undefined, body: dead.body }]
      const progress = delivery.progress()
      const outcome = await store.commit({ outbox, progress, timeoutMs: 5_000 })
      if (delivery.ended) return
      if (outcome === 'stale') this.#retake(task.assignment)
      else this.#done(task, true)
      return
    }
    await this.#port.append(deadStream(this.#plan), [{ partition: 0, body: dead.body }])
    if (!delivery.ended) this.#done(task, false)
  }

  /** The dead letters could not be reached: the event is tried again later rather than lost. */
  #burialFailed(task: Task, thrown: unknown): void {
    this.#report(asSpillwayError(thrown), this.#nameOf(task))
    this.#end(task)
    this.#clock.after(1_000, () => {
      if (task.assignment.draining) return
      this.#ready.push(task)
      this.#runReady()
    })
  }

  #everyTick(): () => void {
    const deadlines = [...this.#plan.handlers.values()].map(({ policy }) => policy.deadlineMs / 2)
    const tickMs = Math.max(10, Math.min(storeEveryMs, ...deadlines))
    let cancel = () => {}
    let last = this.#clock.now()
    const tick = () => {
      const now = this.#clock.now()
      const blocked = blockedLoop(now - last - tickMs, this.#settings.sessionMs, 'session')
      if (blocked) this.#report(blocked)
      last = now
      for (const task of this.#running)
        if (task.delivery && now >= task.delivery.deadlineAt) this.#timeOut(task, task.delivery)
      void this.#store([...this.#assignments.values()].filter((assignment) => !assignment.gone))
      cancel = this.#clock.after(tickMs, tick)
    }
    cancel = this.#clock.after(tickMs, tick)
    return () => cancel()
  }

  #timeOut(task: Task, delivery: EventDelivery): void {
    const error = new SpillwayError(
      'HANDLER_TIMEOUT',
      `Event ${this.#nameOf(task)} was not handled within ${task.policy.deadlineMs} ms.`,
    )
    this.#report(error, this.#nameOf(task))
    delivery.abort(error)
    void this.#again(task, delivery, error.message).catch((failure) => this.#burialFailed(task, failure))
  }

  /** Stores how far the partitions are, one call at a time. */
  #store(assignments: readonly Assignment[]): Promise<void> {
    const moved = assignments.filter((assignment) => assignment.window.low > assignment.advisedLow)
    if (moved.length === 0) return this.#storing
    this.#storing = this.#storing.then(() => this.#storeNow(moved))
    return this.#storing
  }

  async #storeNow(assignments: readonly Assignment[]): Promise<void> {
    try {
      for (const assignment of assignments) {
        if (!this.#plan.store || assignment.window.low <= assignment.storedLow) continue
        const progress = assignment.progressSoFar()
        const outcome = await this.#plan.store.commit({ outbox: [], progress, timeoutMs: 5_000 })
        if (outcome === 'stale') this.#retake(assignment)
        else assignment.storedLow = progress.low
      }
      const kept = assignments.filter((assignment) => !assignment.gone)
      const positions = kept.map(({ partition, window }) => ({ partition, position: window.low }))
      const results = (await this.#membership?.commit(positions)) ?? []
      results.forEach((result, index) => {
        const assignment = kept[index]!
        if (result === 'committed') assignment.advisedLow = positions[index]!.position
        else if (!this.#plan.store) this.#drop(assignment, 'another member took its partition')
      })
    } catch (thrown) {
      this.#report(asSpillwayError(thrown))
    }
  }

  #abortAll(error: SpillwayError): void {
    for (const task of this.#running) task.delivery?.abort(error)
    this.#clock.after(lingerMs, () => {
      for (const task of [...this.#running]) this.#end(task)
    })
  }

  /** It cannot go on: reading ends with this error. */
  #fail(error: Error): void {
    this.#failure ??= error
    this.#interrupt()
  }

  #interrupt(): void {
    this.#reading.abort()
  }

  /** Reading passed over partitions without room: it begins anew as soon as one of them has some again. */
  #readMore(): void {
    if (this.#readable(readAhead / 2).length <= this.#reads) return
    this.#leftOut = false
    this.#interrupt()
  }

  async #untilInterrupted(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  async #persist(stopping: AbortSignal, act: () => Promise<unknown>): Promise<void> {
    for (let failures = 1; !stopping.aborted; failures++) {
      try {
        await act()
        return
      } catch (thrown) {
        await this.#recover(thrown, failures, stopping)
      }
    }
  }

  /** Waits a growing time after a passing failure; throws one that will not pass. */
  async #recover(thrown: unknown, failures: number, signal?: AbortSignal): Promise<void> {
    if (isSpillwayError(thrown) && !thrown.retryable) throw thrown
    this.#report(asSpillwayError(thrown))
    const delay = 50 + backoff({ attempts: 0, initialMs: 100, maxMs: 5_000 }, failures)
    await sleep(this.#clock, delay, signal).catch(() => {})
  }

  #nameOf(task: Task): string {
    return `${this.#plan.stream}/${task.record.partition}:${task.record.position}`
  }

  #report(error: SpillwayError, messageId?: string): void {
    this.#plan.onReport?.({ from: `the group ${this.#plan.group} on ${this.#plan.stream}`, error, messageId })
  }
}
