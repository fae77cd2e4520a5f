// One service at work: its database, its relay, a subscription for each context it listens to, a consumer for each queue.

import type { CallClient } from '../call/client/client.ts'
import type { Answerer } from '../call/server/answerer.ts'
import { answerersOf } from '../call/server/answerers.ts'
import type { CallContract, FailureSchemas } from '../core/call-contract.ts'
import type { CallResult } from '../core/call-result.ts'
import type { QueueContract } from '../core/contract.ts'
import { milliseconds } from '../core/duration.ts'
import { asSpillwayError, SpillwayError } from '../core/errors.ts'
import type { Background, StopOptions } from '../core/lifecycle.ts'
import type { OnReport } from '../core/report.ts'
import { refuseInside } from '../core/scope.ts'
import type { OnSettled } from '../core/settled.ts'
import { ClientOwner } from '../pointer/client-owner.ts'
import { isPointer } from '../pointer/pointer-event.ts'
import { Pointers, withCurrent } from '../pointer/pointers.ts'
import type { AskOptions, Calling } from '../ports/call.ts'
import type { Database } from '../ports/database.ts'
import type { AsynchronousTransaction, SqliteTransaction } from '../ports/user-transaction.ts'
import { consume, consumeBatch } from '../queue/consumer.ts'
import { rulesOf } from '../queue/rules.ts'
import { declareSchedule } from '../queue/schedules.ts'
import { SagaInstances } from '../saga/instances.ts'
import { type SagaAtWork, sagaEventHandler, sagaTimeoutHandler } from '../saga/runner.ts'
import { type AnySaga, type Saga, timeoutQueue } from '../saga/saga.ts'
import { failurePolicy, type Handled } from '../stream/plan.ts'
import { StreamGroup } from '../stream/stream-group.ts'
import { subscribe } from '../stream/subscription.ts'
import { clockMarginMs, keepMsOf } from '../transaction/age-gate.ts'
import { batchWorkHandler } from '../transaction/batch-handler.ts'
import { callingOf } from '../transaction/calling.ts'
import { forward, type QueueAt } from '../transaction/forwarder.ts'
import { eventHandler, workHandler } from '../transaction/handler.ts'
import { type JoinedSender, join } from '../transaction/join.ts'
import { type Relay, relay } from '../transaction/relay.ts'
import { transaction } from '../transaction/transaction.ts'
import type { Sender, Tx, UnitHome } from '../transaction/unit.ts'
import type { Channels } from './channels.ts'
import { atOnce, inTurn } from './closing.ts'
import type { Activity } from './drained.ts'
import type { Service } from './service.ts'

/** How often entries of the inbox are removed that are old enough. */
const pruneEveryMs = 60_000
/** When one call removed this many, there may be more than one call a minute removes. */
const manyPruned = 100
const pruneAgainMs = 100
const transactionMs = 5_000
/** For how long it is known of an instance of a saga that it has ended. */
const endedSagasMs = 30 * 86_400_000
/** How many messages of a queue an inbox that stores takes before they are handled. */
const keptAtMost = 1_000

/** Who hears of what its services do. */
export interface Listeners {
  readonly onReport: OnReport
  readonly onSettled?: OnSettled
  /** How other contexts are called. */
  readonly calls?: CallClient
}

export class RunningService<Db> {
  readonly name: string
  readonly database: Database<Db> | undefined
  readonly #service: Service<Db>
  readonly #channels: Channels
  readonly #activity: Activity
  readonly #listeners: Omit<Listeners, 'calls'>
  readonly #home: UnitHome<Db>
  readonly #call: Calling['call']
  readonly #relay: Relay | undefined
  readonly #pointers: Pointers
  readonly #handlers: Background[] = []
  readonly #done = Promise.withResolvers<void>()
  #stopped = false
  #cancelPrune: () => void = () => {}

  private constructor(
    service: Service<Db>,
    database: Database<Db> | undefined,
    channels: Channels,
    activity: Activity,
    { onReport, onSettled, calls }: Listeners,
  ) {
    this.name = service.context.name
    this.database = database
    this.#service = service
    this.#channels = channels
    this.#activity = activity
    this.#listeners = { onReport, ...(onSettled ? { onSettled } : {}) }
    this.#done.promise.catch(() => {})
    const { clock } = channels
    this.#pointers = new Pointers({
      context: this.name,
      clock,
      onReport,
      ownerOf: (context) => {
        if (calls) return new ClientOwner(calls, context, service.context.name)
        throw new SpillwayError('NO_ADDRESS', `Nothing is known here of ${context}, which is to be asked.`)
      },
    })
    this.#relay = database && relay(database.outbox, channels, { service: this.name, onReport, clock })
    if (this.#relay) this.#watch(`the relay of ${this.name}`, this.#relay)
    this.#home = {
      context: this.name,
      clock,
      database,
      deliver: (messages) => channels.deliver(messages),
      cancel: async (queue, id) => (await channels.allQueues.cancel(queue, [id]))[0]!,
      wake: (to) => this.#relay?.wake(to),
      onReport,
      timeoutMs: transactionMs,
      ...(database ? { keepMs: keepMsOf(service.inbox?.keep) } : {}),
      queueEngine: channels.queueEngine,
      calls,
    }
    const origin = () => ({})
    this.#call = callingOf(this.#home, { name: this.name, committing: () => false, origin, keys: undefined })
  }

  /** Resolves after a stop; rejects when a consumer, a subscription or the relay cannot go on. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  static async open<Db>(
    service: Service<Db>,
    channels: Channels,
    activity: Activity,
    listeners: Listeners,
  ): Promise<RunningService<Db>> {
    const database = await service.database?.open(service.context.name)
    for (const home of channels.homes) await database?.adopt?.(home)
    return new RunningService(service, database, channels, activity, listeners)
  }

  /** Runs `work` in the service's own transaction, from outside a handler; what it sends is committed with it. */
  transaction<Result>(work: (tx: Tx<Db>) => Result | PromiseLike<Result>): Promise<Result> {
    return transaction(this.#home, work)
  }

  /**
   * Publishes and sends in a transaction that you have open in the service's own database: what is sent is a row of it, committed with
   * it or not at all. Takes, by their shape, a client of `pg` and the transactions of Kysely, Drizzle, Prisma and Knex (PostgreSQL),
   * with which `publish` and `send` return promises to wait for, and a handle of better-sqlite3 or node:sqlite (SQLite). For events to be in the order of
   * the changes that they tell of, change the row that says so (the aggregate) first, then publish. Call `committed()` after the commit.
   * Throws NO_TRANSACTION, NO_DATABASE, and DIRECT_SEND inside a handler.
   */
  join(tx: AsynchronousTransaction): JoinedSender
  join(tx: SqliteTransaction): Sender
  join(tx: AsynchronousTransaction | SqliteTransaction): JoinedSender | Sender {
    return join(this.#home, tx)
  }

  /** Says that a transaction that was joined is committed: its messages leave at once, not only when the relay next looks (within 500 ms). */
  committed(): void {
    this.database?.committed?.()
    this.#relay?.wake()
  }

  /**
   * Calls another context, or this one, from outside every handler: see `CallResult` for the three ways in which it ends. Throws DIRECT_SEND, at once, inside a
   * handler, an answer or a transaction: theirs is the `call` of their own context, whose keys are the same when they run again.
   */
  call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options: AskOptions<Answered> = {},
  ): Promise<CallResult<Answered, Failures>> {
    refuseInside(
      `call() of ${this.name}`,
      "Nothing left. Use the handler's own `call`, before its commit: when it runs again it asks with the same key.",
    )
    return this.#call(contract, input, options)
  }

  /** This service as a consumer group of a context: its lag, its dead letters, what it parked, redriving and replaying. */
  group(of: { readonly name: string }): StreamGroup {
    const { streamPort, clock } = this.#channels
    return new StreamGroup(streamPort, of.name, this.name, clock, this.database?.parking)
  }

  /** Stores what the service sends by the clock. Before it starts: rejects with what is wrong with one of them. */
  async declareSchedules(): Promise<void> {
    const { name: engine } = this.#channels.queueEngine
    for (const { queue, name, options, data } of this.#service.schedules)
      await declareSchedule(queue, this.#channels.queue(queue.queue), engine, name, options, data)
  }

  /** What answers the calls of its context. */
  answerers(): Answerer[] {
    return answerersOf(this.#home, this.#service.answers, (work) => this.#activity.counted(work))
  }

  start(): void {
    const { session, keepDeadLetters, concurrency } = this.#service
    for (const [stream, handlers] of this.#byStream()) {
      const { port, group } = { port: this.#channels.streamPort, group: this.name }
      const store = this.database
      const plan = {
        stream,
        group,
        handlers,
        strictTypes: false,
        clock: this.#channels.clock,
        ...this.#listeners,
        ...(session === undefined ? {} : { session }),
        ...(concurrency === undefined ? {} : { concurrency }),
        ...(keepDeadLetters === undefined ? {} : { keepDeadLetters }),
        ...(store ? { store } : {}),
      }
      this.#handlers.push(this.#watch(`the group ${group} on ${stream}`, subscribe(port, plan)))
    }
    for (const work of this.#service.works) {
      const { queue } = work
      const kept = this.#channels.received.of(queue.queue)
      if (kept) this.#forward(queue, kept)
      const port = kept?.port ?? this.#channels.queue(queue.queue)
      const worked = kept?.contract ?? queue
      const common = this.#consuming(kept?.engine)
      const consumer = work.batch
        ? consumeBatch(
            worked,
            port,
            this.#activity.counted(batchWorkHandler(this.#home, queue, work.batch)),
            {
              ...common,
              ...work.options,
            },
          )
        : consume(worked, port, this.#activity.counted(workHandler(this.#home, queue, work.handler)), {
            ...common,
            ...work.options,
          })
      this.#handlers.push(this.#watch(`the consumer of ${queue.queue}`, consumer))
    }
    for (const saga of this.#service.sagas) this.#awaitTimeouts(saga)
    this.#prune()
  }

  /** The instances of a saga of this service. */
  saga<In, State>(of: Saga<In, State>): SagaInstances<State> {
    const { database } = this
    if (!database || !this.#service.sagas.some(({ name }) => name === of.name))
      throw new SpillwayError('CONFIGURATION', `The service of ${this.name} has no saga ${of.name}.`)
    return new SagaInstances(of, database.sagas)
  }

  #atWork(saga: AnySaga): SagaAtWork<Db> {
    return { saga, home: this.#home, queue: timeoutQueue(this.name, saga) }
  }

  #awaitTimeouts(saga: AnySaga): void {
    const at = this.#atWork(saga)
    if (!at.queue) return
    const handler = this.#activity.counted(sagaTimeoutHandler(at))
    const port = this.#channels.queue(at.queue.queue)
    const consumer = consume(at.queue, port, handler, this.#consuming())
    this.#handlers.push(this.#watch(`the consumer of ${at.queue.queue}`, consumer))
  }

  /** What the consumers of the service have in common. */
  #consuming(engine = this.#channels.queueEngine.name) {
    const { lease } = this.#service
    return {
      clock: this.#channels.clock,
      engine,
      ...this.#listeners,
      ...(lease === undefined ? {} : { lease }),
    }
  }

  async stop(options?: StopOptions): Promise<void> {
    await inTurn(
      () => this.stopHandling(options),
      () => this.close(options),
    )
  }

  /** Ends its handlers, while everybody whom they ask still answers. Each is stopped whatever became of the others; rejects with the first failure. */
  async stopHandling(options?: StopOptions): Promise<void> {
    this.#stopped = true
    this.#cancelPrune()
    await atOnce(this.#handlers.map((handler) => handler.stop(options)))
  }

  /** The rest, when nothing of the service runs any more: what handlers and answers committed is still relayed. */
  async close(options?: StopOptions): Promise<void> {
    try {
      await inTurn(
        () => this.#pointers.close(),
        () => this.#relay?.stop(options),
        () => this.database?.close(),
      )
    } finally {
      this.#done.resolve()
    }
  }

  #forward(queue: QueueContract, to: QueueAt): void {
    const { clock } = this.#channels
    const from = { port: this.#channels.queue(queue.queue), queue: queue.queue }
    const leaseMs = milliseconds(this.#service.lease ?? '30s', 'lease')
    const bounds = { rules: rulesOf(queue), most: keptAtMost, leaseMs }
    const forwarder = forward({ from, to, ...bounds, clock, onReport: this.#listeners.onReport })
    this.#handlers.push(this.#watch(`the forwarder of ${queue.queue}`, forwarder))
  }

  /** A subscription reads a whole stream: the handlers of one stream share it. */
  #byStream(): Map<string, Map<string, Handled>> {
    const streams = new Map<string, Map<string, Handled>>()
    for (const { event, handler, options, saga } of this.#service.reactions) {
      const handlers = streams.get(event.stream) ?? new Map<string, Handled>()
      const { coalesce, ...failure } = options
      const handle = this.#activity.counted(
        saga
          ? sagaEventHandler(this.#atWork(saga.of), saga.reaction)
          : eventHandler(this.#home, event, handler),
      )
      const handled = {
        contract: event,
        policy: failurePolicy(failure),
        ...(isPointer(event) && !saga
          ? { handler: withCurrent(handle), preparation: this.#pointers.preparationOf(event, coalesce) }
          : { handler: handle }),
      }
      streams.set(event.stream, handlers.set(event.type, handled))
    }
    return streams
  }

  /** Background work that ends by itself has failed for good: the person in charge must hear of it. */
  #watch(from: string, work: Background): Background {
    work.done.catch((thrown) => {
      this.#listeners.onReport({ from, error: asSpillwayError(thrown) })
      this.#done.reject(thrown)
    })
    return work
  }

  #prune(afterMs = pruneEveryMs): void {
    const { database } = this
    const { keepMs } = this.#home
    if (!database || keepMs === undefined) return
    const { clock } = this.#channels
    const act = async (): Promise<void> => {
      let removed = 0
      try {
        removed = await database.prune(clock.now() - keepMs - clockMarginMs)
        if (this.#service.sagas.length > 0)
          removed = Math.max(removed, await database.sagas.prune(clock.now() - endedSagasMs))
      } catch (thrown) {
        if (!this.#stopped)
          this.#listeners.onReport({ from: `the inbox of ${this.name}`, error: asSpillwayError(thrown) })
      }
      if (!this.#stopped) this.#prune(removed < manyPruned ? pruneEveryMs : pruneAgainMs)
    }
    this.#cancelPrune = clock.after(afterMs, () => void act())
  }
}
