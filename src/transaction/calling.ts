// Calls from within a handler or an answer: on whose behalf, with which key, and never inside the transaction.

import { CallKeys } from '../core/call-key.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { AskOptions, Calling, CallOrigin } from '../ports/call.ts'
import type { UnitHome } from './unit.ts'

/** What all calls of one run have in common. */
export interface CallsOf {
  /** Where it stands, for people: 'the handler of orders.placed'. */
  readonly name: string
  /** True from the beginning of the commit on. */
  readonly committing: () => boolean
  /** Asked at each call; without the key. */
  readonly origin: () => Omit<CallOrigin, 'caller' | 'key'>
  /** What keys are made of. Undefined: a command is asked with a new one each time. */
  readonly keys: CallKeys | undefined
}

export function callingOf(home: Pick<UnitHome<never>, 'context' | 'calls'>, of: CallsOf): Calling['call'] {
  return (contract, input, options = {}) => {
    if (of.committing())
      throw new SpillwayError(
        'OUTSIDE_IO',
        `${contract.type} was called in the commit of ${of.name}, or after it.`,
        {
          remedy: 'Nothing left. Call before `commit`: a transaction is not held open for others.',
        },
      )
    if (!home.calls)
      throw new SpillwayError(
        'NO_ADDRESS',
        `${contract.type} was called where nothing is known of other contexts.`,
      )
    const key =
      contract.kind === 'command' && options.key === undefined ? of.keys?.next(contract.type) : undefined
    return home.calls.call(contract, input, options, { ...of.origin(), caller: home.context, key })
  }
}

/**
 * What a message says of the calls that are made for it. An earlier run may always have asked: a message that was given back when a process stopped was
 * handled in part, and does not count as started; nor are attempts at an event counted for ever.
 */
export function originOf(message: Message, signal: AbortSignal): Omit<CallOrigin, 'caller' | 'key'> {
  const { id, time, notbefore, correlationid = id, traceparent, tracestate } = message
  // No key of it was used before it could be handled first.
  const madeMs = Math.max(Date.parse(time), notbefore === undefined ? 0 : Date.parse(notbefore))
  return {
    keyMadeMs: Number.isNaN(madeMs) ? undefined : madeMs,
    askedBefore: true,
    signal,
    correlationId: correlationid,
    traceparent,
    tracestate,
  }
}

/** The keys of the calls that are made for a message, by a context. */
export function keysOf(context: string, { type, id }: Message): CallKeys {
  return new CallKeys(`${context}:${type}`, id)
}

export interface BatchAskOptions<Answered = unknown> extends AskOptions<Answered> {
  /** For which of the messages a command is asked: its key is made of it. */
  readonly message?: Message
}
