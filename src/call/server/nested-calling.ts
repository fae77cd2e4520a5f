// Calls that are made while a call is answered: within what is left of its deadline, asked once, with keys that come of its own.
import { CallKeys } from '../../core/call-key.ts'
import { systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { Calling } from '../../ports/call.ts'
import { type CallsOf, callingOf } from '../../transaction/calling.ts'
import type { UnitHome } from '../../transaction/unit.ts'
import type { IncomingCall } from './incoming-call.ts'

type Home = Pick<UnitHome<never>, 'context' | 'calls' | 'clock'>

/** For the answer of a query: it changes nothing, so it asks for no command. */
export function queryCalling(home: Home, name: string, call: IncomingCall): Calling['call'] {
  const ask = callingOf(
    home,
    nested(home, name, call, () => false, undefined),
  )
  return (contract, input, options) => {
    if (contract.kind !== 'command') return ask(contract, input, options)
    throw new SpillwayError(
      'INVALID_OPTION',
      `${name} asked for the command ${contract.type}: a query changes nothing.`,
    )
  }
}

/** For the answer of a command, `type`, which is asked with `key`: asked again with it, it asks others with the same keys as before. */
export function commandCalling(
  home: Home,
  {
    name,
    type,
    key,
    committing,
  }: Pick<CallsOf, 'name' | 'committing'> & { readonly type: string; readonly key: string },
  call: IncomingCall,
): Calling['call'] {
  return callingOf(home, nested(home, name, call, committing, new CallKeys(`${home.context}:${type}`, key)))
}

function nested(
  { clock = systemClock }: Home,
  name: string,
  call: IncomingCall,
  committing: () => boolean,
  keys: CallKeys | undefined,
): CallsOf {
  const { keyAgeMs = 1, correlation, key, traceparent, tracestate } = call.facts
  const origin = () => ({
    // As old as what it is made of.
    keyMadeMs: clock.now() - keyAgeMs,
    // A key that goes out for the first time is 0 ms old.
    askedBefore: keyAgeMs > 0,
    endsMs: call.endsMs,
    nested: true,
    signal: call.signal,
    correlationId: correlation ?? key,
    traceparent,
    tracestate,
  })
  return { name, committing, origin, keys }
}
