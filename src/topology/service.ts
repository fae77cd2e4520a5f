// A service implements one context: what it does about events, and how it works off its queues.
import type { Context, ContextDefinition, EventContract, QueueContract } from '../core/contract.ts'
import type { DatabaseSource } from '../ports/database.ts'
import type { ServiceHandler } from '../transaction/handler.ts'

export interface ServiceOptions<Db> {
  /**
   * The service's own database. With one, what a handler does and what it sends is committed together, once. Without,
   * what it sends is delivered before its message is settled: at least once.
   */
  readonly database?: DatabaseSource<Db>
}

export interface ReactionOptions {
  /** How many messages are handled at the same time. Default 10. */
  readonly concurrency?: number
}

export interface Reaction<Db> extends ReactionOptions {
  readonly event: EventContract
  readonly handler: ServiceHandler<unknown, Db>
}

export interface Work<Db> extends ReactionOptions {
  readonly queue: QueueContract
  readonly handler: ServiceHandler<unknown, Db>
}

/** A context with what implements it. Immutable: `on` and `work` return a new one. */
export interface Service<Db = unknown> {
  readonly kind: 'service'
  readonly context: Context
  readonly database: DatabaseSource<Db> | undefined
  readonly reactions: readonly Reaction<Db>[]
  readonly works: readonly Work<Db>[]
  /** Handles an event of any context; one handler for each event. Events of one key are handled in their order. */
  on<In, Out>(event: EventContract<In, Out>, handler: ServiceHandler<Out, Db>): Service<Db>
  /** Works off a queue of the service's own context; one handler for each queue. */
  work<In, Out>(
    queue: QueueContract<In, Out>,
    handler: ServiceHandler<Out, Db>,
    options?: ReactionOptions,
  ): Service<Db>
}

/** Begins a service: `service(billing, { database }).on(orders.events.placed, …).work(billing.queues.receipt, …)`. */
export function service<Name extends string, D extends ContextDefinition, Db = never>(
  context: Context<Name, D>,
  options: ServiceOptions<Db> = {},
): Service<Db> {
  return build(context as unknown as Context, options.database, [], [])
}

function build<Db>(
  context: Context,
  database: DatabaseSource<Db> | undefined,
  reactions: readonly Reaction<Db>[],
  works: readonly Work<Db>[],
): Service<Db> {
  return {
    kind: 'service',
    context,
    database,
    reactions,
    works,
    on(event, handler) {
      const reaction = { event: event as EventContract, handler: handler as ServiceHandler<unknown, Db> }
      return build(context, database, [...reactions, reaction], works)
    },
    work(queue, handler, options = {}) {
      const work = {
        ...options,
        queue: queue as QueueContract,
        handler: handler as ServiceHandler<unknown, Db>,
      }
      return build(context, database, reactions, [...works, work])
    },
  }
}
