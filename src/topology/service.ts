// A service implements one context: what it does about events, and how it works off its queues.

import type { CommandHandler, QueryHandler } from '../call/server/answer.ts'
import type { Answering, AnswerOptions } from '../call/server/answerer.ts'
import type { CallContract, CallKind, FailureSchemas } from '../core/call-contract.ts'
import type {
  Context,
  ContextDefinition,
  EventContract,
  PointerContract,
  QueueContract,
} from '../core/contract.ts'
import type { Duration } from '../core/duration.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkHandler, checkOptions, type OptionNames } from '../core/known-options.ts'
import type { CallLimits } from '../limit/calls.ts'
import {
  isPointer,
  type PointerHandler,
  type PointerHandlerOptions,
  pointerHandlerOptions,
} from '../pointer/pointer-event.ts'
import type { DatabaseSource } from '../ports/database.ts'
import type { Engine } from '../ports/engine.ts'
import type { BatchOptions } from '../queue/consumer.ts'
import type { ScheduleOptions } from '../queue/schedules.ts'
import type { AnySaga, SagaReaction } from '../saga/saga.ts'
import { type FailureOptions, failureOptions } from '../stream/plan.ts'
import { keepMsOf } from '../transaction/age-gate.ts'
import type { BatchWorkHandler } from '../transaction/batch-handler.ts'
import type { ServiceHandler, WorkHandler } from '../transaction/handler.ts'

export interface ServiceOptions<Db> {
  /**
   * The service's own database. With one, what a handler does and what it sends is committed together, once. Without,
   * what it sends is delivered before its message is settled: at least once.
   */
  readonly database?: DatabaseSource<Db>
  /** How the service remembers which messages of its queues it handled. Needs a `database`. */
  readonly inbox?: InboxOptions
  /** Which calls of its context are let in, made by `limitCalls` of spillway/limit: the others are told when to come again. An `answer` may have limits of its own. */
  readonly limits?: CallLimits
  /** How many events of each stream are handled at the same time by this process, each of another key. Default 10. Queues: see `work`. */
  readonly concurrency?: number
  /** How long a silent process of this service keeps its messages before another process gets them. Default 30 s. */
  readonly lease?: Duration
  /** How long a silent process of this service keeps its partitions of the streams it listens to. Default 30 s. */
  readonly session?: Duration
  /** How long the dead letters of its group are kept. Default 90 d. */
  readonly keepDeadLetters?: Duration
}

export interface InboxOptions {
  /**
   * For how long it is remembered, at least a second. A message that could be handled for longer than that is not run: it goes to the dead
   * letters as TOO_OLD, and redriving runs it. Default 7 d. Streams need no inbox: their progress is stored with the effects.
   */
  readonly keep?: Duration
  /**
   * `dedup`, the default: the engine of a queue keeps a message until it is handled. `store`: a message is first saved where the service itself keeps what it received, and is
   * then done for that engine; the work goes on while it is away. Not for queues with `dedup`, `flow` or `keepFinished`.
   */
  readonly mode?: 'dedup' | 'store'
  /** For `store`: the url of the engine that keeps them, or an open one. Default: in the service's database, or beside its file. */
  readonly engine?: string | Engine
}

export interface WorkOptions {
  /** How many messages are handled at the same time. Default 10. */
  readonly concurrency?: number
}

export interface Reaction<Db> {
  readonly event: EventContract
  readonly handler: ServiceHandler<unknown, Db>
  readonly options: PointerHandlerOptions
  /** It is one of a saga's, and the handler stands there. */
  readonly saga?: { readonly of: AnySaga; readonly reaction: SagaReaction }
}

/** How batches are formed: see `Queue.consumeBatch`. */
export type WorkBatchOptions = Pick<BatchOptions, 'size' | 'wait' | 'concurrency'>

const serviceOptions: OptionNames<ServiceOptions<unknown>> = {
  database: true,
  inbox: true,
  concurrency: true,
  lease: true,
  session: true,
  keepDeadLetters: true,
  limits: true,
}
const answerOptions: OptionNames<AnswerOptions> = { concurrency: true, waiting: true, limits: true }
const inboxOptions: OptionNames<InboxOptions> = { keep: true, mode: true, engine: true }
const workOptionNames: OptionNames<WorkOptions> = { concurrency: true }
const workBatchOptions: OptionNames<WorkBatchOptions> = { size: true, wait: true, concurrency: true }

/** A queue and what handles its messages, one by one or in batches. */
export type Work<Db> = { readonly queue: QueueContract } & (
  | { readonly handler: WorkHandler<unknown, Db>; readonly options: WorkOptions; readonly batch?: undefined }
  | {
      readonly batch: BatchWorkHandler<unknown, Db>
      readonly options: WorkBatchOptions
      readonly handler?: undefined
    }
)

/** What a service has sent by the clock. */
export interface Scheduled {
  readonly queue: QueueContract
  readonly name: string
  readonly options: ScheduleOptions
  readonly data: unknown
}

/** What a topology needs of a service, whatever its database. */
export interface AnyService {
  readonly kind: 'service'
  readonly context: Context
  readonly database: DatabaseSource<unknown> | undefined
  readonly inbox: InboxOptions | undefined
  readonly reactions: readonly Reaction<never>[]
  readonly works: readonly Work<never>[]
  readonly schedules: readonly Scheduled[]
  readonly answers: readonly Answering<never>[]
  readonly sagas: readonly AnySaga[]
}

/** A context with what implements it. Immutable: `on`, `work`, `workBatch`, `schedule`, `answer` and `saga` return a new one. */
export interface Service<Db> extends AnyService {
  readonly kind: 'service'
  readonly context: Context
  readonly database: DatabaseSource<Db> | undefined
  readonly inbox: InboxOptions | undefined
  readonly lease: Duration | undefined
  readonly concurrency: number | undefined
  readonly session: Duration | undefined
  readonly keepDeadLetters: Duration | undefined
  readonly reactions: readonly Reaction<Db>[]
  readonly works: readonly Work<Db>[]
  readonly answers: readonly Answering<Db>[]
  /**
   * Handles a pointer event of any context, with what its owner says of it now: `event.current`. It is fetched with the service's own `credentials` for the
   * owner, and waited for as long as it takes, which is no attempt and no part of the deadline.
   */
  on<Key extends string, Fetch extends CallContract, Gone extends string>(
    event: PointerContract<Key, Fetch, Gone>,
    handler: PointerHandler<Key, Fetch, Gone, Db>,
    options?: PointerHandlerOptions,
  ): Service<Db>
  /** Handles an event of any context; one handler for each event. Events of one key are handled in their order. */
  on<In, Out>(
    event: EventContract<In, Out>,
    handler: ServiceHandler<Out, Db>,
    options?: FailureOptions,
  ): Service<Db>
  /** Works off a queue of the service's own context; one handler for each queue. */
  work<In, Out>(
    queue: QueueContract<In, Out>,
    handler: WorkHandler<Out, Db>,
    options?: WorkOptions,
  ): Service<Db>
  /** The same in batches: the handler gets up to `size` messages, says what becomes of each, and commits once for all. */
  workBatch<In, Out>(
    queue: QueueContract<In, Out>,
    handler: BatchWorkHandler<Out, Db>,
    options?: WorkBatchOptions,
  ): Service<Db>
  /**
   * Sends `data` to a queue of any context by the clock: see `Queue.schedule`. It is declared when the service starts. What is taken out
   * of the code goes on until it is removed: `spillway queue schedules <queue> --remove <name>`.
   */
  schedule<In, Out>(
    queue: QueueContract<In, Out>,
    name: string,
    options: ScheduleOptions,
    data: In,
  ): Service<Db>
  /**
   * Answers a call of the service's own context; one handler for each version of each call. A command needs a `database`: its effects,
   * its idempotency key and its answer are committed together, so that asking again gives the same answer and does nothing twice.
   */
  answer<Ask, Asked, Answer, Answered, Failures extends FailureSchemas, Kind extends CallKind>(
    call: CallContract<Ask, Asked, Answer, Answered, Failures, Kind>,
    handler: Kind extends 'command'
      ? CommandHandler<Asked, Answer, Db, Failures>
      : QueryHandler<Asked, Answer, Db, Failures>,
    options?: AnswerOptions,
  ): Service<Db>
  /**
   * Runs a saga, with its state in the service's `database`, which it needs. Its events are handled by it alone. Its timeouts are messages of a queue of this
   * context, `<context>.<saga>.timeouts`: CAPABILITY_MISSING at start on an engine without delays.
   */
  saga(saga: AnySaga): Service<Db>
}

/** Begins a service: `service(billing, { database }).on(orders.events.placed, …).work(billing.queues.receipt, …)`. */
export function service<Name extends string, D extends ContextDefinition, Db = undefined>(
  context: Context<Name, D>,
  options: ServiceOptions<Db> = {},
): Service<Db> {
  checkOptions(`The service of ${context.name}`, options, serviceOptions)
  if (options.inbox !== undefined) checkInbox(context.name, options.inbox, options.database)
  return build(context as unknown as Context, options, {
    reactions: [],
    works: [],
    schedules: [],
    answers: [],
    sagas: [],
  })
}

function checkInbox(name: string, inbox: InboxOptions, database: unknown): void {
  checkOptions(`The inbox of ${name}`, inbox, inboxOptions)
  keepMsOf(inbox.keep)
  const { mode, engine } = inbox
  if (mode !== undefined && mode !== 'store' && mode !== 'dedup')
    throw new SpillwayError(
      'INVALID_OPTION',
      `mode of the inbox of ${name} is ${describe(mode)}; it is 'dedup' or 'store'.`,
    )
  if (engine !== undefined && mode !== 'store')
    throw new SpillwayError(
      'CONFIGURATION',
      `The inbox of ${name} has an \`engine\`, and stores nothing there.`,
    )
  if (database === undefined)
    throw new SpillwayError(
      'CONFIGURATION',
      `The service of ${name} has an \`inbox\`, which stands in its database, but no \`database\`.`,
    )
}

function build<Db>(
  context: Context,
  options: ServiceOptions<Db>,
  parts: Pick<Service<Db>, 'reactions' | 'works' | 'schedules' | 'answers' | 'sagas'>,
): Service<Db> {
  const { reactions, works, schedules, answers, sagas } = parts
  return {
    kind: 'service',
    context,
    database: options.database,
    inbox: options.inbox,
    lease: options.lease,
    concurrency: options.concurrency,
    session: options.session,
    keepDeadLetters: options.keepDeadLetters,
    ...parts,
    on(event: EventContract, handler: unknown, reactionOptions: PointerHandlerOptions = {}) {
      checkHandler(`on() of ${event.type}`, handler)
      checkOptions<object>('on()', reactionOptions, isPointer(event) ? pointerHandlerOptions : failureOptions)
      const reaction = {
        event,
        handler: handler as ServiceHandler<unknown, Db>,
        options: reactionOptions,
      }
      return build(context, options, { ...parts, reactions: [...reactions, reaction] })
    },
    work(queue, handler, workOptions = {}) {
      checkHandler(`work() of ${queue.queue}`, handler)
      checkOptions('work()', workOptions, workOptionNames)
      const work: Work<Db> = {
        queue: queue as QueueContract,
        handler: handler as WorkHandler<unknown, Db>,
        options: workOptions,
      }
      return build(context, options, { ...parts, works: [...works, work] })
    },
    workBatch(queue, handler, batchOptions = {}) {
      checkHandler(`workBatch() of ${queue.queue}`, handler)
      checkOptions('workBatch()', batchOptions, workBatchOptions)
      const work: Work<Db> = {
        queue: queue as QueueContract,
        batch: handler as BatchWorkHandler<unknown, Db>,
        options: batchOptions,
      }
      return build(context, options, { ...parts, works: [...works, work] })
    },
    schedule(queue, name, scheduleOptions, data) {
      const scheduled = { queue: queue as QueueContract, name, options: scheduleOptions, data }
      return build(context, options, { ...parts, schedules: [...schedules, scheduled] })
    },
    answer(call, handler, given = {}) {
      checkHandler(`answer() of ${call.type}`, handler)
      checkOptions('answer()', given, answerOptions)
      const bounded = options.limits === undefined ? given : { limits: options.limits, ...given }
      const answering = { call, options: bounded, [call.kind]: handler } as unknown as Answering<Db>
      return build(context, options, { ...parts, answers: [...answers, answering] })
    },
    saga(saga) {
      if (saga?.kind !== 'saga')
        throw new SpillwayError('INVALID_OPTION', `saga() of ${context.name} takes what saga() made.`)
      const added = saga.reactions.map((reaction) => {
        const { event, options: failure } = reaction
        return { event, handler: () => undefined, options: failure, saga: { of: saga, reaction } }
      })
      const all = { ...parts, reactions: [...reactions, ...added], sagas: [...sagas, saga] }
      return build(context, options, all)
    },
  }
}
