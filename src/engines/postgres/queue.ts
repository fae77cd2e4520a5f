// The queue port on PostgreSQL: one row per message, by the database's clock. Messages of queues without rules are claimed and
// marked with SKIP LOCKED; those of queues with rules are tasks, with statements of their own.
import { isSpillwayError } from '../../core/errors.ts'
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
import type { CancelResult, FinishedMessage, PeekedMessage, PeekOptions } from '../../ports/queue-control.ts'
import {
  checkCarried,
  checkProgress,
  checkRules,
  type Duplicate,
  type QueueRules,
} from '../../ports/queue-rules.ts'
import {
  checkSchedule,
  type ScheduleChange,
  type ScheduleList,
  type WhichSchedules,
} from '../../ports/queue-schedules.ts'
import type { Connection, Run, Statement } from './connection.ts'
import { closed } from './errors.ts'
import { isTaskLease } from './leases.ts'
import { checkOption } from './options.ts'
import { Claims, type Look } from './queue-claim.ts'
import { checkPeek, QueueControls } from './queue-control.ts'
import { DeadLetters, placeAfter } from './queue-dead.ts'
import { FactsOfQueues, type QueueFacts } from './queue-facts.ts'
import { QueueHome } from './queue-home.ts'
import { claimStatement, PlainLook } from './queue-look.ts'
import { Schedules } from './queue-schedules.ts'
import { Sends } from './queue-send.ts'
import { Leases } from './queue-settle.ts'
import { type TaskStatements, Tasks, taskStatements } from './tasks.ts'
import { checkRow, checkText, maxBodyBytes } from './text.ts'
import type { Wake } from './wake.ts'

export class PostgresQueue implements QueuePort {
  readonly capabilities: QueueCapabilities = {
    fencing: 'engine',
    delay: true,
    atomicSend: true,
    keyOrder: true,
    priority: true,
    dedup: true,
    groups: true,
    concurrency: true,
    rate: true,
    flow: true,
    finished: true,
    progress: true,
    history: true,
    pause: true,
    peek: true,
    cancel: true,
    purge: true,
    schedules: true,
  }
  readonly limits: QueuePort['limits'] = { maxBodyBytes: maxBodyBytes, minLeaseMs: 100 }
  readonly #connection: Connection
  readonly #wake: Wake
  readonly #claim: Statement
  readonly #taskSql: TaskStatements
  readonly #facts: FactsOfQueues
  readonly #claims = new Map<number, Claims>()
  readonly #tasks = new Map<number, Tasks>()
  readonly #leases: Leases
  readonly #sends: Sends
  readonly #dead: DeadLetters
  readonly #controls: QueueControls
  readonly #schedules: Schedules
  #closed = false

  readonly home: QueueHome

  constructor(connection: Connection, wake: Wake, schema: string, place: string) {
    this.home = new QueueHome({
      place,
      schema,
      plain: (queue) => this.#facts.plain(queue),
      stored: (queue) => wake.changed(topic(queue)),
    })
    this.#connection = connection
    this.#wake = wake
    this.#claim = claimStatement(schema)
    this.#taskSql = taskStatements(schema)
    this.#facts = new FactsOfQueues(connection, schema)
    this.#leases = new Leases(connection, schema)
    this.#sends = new Sends(connection, schema, (id) => wake.changed(topic(id)))
    this.#dead = new DeadLetters(connection, schema)
    this.#controls = new QueueControls(connection, schema)
    this.#schedules = new Schedules(connection, schema)
  }

  async declare(queues: readonly string[], rules?: QueueRules): Promise<void> {
    if (rules !== undefined) checkRules('postgres', this.capabilities, rules)
    if (this.#closed) throw closed()
    const wanted = rules === undefined ? queues.filter((queue) => !this.#facts.has(queue)) : queues
    if (wanted.length === 0) return
    for (const id of await this.#facts.declare(wanted, rules)) this.#wake.changed(topic(id))
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[]> {
    for (const message of messages) checkMessage(message)
    for (;;) {
      const facts = await this.#checked(queue, messages)
      const { id, version } = facts
      if (messages.length === 0) return []
      const sent =
        version === undefined
          ? await this.#sends.send(id, messages)
          : await this.#tasksOf(id).send(version, messages)
      if (sent === 'outdated') {
        this.#facts.forget(queue, facts)
        continue
      }
      return sent === 'sent' ? [] : sent
    }
  }

  async claim(queue: string, options: ClaimOptions): Promise<ClaimedMessage[]> {
    checkOption('limit', options.limit, 'count', 1)
    checkOption('leaseMs', options.leaseMs, 'time', this.limits.minLeaseMs)
    checkOption('waitMs', options.waitMs, 'time', 0, Number.POSITIVE_INFINITY)
    const { id } = await this.#of(queue)
    if (this.#closed) return []
    let claims = this.#claims.get(id)
    if (claims === undefined) {
      const plain = new PlainLook(this.#connection, this.#claim, id, this.#wake.pollMs)
      claims = new Claims({
        look: (limit, leaseMs) => this.#look(queue, plain, limit, leaseMs),
        wake: this.#wake,
        topic: topic(id),
        release: (leases) => this.#release(id, leases),
      })
      this.#claims.set(id, claims)
    }
    return await claims.claim(options)
  }

  async settle(queue: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    for (const one of settlements) if (one.kind === 'retry') checkOption('delayMs', one.delayMs, 'time', 0)
    const { id, version } = await this.#of(queue)
    if (settlements.length === 0) return []
    const results = await byKind(
      settlements,
      ({ lease }) => isTaskLease(lease),
      (plain) => this.#leases.settle(id, plain),
      (tasks) => this.#tasksOf(id).settle(tasks),
    )
    // Someone may wait for it, at once or for its new due time; under rules every ending may let others pass (`tasks.ts`).
    const kept = settlements.some(({ kind }) => kind === 'retry' || kind === 'release')
    if (kept || version !== undefined) this.#wake.changed(topic(id))
    return results
  }

  async extend(
    queue: string,
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[] = [],
  ): Promise<ExtendResult[]> {
    checkProgress('postgres', progress)
    checkOption('leaseMs', leaseMs, 'time', this.limits.minLeaseMs)
    const { id } = await this.#of(queue)
    if (leases.length === 0) return []
    const said = new Map(leases.map((lease, index) => [lease, progress[index]]))
    const of = (some: readonly string[]) => some.map((lease) => said.get(lease))
    return await byKind(
      leases,
      isTaskLease,
      (plain) => this.#leases.extend(id, plain, leaseMs, of(plain)),
      (tasks) => this.#tasksOf(id).extend(tasks, leaseMs, of(tasks)),
    )
  }

  async count(queue: string): Promise<QueueCount> {
    return await this.#dead.count((await this.#of(queue)).id)
  }

  async deadLetters(
    queue: string,
    options: { readonly limit: number; readonly after?: string },
  ): Promise<DeadMessage[]> {
    checkOption('limit', options.limit, 'count', 1)
    const { id } = await this.#of(queue)
    return await this.#dead.list(id, options.limit, placeAfter(options.after))
  }

  async redrive(queue: string, handles: readonly string[]): Promise<number> {
    const { id } = await this.#of(queue)
    const count = await this.#dead.redrive(id, handles)
    this.#wake.changed(topic(id))
    return count
  }

  async names(): Promise<string[]> {
    if (this.#closed) throw closed()
    return this.#facts.names()
  }

  async pause(queue: string): Promise<void> {
    await this.#controls.pause((await this.#of(queue)).id, true)
  }

  async resume(queue: string): Promise<void> {
    const { id } = await this.#of(queue)
    await this.#controls.pause(id, false)
    this.#wake.changed(topic(id))
  }

  async peek(queue: string, options: PeekOptions): Promise<PeekedMessage[]> {
    checkPeek(options)
    return await this.#controls.peek((await this.#of(queue)).id, options)
  }

  async cancel(queue: string, ids: readonly string[]): Promise<CancelResult[]> {
    const { id } = await this.#of(queue)
    const results = await this.#controls.cancel(id, ids)
    // One may have been ahead of others of its key.
    if (results.includes('removed')) this.#wake.changed(topic(id))
    return results
  }

  async purge(queue: string, what: 'waiting' | 'dead'): Promise<number> {
    const { id } = await this.#of(queue)
    const count = await this.#controls.purge(id, what)
    this.#wake.changed(topic(id))
    return count
  }

  async schedules(queue: string, which: WhichSchedules): Promise<ScheduleList> {
    return await this.#schedules.list((await this.#of(queue)).id, which)
  }

  async putSchedule(queue: string, change: ScheduleChange): Promise<'stored' | 'stale'> {
    const { name, spec, messages } = change
    checkSchedule('postgres', change)
    checkText(`${name} ${spec}`, 'A schedule')
    for (const message of messages) checkMessage(message)
    for (;;) {
      const facts = await this.#checked(queue, messages)
      const put = await this.#schedules.put(facts.id, change, (run) => this.#sendIn(run, facts, messages))
      if (put !== 'outdated') {
        if (put === 'stored' && messages.length > 0) this.#wake.changed(topic(facts.id))
        return put
      }
      this.#facts.forget(queue, facts)
    }
  }

  async removeSchedule(queue: string, name: string): Promise<boolean> {
    return await this.#schedules.remove((await this.#of(queue)).id, name)
  }

  async finished(queue: string, options: PeekOptions): Promise<FinishedMessage[]> {
    checkPeek(options)
    return await this.#controls.finished((await this.#of(queue)).id, options)
  }

  async trimFinished(queue: string): Promise<number> {
    return await this.#controls.trimFinished((await this.#of(queue)).id)
  }

  /** Ends the waiting claims, finishes what was accepted. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#claims.values()].map((claims) => claims.close()))
    const tasks = [...this.#tasks.values()].map((one) => one.close())
    await Promise.all([this.#sends.close(), this.#leases.close(), ...tasks])
  }

  async #of(queue: string): Promise<QueueFacts> {
    if (this.#closed) throw closed()
    return await this.#facts.of(queue)
  }

  /** The facts of a queue whose rules speak of what these messages carry; what is refused is not refused for rules of yesterday. */
  async #checked(queue: string, messages: readonly OutgoingMessage[]): Promise<QueueFacts> {
    const known = this.#facts.has(queue)
    const facts = await this.#of(queue)
    try {
      for (const message of messages) checkCarried(message, facts.rules)
      return facts
    } catch (thrown) {
      if (!known || !isSpillwayError(thrown)) throw thrown
    }
    this.#facts.forget(queue, facts)
    const newer = await this.#of(queue)
    for (const message of messages) checkCarried(message, newer.rules)
    return newer
  }

  /** In a transaction of the caller's. */
  async #sendIn(
    run: Run,
    { id, version }: QueueFacts,
    messages: readonly OutgoingMessage[],
  ): Promise<unknown> {
    if (messages.length === 0) return undefined
    return version === undefined
      ? await this.#sends.sendIn(run, id, messages)
      : await this.#tasksOf(id).sendIn(run, version, messages)
  }

  #tasksOf(id: number): Tasks {
    let tasks = this.#tasks.get(id)
    if (tasks === undefined) {
      tasks = new Tasks(this.#connection, this.#taskSql, id, (changed) => this.#wake.changed(topic(changed)))
      this.#tasks.set(id, tasks)
    }
    return tasks
  }

  async #look(queue: string, plain: PlainLook, limit: number, leaseMs: number): Promise<Look> {
    for (;;) {
      const facts = await this.#facts.of(queue)
      const { id, version } = facts
      const found =
        version === undefined
          ? await plain.claim(limit, leaseMs)
          : await this.#tasksOf(id).claim(version, limit, leaseMs)
      if (found !== 'outdated') return found
      this.#facts.forget(queue, facts)
    }
  }

  async #release(id: number, leases: readonly string[]): Promise<void> {
    const releases = leases.map((lease): Settlement => ({ lease, kind: 'release' }))
    // If this fails the messages come back when their leases end. Also while the queue is being closed.
    await byKind(
      releases,
      ({ lease }) => isTaskLease(lease),
      (messages) => this.#leases.settle(id, messages),
      (tasks) => this.#tasksOf(id).settle(tasks),
    ).catch(() => {})
    this.#wake.changed(topic(id))
  }
}

/** Two kinds of things each in their own way; the results in the order of all. */
async function byKind<In, Out>(
  all: readonly In[],
  second: (one: In) => boolean,
  runFirst: (some: readonly In[]) => Promise<Out[]>,
  runSecond: (some: readonly In[]) => Promise<Out[]>,
): Promise<Out[]> {
  const kinds = all.map(second)
  if (!kinds.includes(true)) return await runFirst(all)
  if (!kinds.includes(false)) return await runSecond(all)
  const parts = await Promise.all([
    runFirst(all.filter((_, at) => !kinds[at])),
    runSecond(all.filter((_, at) => kinds[at])),
  ])
  const next = [0, 0]
  return kinds.map((kind) => {
    const part = kind ? 1 : 0
    return parts[part]![next[part]!++]!
  })
}

function topic(queue: number): string {
  return `q${queue}`
}

function checkMessage(message: OutgoingMessage): void {
  checkRow(message, message.id)
  if (message.group !== undefined) checkText(message.group, 'A group')
  if (message.dedup !== undefined) checkText(message.dedup.key, 'A deduplication key')
  if (message.delayMs !== undefined) checkOption('delayMs', message.delayMs, 'time', 0)
  for (const id of message.after?.ids ?? []) checkText(id, 'An id')
}
