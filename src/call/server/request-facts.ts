// The headers of a request, read strictly: what is not exactly as docs/decisions/0019 has it is refused, never guessed.
import type { IncomingHttpHeaders } from 'node:http'
import type { CallContract } from '../../core/call-contract.ts'
import { visible } from '../../core/call-key.ts'
import { headers, longestDeadlineMs } from '../wire.ts'
import type { CallFacts } from './incoming-call.ts'

const name = /^[A-Za-z][A-Za-z0-9._-]{0,99}$/
const traceparent = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/
const whole = /^\d{1,15}$/

/** What a request says of its call; a text where it says it wrongly. `identity` is what `authenticate` returned. */
export function factsOf(
  given: IncomingHttpHeaders,
  contract: CallContract,
  identity: unknown,
): CallFacts | string {
  const type = given['content-type']
  const deadline = numberIn(given, headers.deadline)
  const age = numberIn(given, headers.keyAge)
  const key = textIn(given, headers.key, visible)
  const caller = textIn(given, headers.caller, name)
  const correlation = textIn(given, headers.correlation, visible)
  if (Number.isNaN(deadline) || (deadline ?? 0) > longestDeadlineMs)
    return `The header ${headers.deadline} is no whole number of milliseconds up to an hour.`
  if (Number.isNaN(age)) return `The header ${headers.keyAge} is no whole number of milliseconds.`
  for (const [header, text] of [
    [headers.key, key],
    [headers.correlation, correlation],
  ] as const)
    if (text === null) return `The header ${header} takes 1 to 200 visible ASCII characters.`
  if (caller === null) return `The header ${headers.caller} takes the name of a context.`
  const nested = given[headers.nested]
  if (nested !== undefined && nested !== '1') return `The header ${headers.nested} takes 1.`
  if (contract.kind === 'command' && key === undefined)
    return `${contract.type} is a command: it wants the header ${headers.key}, the same every time that the same thing is asked.`
  if (type !== undefined && !/^application\/json\s*(?:;|$)/i.test(type))
    return 'The body of a call is application/json.'
  return {
    deadlineMs: deadline ?? Math.min(contract.deadlineMs, longestDeadlineMs),
    caller: { context: caller ?? undefined, identity },
    key: key ?? undefined,
    keyAgeMs: age,
    nested: nested === '1',
    correlation: correlation ?? undefined,
    ...traceOf(given),
  }
}

/** Whoever traces must not break the call: what is none is left out. */
function traceOf(given: IncomingHttpHeaders): Pick<CallFacts, 'traceparent' | 'tracestate'> {
  const parent = given[headers.traceparent]
  if (typeof parent !== 'string' || !traceparent.test(parent)) return {}
  const state = given[headers.tracestate]
  return {
    traceparent: parent,
    ...(typeof state === 'string' && state.length <= 512 ? { tracestate: state } : {}),
  }
}

/** Undefined when it is not there, null when it is not as it has to be. A header that was given twice is not. */
function textIn(given: IncomingHttpHeaders, header: string, form: RegExp): string | null | undefined {
  const value = given[header]
  if (value === undefined) return undefined
  return typeof value === 'string' && form.test(value) ? value : null
}

function numberIn(given: IncomingHttpHeaders, header: string): number | undefined {
  const value = given[header]
  if (value === undefined) return undefined
  return typeof value === 'string' && whole.test(value) ? Number(value) : Number.NaN
}
