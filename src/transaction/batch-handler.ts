// Several messages of a queue in one handler of a service: one transaction for all that were done, an outcome for each.

import type { CallContract, FailureSchemas } from '../core/call-contract.ts'
import type { CallResult } from '../core/call-result.ts'
import type { QueueContract } from '../core/contract.ts'
import { asError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { deadLetter, outcomeOf } from '../core/outcome.ts'
import { runInside } from '../core/scope.ts'
import type { Calling } from '../ports/call.ts'
import type { Handled } from '../ports/database.ts'
import { type BatchDelivery, type BatchResult, outcomesOf } from '../queue/batch.ts'
import type { Delivery } from '../queue/delivery.ts'
import { tooOld } from './age-gate.ts'
import { type BatchAskOptions, callingOf, keysOf, originOf } from './calling.ts'
import type { HandlerContext } from './handler.ts'
import type { Sender } from './sender.ts'
import { type Tx, Unit, type UnitHome } from './unit.ts'

/**
 * What a handler of batches is given: as `HandlerContext`, for all messages together. What it sends carries the cause of none of
 * them.
 */
export interface BatchContext<Db> extends Sender, Pick<HandlerContext<Db>, 'cancel'> {
  /** Fires when those of all messages have. */
  readonly signal: AbortSignal
  /** What is known of each message, in their order: its attempt, its own signal; and its `progress`. */
  readonly deliveries: readonly Delivery[]
  /**
   * Calls another context: see `HandlerContext.call`. A command says for which `message` it is asked, or names a `key`: a batch may be another one when its
   * messages are handled again.
   */
  call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options?: BatchAskOptions<Answered>,
  ): Promise<CallResult<Answered, Failures>>
  /**
   * Runs `work` in the transaction and commits, with the mark that those messages were handled which are done by `outcomes`: nothing
   * means all. What the handler returns counts only where nothing was committed. Rejects as `HandlerContext.commit` does, with
   * LEASE_LOST when one of those messages passed to another consumer.
   */
  commit(work?: (tx: Tx<Db>) => unknown, outcomes?: BatchResult): Promise<void>
}

/**
 * Handles up to `size` messages, each id once. What it returns says what becomes of each, as for `consumeBatch`: those that are done are marked
 * in one transaction with the effects and with what was sent. Should another process have handled one of them meanwhile, nothing of that is stored, and
 * the handler is called again for the others.
 */
export type BatchWorkHandler<Out, Db> = (
  messages: readonly Message<Out>[],
  context: BatchContext<Db>,
  // biome-ignore lint/suspicious/noConfusingVoidType: a function without a return is the common case
) => BatchResult | void | Promise<BatchResult | void>

/** A message with all deliveries that have its id: a sender that was unsure may have stored it twice. */
interface Part<Out> {
  readonly message: Message<Out>
  readonly places: number[]
  readonly delivery: Delivery
}

/** The queue's handler for a service's handler of batches. */
export function batchWorkHandler<Out, Db>(
  home: UnitHome<Db>,
  queue: QueueContract<unknown, Out>,
  handler: BatchWorkHandler<Out, Db>,
): (messages: readonly Message<Out>[], batch: BatchDelivery) => Promise<BatchResult> {
  const consumer = queue.queue
  return async (messages, batch) => {
    const results = new Array<unknown>(messages.length).fill(undefined)
    const handled = async (ids: readonly string[]) =>
      (await home.database?.handled(consumer, ids)) ?? nothingKnown
    const known = await handled([...new Set(messages.map(({ id }) => id))])
    const places = [...messages.keys()].filter((place) => !known.ids.has(messages[place]!.id))
    const young = isYoung(home, messages, batch, results, known)
    let parts = partsOf(messages, batch.deliveries, places.filter(young))
    for (;;) {
      if (parts.length === 0) break
      const outcomes = await runBatch(home, queue, parts, batch.signal, handler)
      // Else another process handled one of them, and nothing was stored.
      if (outcomes === 'duplicate') {
        const seen = await handled(parts.map(({ message }) => message.id))
        parts = parts.filter(({ message }) => !seen.ids.has(message.id))
        continue
      }
      for (const [index, { places }] of parts.entries())
        for (const place of places) results[place] = outcomes[index]
      break
    }
    return results.map(outcomeOf)
  }
}

const nothingKnown: Handled = { ids: new Set(), prunedUpTo: undefined }

/** Whether the message in that place may be run; the result of one that may not is said. */
function isYoung<Out, Db>(
  home: UnitHome<Db>,
  messages: readonly Message<Out>[],
  { deliveries }: BatchDelivery,
  results: unknown[],
  { prunedUpTo }: Handled,
): (place: number) => boolean {
  return (place) => {
    const message = messages[place]!
    const old = tooOld(home, message, deliveries[place]!, prunedUpTo)
    if (!old) return true
    home.onReport?.({ from: `the inbox of ${home.context}`, error: old, messageId: message.id })
    results[place] = deadLetter(old.message)
    return false
  }
}

function partsOf<Out>(
  messages: readonly Message<Out>[],
  deliveries: readonly Delivery[],
  places: readonly number[],
): Part<Out>[] {
  const parts = new Map<string, Part<Out>>()
  for (const place of places) {
    const message = messages[place]!
    const known = parts.get(message.id)
    if (known) known.places.push(place)
    else parts.set(message.id, { message, places: [place], delivery: deliveries[place]! })
  }
  return [...parts.values()]
}

async function runBatch<Out, Db>(
  home: UnitHome<Db>,
  queue: QueueContract<unknown, Out>,
  parts: readonly Part<Out>[],
  signal: AbortSignal,
  handler: BatchWorkHandler<Out, Db>,
): Promise<readonly unknown[] | 'duplicate'> {
  let outcomes: readonly unknown[] = []
  const done = () => parts.filter((_, index) => outcomeOf(outcomes[index]) === undefined)
  const unit = new Unit<Db>(home, undefined, () => {
    const lost = done().find(({ delivery }) => delivery.ended)
    if (lost) {
      const what = `Message ${lost.message.id} of ${queue.type} passed to another consumer before its handler committed.`
      throw new SpillwayError('LEASE_LOST', what)
    }
    const ids = done().map(({ message }) => message.id)
    return home.database && ids.length > 0 ? { inbox: { consumer: queue.queue, ids } } : {}
  })
  const name = `the handler of ${queue.type}`
  const committing = () => unit.committing !== undefined
  const callForAll = callingOf(home, { name, committing, origin: () => ({ signal }), keys: undefined })
  const calls = new Map<string, Calling['call']>()
  const callFor = ({ message }: Part<Out>): Calling['call'] => {
    const known = calls.get(message.id)
    if (known) return known
    const origin = () => originOf(message, signal)
    const call = callingOf(home, { name, committing, origin, keys: keysOf(home.context, message) })
    calls.set(message.id, call)
    return call
  }
  const commits: Promise<unknown>[] = []
  const context: BatchContext<Db> = {
    get signal() {
      return signal
    },
    deliveries: parts.map(({ delivery }) => delivery),
    publish: (event, data, options) => unit.sender.publish(event, data, options),
    send: (to, data, options) => unit.sender.send(to, data, options),
    cancel: ({ queue: from }, id) => home.cancel(from, id),
    call(contract, input, { message, ...options } = {}) {
      const part = parts.find((each) => each.message.id === message?.id)
      if (contract.kind === 'command' && !part && options.key === undefined)
        throw new SpillwayError(
          'INVALID_OPTION',
          `${contract.type} is a command and was called in a batch of ${queue.type} for none of its messages: give it one as \`message\`, or a \`key\`.`,
        )
      return (part ? callFor(part) : callForAll)(contract, input, options)
    },
    async commit(work, said) {
      const all = outcomesOf(said, parts.length)
      if (all instanceof SpillwayError) throw all
      if (!unit.committing) outcomes = all
      const commit = unit.commit(work)
      commits.push(commit)
      await commit
    },
  }
  let failure: { readonly thrown: unknown } | undefined
  try {
    const messages = parts.map(({ message }) => message)
    const result = await runInside(name, () => handler(messages, context))
    for (const commit of commits) commit.catch(() => {})
    await unit.committing
    if (!unit.outcome) {
      const all = outcomesOf(result, parts.length)
      if (all instanceof SpillwayError) throw all
      outcomes = all
      if (done().length > 0) await unit.commit()
    }
  } catch (thrown) {
    failure = { thrown }
    for (const commit of commits) commit.catch(() => {})
    await unit.committing?.catch(() => {})
  }
  if (failure && !unit.outcome) throw failure.thrown
  if (unit.outcome === 'duplicate') return 'duplicate'
  if (failure) {
    const { thrown } = failure
    const what = `The handler of ${queue.type} threw after its commit, for ${parts.length} messages: ${asError(thrown).message}.`
    const remedy = 'What it committed stays committed, and those messages are not handled again.'
    const error = new SpillwayError('HANDLER_FAILED', what, { cause: thrown, retryable: false, remedy })
    home.onReport?.({ from: `the handler of ${queue.type}`, error })
  }
  return outcomes
}
