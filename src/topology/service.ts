// A service implements one context: what it does about events, and how it works off its queues.
import type { Context, ContextDefinition, EventContract, QueueContract } from '../core/contract.ts'
import type { Duration } from '../core/duration.ts'
import type { DatabaseSource } from '../ports/database.ts'
import type { FailureOptions } from '../stream/plan.ts'
import type { ServiceHandler } from '../transaction/handler.ts'

export interface ServiceOptions<Db> {
  /**
   * The service's own database. With one, what a handler does and what it sends is committed together, once. Without,
   * what it sends is delivered before its message is settled: at least once.
   */
  readonly database?: DatabaseSource<Db>
  /** How long a silent process of this service keeps its messages before another process gets them. Default 30 s. */
  readonly lease?: Duration
  /** How long a silent process of this service keeps its partitions of the streams it listens to. Default 30 s. */
  readonly session?: Duration
  /** How long the dead letters of its group are kept. Default 90 d. */
  readonly keepDeadLetters?: Duration
}

export interface WorkOptions {
  /** How many messages are handled at the same time. Default 10. */
  readonly concurrency?: number
}

export interface Reaction<Db> {
  readonly event: EventContract
  readonly handler: ServiceHandler<unknown, Db>
  readonly options: FailureOptions
}

export interface Work<Db> extends WorkOptions {
  readonly queue: QueueContract
  readonly handler: ServiceHandler<unknown, Db>
}

/** What a topology needs of a service, whatever its database. */
export interface AnyService {
  readonly kind: 'service'
  readonly context: Context
  readonly database: DatabaseSource<unknown> | undefined
  readonly reactions: readonly Reaction<never>[]
  readonly works: readonly Work<never>[]
}

/** A context with what implements it. Immutable: `on` and `work` return a new one. */
export interface Service<Db> extends AnyService {
  readonly kind: 'service'
  readonly context: Context
  readonly database: DatabaseSource<Db> | undefined
  readonly lease: Duration | undefined
  readonly session: Duration | undefined
  readonly keepDeadLetters: Duration | undefined
  readonly reactions: readonly Reaction<Db>[]
  readonly works: readonly Work<Db>[]
  /** Handles an event of any context; one handler for each event. Events of one key are handled in their order. */
  on<In, Out>(
    event: EventContract<In, Out>,
    handler: ServiceHandler<Out, Db>,
    options?: FailureOptions,
  ): Service<Db>
  /** Works off a queue of the service's own context; one handler for each queue. */
  work<In, Out>(
    queue: QueueContract<In, Out>,
    handler: ServiceHandler<Out, Db>,
    options?: WorkOptions,
  ): Service<Db>
}

/** Begins a service: `service(billing, { database }).on(orders.events.placed, …).work(billing.queues.receipt, …)`. */
export function service<Name extends string, D extends ContextDefinition, Db = undefined>(
  context: Context<Name, D>,
  options: ServiceOptions<Db> = {},
): Service<Db> {
  return build(context as unknown as Context, options, [], [])
}

function build<Db>(
  context: Context,
  options: ServiceOptions<Db>,
  reactions: readonly Reaction<Db>[],
  works: readonly Work<Db>[],
): Service<Db> {
  return {
    kind: 'service',
    context,
    database: options.database,
    lease: options.lease,
    session: options.session,
    keepDeadLetters: options.keepDeadLetters,
    reactions,
    works,
    on(event, handler, reactionOptions = {}) {
      const reaction = {
        event: event as EventContract,
        handler: handler as ServiceHandler<unknown, Db>,
        options: reactionOptions,
      }
      return build(context, options, [...reactions, reaction], works)
    },
    work(queue, handler, workOptions = {}) {
      const work = {
        ...workOptions,
        queue: queue as QueueContract,
        handler: handler as ServiceHandler<unknown, Db>,
      }
      return build(context, options, reactions, [...works, work])
    },
  }
}
