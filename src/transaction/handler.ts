// Handlers of a service: what they are given, and how they become handlers of a queue and of a stream.
import type { EventContract, QueueContract } from '../core/contract.ts'
import { asError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { deadLetter, outcomeOf } from '../core/outcome.ts'
import { runInside } from '../core/scope.ts'
import type { Calling } from '../ports/call.ts'
import type { CancelResult } from '../ports/queue-control.ts'
import type { Delivery } from '../queue/delivery.ts'
import type { EventDelivery } from '../stream/event-delivery.ts'
import { tooOld } from './age-gate.ts'
import { callingOf, keysOf, originOf } from './calling.ts'
import type { Sender } from './sender.ts'
import { type Tx, Unit, type UnitHome, type UnitMark } from './unit.ts'

/**
 * What a handler of a service is given. It does its outside I/O first; what it publishes and sends is gathered. At
 * its end, or when it calls `commit`, one short transaction stores the effects, the messages, and the mark that this
 * message was handled: all of it, or nothing.
 */
export interface HandlerContext<Db> extends Sender, Calling {
  /** Fires at the deadline, when the message passed to another consumer or was cancelled, and when a stop has waited long enough. */
  readonly signal: AbortSignal
  /** 1 for the first attempt. */
  readonly attempt: number
  /**
   * Cancels a message of a queue by its id, at once: outside I/O like any other, not a part of the commit. `unknown` is also said
   * of one that is still in an outbox. Rejects with CAPABILITY_MISSING on an engine that cannot.
   */
  cancel(queue: QueueContract, id: string): Promise<CancelResult>
  /**
   * Runs `work` in the transaction and commits. Once for each handler, as its last act. Rejects with what `work` threw,
   * with LEASE_LOST when the message passed to another consumer, with COMMIT_TWICE the second time. After one
   * that rejected, the handler may commit again, or return and have what it sent before committed. One that is still
   * under way when the handler returns decides for it.
   */
  commit(work?: (tx: Tx<Db>) => unknown): Promise<void>
}

/** What a handler of a queue is given besides. */
export interface WorkContext<Db> extends HandlerContext<Db> {
  /** Says how far the handler is: see `Delivery.progress`. */
  progress(value: unknown): void
}

/** Returning means done; `return retry()` or `deadLetter()` says otherwise; throwing means retry by the policy. */
export type ServiceHandler<Out, Db> = (message: Message<Out>, context: HandlerContext<Db>) => unknown

/** The same for a message of a queue. */
export type WorkHandler<Out, Db> = (message: Message<Out>, context: WorkContext<Db>) => unknown

type AnyDelivery = Pick<Delivery, 'signal' | 'attempt' | 'ended'>

/** The queue's handler for a service's handler: with a database the inbox makes the effects happen once, and what is too old for it is not run. */
export function workHandler<Out, Db>(
  home: UnitHome<Db>,
  queue: QueueContract<unknown, Out>,
  handler: WorkHandler<Out, Db>,
): (message: Message<Out>, delivery: Delivery) => Promise<unknown> {
  const consumer = queue.queue
  return async (message, delivery) => {
    const known = await home.database?.handled(consumer, [message.id])
    if (known?.ids.has(message.id)) return undefined
    const old = tooOld(home, message, delivery, known?.prunedUpTo)
    if (old) {
      home.onReport?.({ from: `the inbox of ${home.context}`, error: old, messageId: message.id })
      return deadLetter(old.message)
    }
    const mark = () => (home.database ? { inbox: { consumer, ids: [message.id] } } : {})
    const handle: ServiceHandler<Out, Db> = (given, context) =>
      handler(given, Object.assign(context, { progress: (value: unknown) => delivery.progress(value) }))
    const { result } = await runUnit(home, queue.type, message, delivery, mark, handle)
    return result
  }
}

/** The stream's handler for a service's handler: with a database the progress is committed with the effects. */
export function eventHandler<Out, Db>(
  home: UnitHome<Db>,
  event: EventContract<unknown, Out>,
  handler: ServiceHandler<Out, Db>,
): (message: Message<Out>, delivery: EventDelivery) => Promise<unknown> {
  return async (message, delivery) => {
    const { result, stale } = await runUnit(
      home,
      event.type,
      message,
      delivery,
      () => delivery.mark(),
      handler,
    )
    if (result !== undefined) return result
    if (stale) return 'stale'
    return home.database ? 'committed' : undefined
  }
}

async function runUnit<Out, Db>(
  home: UnitHome<Db>,
  type: string,
  message: Message<Out>,
  delivery: AnyDelivery,
  mark: () => UnitMark,
  handler: ServiceHandler<Out, Db>,
): Promise<{ readonly result: unknown; readonly stale: boolean }> {
  const unit = new Unit<Db>(home, message, () => {
    if (delivery.ended) throw leaseLost(type, message.id)
    return mark()
  })
  const commits: Promise<void>[] = []
  const context: HandlerContext<Db> = {
    get signal() {
      return delivery.signal
    },
    attempt: delivery.attempt,
    publish: (event, data, options) => unit.sender.publish(event, data, options),
    send: (queue, data, options) => unit.sender.send(queue, data, options),
    cancel: ({ queue }, id) => home.cancel(queue, id),
    call: callingOf(home, {
      name: `the handler of ${type}`,
      committing: () => unit.committing !== undefined,
      origin: () => originOf(message, delivery.signal),
      keys: keysOf(home.context, message),
    }),
    commit(work) {
      const commit = unit.commit(work).then((outcome) => {
        if (outcome === 'stale') throw leaseLost(type, message.id)
      })
      commits.push(commit)
      return commit
    },
  }
  let result: unknown
  let failure: { readonly thrown: unknown } | undefined
  try {
    result = await runInside(`the handler of ${type}`, () => handler(message, context))
  } catch (thrown) {
    failure = { thrown }
  }
  // Nobody waits for these any more; how the one under way ends is judged here.
  for (const commit of commits) commit.catch(() => {})
  try {
    await unit.committing
    if (!failure && !unit.outcome && !outcomeOf(result)) await unit.commit()
  } catch (thrown) {
    failure ??= { thrown }
  }
  if (unit.outcome === 'stale') return { result: undefined, stale: true }
  if (!unit.outcome) {
    if (failure) throw failure.thrown
    return { result, stale: false }
  }
  // What was committed stays committed: a throw after it must not run the effects again.
  if (failure) {
    const { thrown } = failure
    const what = `The handler of ${type} threw after its commit, for message ${message.id}: ${asError(thrown).message}.`
    const remedy = 'What it committed stays committed, and the message is not handled again.'
    const error = new SpillwayError('HANDLER_FAILED', what, { cause: thrown, retryable: false, remedy })
    home.onReport?.({ from: `the handler of ${type}`, error, messageId: message.id })
  }
  return { result: undefined, stale: false }
}

function leaseLost(type: string, id: string): SpillwayError {
  return new SpillwayError(
    'LEASE_LOST',
    `Message ${id} of ${type} passed to another consumer before its handler committed.`,
  )
}
