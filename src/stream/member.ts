// A member of a consumer group: joins, takes partitions, reads ahead, and gives partitions back.
import { pauseAfter } from '../core/backoff.ts'
import { blockedLoop } from '../core/blocked-loop.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { asSpillwayError, isFinal, isSpillwayError, SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import { guarded } from '../core/report.ts'
import type { CommittedPosition, Membership, StreamPort, StreamRecord } from '../ports/stream.ts'
import type { Assignment, Task } from './assignment.ts'
import { deadStream } from './dead-events.ts'
import type { Handover } from './group-entry.ts'
import { GroupLog } from './group-log.ts'
import { LogWatch } from './log-watch.ts'
import { Orders, untilAborted } from './orders.ts'
import { noPast } from './past.ts'
import type { SubscriptionPlan } from './plan.ts'
import { ProgressKeeper } from './progress-keeper.ts'
import { Runner } from './runner.ts'
import { Taking } from './taking.ts'
import { unpark } from './unparking.ts'
import type { Window, WindowEntry } from './window.ts'

/** Events that are ready to run, over all partitions; and records from the first unfinished one on, for each. */
const readAhead = 2_000
const heldUp = 5_000
/** How often progress is stored where no handler's transaction stores it. */
const storeEveryMs = 200
/** How often it looks whether the stream still is the one that it reads. */
const lookEveryMs = 30_000

export interface MemberSettings {
  readonly concurrency: number
  readonly sessionMs: number
  readonly keepDeadMs: number
}

export class Member {
  readonly #port: StreamPort
  readonly #plan: SubscriptionPlan
  readonly #clock: Clock
  readonly #settings: MemberSettings
  readonly #runner: Runner
  readonly #keeper: ProgressKeeper
  readonly #id: string
  readonly #log: GroupLog
  readonly #watch: LogWatch
  readonly #orders: Orders
  readonly #report: (error: SpillwayError, messageId?: string) => void
  /** The partitions that the engine says are ours; those being acquired; those being worked on. */
  readonly #ours = new Set<number>()
  readonly #tokens = new Map<number, object>()
  readonly #taking: Taking
  readonly #assignments = new Map<number, Assignment>()
  /** Of these it was said that no more can be parked. */
  readonly #full = new WeakSet<Assignment>()
  #membership: Membership | undefined
  /** Stands for the membership that counts; undefined once it has ended. */
  #entered: object | undefined
  #reading = new AbortController()
  /** How many partitions are being read, and whether others were passed over because they had no room. */
  #reads = 0
  #leftOut = false
  #stopping = false
  #failure: Error | undefined

  constructor(port: StreamPort, plan: SubscriptionPlan, clock: Clock, settings: MemberSettings) {
    this.#port = port
    this.#plan = plan
    this.#clock = clock
    this.#settings = settings
    const onReport = guarded(plan.onReport)
    const from = `the group ${plan.group} on ${plan.stream}`
    const report = (error: SpillwayError, messageId?: string) => onReport({ from, error, messageId })
    const stale = (assignment: Assignment) => this.#retake(assignment)
    this.#report = report
    this.#id = newId(clock)
    this.#runner = new Runner(port, plan, clock, settings.concurrency, {
      stale,
      report,
      full: (assignment) => this.#reportFull(assignment),
      freed: () => this.#readMore(),
      mark: ({ assignment, whence: log, entry }, attempt) => {
        const { partition } = assignment
        const { position } = entry
        return this.#log.append({ kind: 'began', member: this.#id, partition, log, position, attempt })
      },
    })
    this.#keeper = new ProgressKeeper(plan.store, () => this.#membership, {
      stale,
      report,
      lost: (assignment) => this.#drop(assignment, 'another member took its partition'),
      done: ({ partition, orders }) => this.#log.append({ kind: 'done', partition, done: orders.done }),
    })
    this.#log = new GroupLog(port, plan, clock)
    this.#watch = new LogWatch(port, plan.stream, report)
    this.#taking = new Taking(port, plan, this.#log, this.#id)
    this.#orders = new Orders(port, plan, this.#log, {
      report,
      readable: () => this.#readable(readAhead, ({ orders }) => orders.window),
      run: (tasks) => this.#run(tasks),
      replay: (assignment, position, at) => void this.#goBack(assignment, position, at),
      unpark: (assignment, { key }, at) => void this.#unpark(assignment, key, at),
      recover: (thrown, failures) => this.#recover(thrown, failures),
    })
  }

  async run(stopping: AbortSignal, abandon: AbortSignal): Promise<void> {
    const over = new AbortController()
    let ordered = Promise.resolve()
    const stop = () => {
      this.#stopping = true
      this.#runner.stopStarting()
      this.#interrupt()
      over.abort()
    }
    const abort = () => this.#runner.abortAll(new SpillwayError('ABORTED', 'The subscription is stopping.'))
    stopping.addEventListener('abort', stop, { once: true })
    abandon.addEventListener('abort', abort, { once: true })
    const cancelTick = this.#everyTick()
    const lookAtEnds = () => {
      void this.#watch.lookAtEnds([...this.#assignments.values()])
      cancelLook = this.#clock.after(lookEveryMs, lookAtEnds)
    }
    let cancelLook = this.#clock.after(lookEveryMs, lookAtEnds)
    try {
      const maxAgeMs = this.#settings.keepDeadMs
      const dead = { name: deadStream(this.#plan), partitions: 1, retention: { maxAgeMs } }
      await this.#persist(stopping, () => this.#port.declare(dead))
      // A letter that was redriven must be gone before the entry that says so.
      await this.#persist(stopping, () => this.#log.declare(Math.ceil(1.5 * maxAgeMs)))
      await this.#persist(stopping, () => this.#join())
      ordered = this.#orders.run(over.signal).catch((thrown) => this.#fail(thrown))
      await this.#readUntil(stopping)
    } catch (thrown) {
      this.#report(asSpillwayError(thrown))
      throw thrown
    } finally {
      stop()
      await this.#membership?.leave().catch((thrown) => this.#report(asSpillwayError(thrown)))
      // A membership that ended by itself revoked nothing.
      for (const assignment of this.#assignments.values()) assignment.draining = true
      await this.#runner.idle()
      await ordered
      cancelTick()
      cancelLook()
      abandon.removeEventListener('abort', abort)
    }
  }

  async #join(): Promise<void> {
    // A membership that ended has nothing to say any more.
    const entering = {}
    this.#entered = entering
    const isOurs = () => this.#entered === entering
    this.#membership = await this.#port.join(this.#plan.stream, this.#plan.group, {
      sessionMs: this.#settings.sessionMs,
      assigned: (partitions) => {
        if (isOurs()) this.#assigned(partitions)
      },
      revoked: (partitions, lost) => (isOurs() ? this.#revoked(partitions, lost) : Promise.resolve()),
      failed: (error) => {
        if (isOurs()) this.#ended(error)
      },
    })
  }

  /** The engine was away for longer than a membership can wait: nothing is ours any more, and the group is joined anew. */
  #ended(error: Error): void {
    if (isFinal(error)) {
      this.#fail(error)
      return
    }
    this.#report(asSpillwayError(error))
    this.#entered = undefined
    this.#ours.clear()
    this.#tokens.clear()
    const lost = [...this.#assignments.values()]
    this.#assignments.clear()
    for (const assignment of lost) this.#drop(assignment, 'its membership ended')
    void this.#sayAlive(lost)
    this.#interrupt()
  }

  /** Who lost partitions without giving them back is not dead for that: nobody is to be suspected. Never rejects. */
  async #sayAlive(lost: readonly Assignment[]): Promise<void> {
    const entries = lost.map(({ partition }) => ({ kind: 'alive' as const, member: this.#id, partition }))
    for (let failures = 1; entries.length > 0 && !this.#stopping; failures++)
      try {
        await this.#log.append(...entries)
        return
      } catch (thrown) {
        if (isFinal(thrown)) return
        await this.#recover(thrown, failures)
      }
  }

  async #readUntil(stopping: AbortSignal): Promise<void> {
    let failures = 0
    while (!stopping.aborted) {
      if (this.#failure) throw this.#failure
      if (!this.#entered) await this.#persist(stopping, () => this.#join())
      const readable = this.#readable(readAhead, ({ window }) => window)
      this.#reads = readable.length
      this.#leftOut = readable.length < this.#assignments.size
      this.#reading = new AbortController()
      if (readable.length === 0) {
        await untilAborted(this.#reading.signal)
        continue
      }
      try {
        const from = readable.map(({ partition, window }) => ({ partition, position: window.cursor }))
        const options = { maxRecords: 500, maxBytes: 4 << 20, waitMs: 30_000, signal: this.#reading.signal }
        this.#accept(readable, await this.#port.read(this.#plan.stream, from, options))
        failures = 0
      } catch (thrown) {
        if (stopping.aborted) return
        failures += 1
        await this.#recover(thrown, failures, stopping)
      }
    }
  }

  /** Takes records in for the assignments that they were read for: one taken since then begins at a place of its own. */
  #accept(readable: readonly Assignment[], records: readonly StreamRecord[]): void {
    const readFor = new Map(readable.map((assignment) => [assignment.partition, assignment]))
    const begun = new Set<Assignment>()
    for (const record of records) {
      const assignment = readFor.get(record.partition)
      if (!assignment || assignment.draining || this.#assignments.get(record.partition) !== assignment)
        continue
      // Reading goes on at the earliest from one call to the next; within one there are the gaps of numbers only.
      const { cursor } = assignment.window
      if (!begun.has(assignment) && record.position > cursor) this.#watch.passedOver(assignment, cursor)
      begun.add(assignment)
      const task = assignment.accept(record)
      if (task) this.#runner.add(task)
      if (assignment.window.size === heldUp) this.#reportHeldUp(assignment)
    }
    this.#runner.runReady()
  }

  /** The partitions with room; none while `most` events are ready to run. */
  #readable(most: number, windowOf: (assignment: Assignment) => Window): Assignment[] {
    if (this.#runner.load >= most) return []
    return [...this.#assignments.values()].filter((of) => !of.draining && windowOf(of).size < heldUp)
  }

  #run(tasks: readonly Task[]): void {
    for (const task of tasks) this.#runner.add(task)
    this.#runner.runReady()
  }

  /** Reading passed over partitions without room: it begins anew as soon as one of them has some again. */
  #readMore(): void {
    this.#orders.freed()
    if (!this.#leftOut || this.#readable(readAhead / 2, ({ window }) => window).length <= this.#reads) return
    this.#leftOut = false
    this.#interrupt()
  }

  #reportHeldUp({ partition, window }: Assignment): void {
    const what = `Partition ${partition} of ${this.#plan.stream} has ${heldUp} events from position ${window.low} on that wait behind one that is not finished.`
    this.#report(new SpillwayError('HELD_UP', what))
  }

  #reportFull(assignment: Assignment): void {
    if (this.#full.has(assignment)) return
    this.#full.add(assignment)
    const what = `Partition ${assignment.partition} of ${this.#plan.stream} has ${assignment.parked?.count ?? 0} parked events, and no more can be parked: what fails there blocks its key.`
    this.#report(new SpillwayError('HELD_UP', what))
  }

  #assigned(partitions: readonly CommittedPosition[]): void {
    for (const { partition, position } of partitions) {
      this.#ours.add(partition)
      void this.#take(partition, position)
    }
  }

  /**
   * Raises the generation where a database keeps it, and starts from the stored position; `before` is what was ours until now.
   * Never rejects.
   */
  async #take(partition: number, committed: number | null, before?: Assignment): Promise<void> {
    const token = {}
    this.#tokens.set(partition, token)
    await this.#untilTaken(partition, token, async (stillOurs) => {
      const { store } = this.#plan
      const assignment = await this.#taking.find(partition, committed, before?.past)
      const position = assignment.window.low
      if (!stillOurs()) return
      // Someone went back and died before he told the engine: whoever looks from outside must see that before he sees what is done.
      if (store && committed !== null && position < committed)
        await this.#membership?.commit([{ partition, position }])
      if (before) assignment.ordersToStore = true
      else await this.#log.append(this.#handover('taken', assignment))
      if (!stillOurs()) {
        // Nothing was begun.
        if (!before) await this.#log.append(this.#handover('left', assignment))
        return
      }
      this.#tokens.delete(partition)
      this.#assignments.set(partition, assignment)
      void this.#watch.lookAtEnds([assignment])
      this.#interrupt()
    })
  }

  /** Acts until it succeeds, or until the partition is no longer to be taken. Never rejects. */
  async #untilTaken(
    partition: number,
    token: object,
    act: (stillOurs: () => boolean) => Promise<void>,
  ): Promise<void> {
    const stillOurs = () => this.#tokens.get(partition) === token && !this.#stopping
    for (let failures = 1; stillOurs(); failures++) {
      try {
        return await act(stillOurs)
      } catch (thrown) {
        if (isFinal(thrown)) return this.#fail(thrown)
        await this.#recover(thrown, failures)
      }
    }
  }

  /** Carries out an order to let go of what is parked. Never rejects. */
  async #unpark(assignment: Assignment, key: string | undefined, at: WindowEntry): Promise<void> {
    const run = (tasks: readonly Task[]) => this.#run(tasks)
    const stale = (of: Assignment) => this.#retake(of)
    for (let failures = 1; !assignment.gone && !this.#stopping; failures++) {
      try {
        if (!(await unpark(this.#plan, assignment, key, { run, stale }))) return
        assignment.orders.window.finish(at)
        assignment.ordersToStore = true
        return
      } catch (thrown) {
        if (assignment.gone) return
        if (isFinal(thrown)) return this.#fail(thrown)
        await this.#recover(thrown, failures)
      }
    }
  }

  /** Carries out an order to go back: what runs may end first, then the position is lowered and taken up anew. Never rejects. */
  async #goBack(assignment: Assignment, position: number, at: WindowEntry): Promise<void> {
    const { partition, main, orders } = assignment
    await this.#drain([assignment], 'its group was told to go back')
    if (this.#assignments.get(partition) !== assignment) return
    this.#drop(assignment, 'its group was told to go back')
    this.#assignments.delete(partition)
    const low = Math.min(main.window.low, position)
    const token = {}
    this.#tokens.set(partition, token)
    await this.#untilTaken(partition, token, async (stillOurs) => {
      const { store, stream, group } = this.#plan
      if (store) {
        const to = { stream, group, partition, generation: main.generation, position, low: main.window.low }
        await store.rewind(orders.progress(at), to)
      } else {
        await this.#keeper.idle()
        const [result] = (await this.#membership?.commit([{ partition, position: low }])) ?? []
        if (result !== 'committed') return
        orders.window.finish(at)
        await this.#log.append({ kind: 'done', partition, done: orders.done })
      }
      // Given away meanwhile: who has it now finds the position, or the order.
      if (stillOurs()) void this.#take(partition, low, assignment)
    })
  }

  async #revoked(partitions: readonly number[], lost: boolean): Promise<void> {
    const leaving: Assignment[] = []
    for (const partition of partitions) {
      this.#ours.delete(partition)
      this.#tokens.delete(partition)
      const assignment = this.#assignments.get(partition)
      if (assignment) leaving.push(assignment)
    }
    for (const assignment of leaving) {
      assignment.draining = true
      if (lost) this.#drop(assignment, 'its session expired')
    }
    if (lost) void this.#sayAlive(leaving)
    await this.#drain(leaving, 'its partition was given to another member')
    if (!lost) {
      await this.#keeper.store(leaving)
      const left = leaving.map((assignment) => this.#handover('left', assignment))
      await this.#log.append(...left).catch((thrown) => this.#report(asSpillwayError(thrown)))
    }
    for (const assignment of leaving)
      if (this.#assignments.get(assignment.partition) === assignment)
        this.#assignments.delete(assignment.partition)
    this.#interrupt()
  }

  /** Nothing of these partitions starts any more; resolves when nothing of them runs, or no longer counts. */
  async #drain(leaving: readonly Assignment[], why: string): Promise<void> {
    for (const assignment of leaving) assignment.draining = true
    // A stop has a deadline of its own, and the partitions are in no hurry.
    const dropAll = () => {
      for (const assignment of leaving) this.#drop(assignment, why)
    }
    const cancel = this.#stopping ? () => {} : this.#clock.after(this.#settings.sessionMs / 2, dropAll)
    await this.#runner.drained(leaving)
    cancel()
  }

  /** What the one before left begun is all finished: nobody is suspect any more. */
  #clearPast(assignment: Assignment): void {
    const { main, orders, past } = assignment
    if (assignment.gone || !past.isOver({ stream: main.window.low, group: orders.window.low })) return
    assignment.past = noPast
    this.#log.append(this.#handover('passed', assignment)).catch((thrown) => {
      assignment.past = past
      this.#report(asSpillwayError(thrown))
    })
  }

  /** The partition is no longer ours: nothing under way in it counts. */
  #drop(assignment: Assignment, why: string): void {
    assignment.end()
    this.#runner.drop(assignment, why)
  }

  /** Another member raised the generation: if the engine still holds the partition ours, take it again from the store. */
  #retake(assignment: Assignment): void {
    if (assignment.gone) return
    this.#drop(assignment, 'another member took its partition')
    const { partition } = assignment
    if (this.#assignments.get(partition) !== assignment) return
    this.#assignments.delete(partition)
    this.#interrupt()
    this.#clock.after(100 + Math.random() * 400, () => {
      const free = !this.#assignments.has(partition) && !this.#tokens.has(partition)
      if (!this.#stopping && this.#ours.has(partition) && free) void this.#take(partition, null, assignment)
    })
  }

  #everyTick(): () => void {
    const deadlines = [...this.#plan.handlers.values()].map(({ policy }) => policy.deadlineMs / 2)
    const tickMs = Math.max(10, Math.min(storeEveryMs, ...deadlines))
    let cancel = () => {}
    let last = this.#clock.elapsed()
    const tick = () => {
      const now = this.#clock.elapsed()
      const blocked = blockedLoop(now - last - tickMs, this.#settings.sessionMs, 'session')
      if (blocked) this.#report(blocked)
      last = now
      this.#runner.checkDeadlines()
      this.#keeper.tick(this.#assignments.values())
      for (const assignment of this.#assignments.values()) this.#clearPast(assignment)
      cancel = this.#clock.after(tickMs, tick)
    }
    cancel = this.#clock.after(tickMs, tick)
    return () => cancel()
  }

  /** It cannot go on: reading ends with this error. */
  #fail(error: Error): void {
    this.#failure ??= error
    this.#interrupt()
  }

  #interrupt(): void {
    this.#reading.abort()
    this.#orders.interrupt()
  }

  async #persist(stopping: AbortSignal, act: () => Promise<unknown>): Promise<void> {
    for (let failures = 1; !stopping.aborted; failures++) {
      try {
        await act()
        return
      } catch (thrown) {
        if (isSpillwayError(thrown, 'UNKNOWN_STREAM')) await this.#waitForStream(thrown, failures, stopping)
        else await this.#recover(thrown, failures, stopping)
      }
    }
  }

  /** Its owner may be deployed after those who listen to it: said once, and looked for again. */
  async #waitForStream(missing: SpillwayError, looks: number, stopping: AbortSignal): Promise<void> {
    if (looks === 1) this.#report(missing)
    await sleep(this.#clock, pauseAfter(looks), stopping).catch(() => {})
  }

  /** Waits a growing time after a passing failure; throws one that will not pass. */
  async #recover(thrown: unknown, failures: number, signal?: AbortSignal): Promise<void> {
    if (isFinal(thrown)) throw thrown
    this.#report(asSpillwayError(thrown))
    await sleep(this.#clock, pauseAfter(failures), signal).catch(() => {})
  }

  #handover(kind: Handover['kind'], { partition, orders, past }: Assignment): Handover {
    return { kind, member: this.#id, partition, deaths: past.deaths, done: orders.done, began: past.began }
  }
}
