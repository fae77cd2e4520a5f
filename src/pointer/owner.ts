// Who is asked for the payloads of pointer events, as far as fetching needs to know. The client of calls is one.
import type { CallContract, FailureSchemas } from '../core/call-contract.ts'
import type { CallResult } from '../core/call-result.ts'

/** What was said of one input. */
export type Result = CallResult<unknown, FailureSchemas>

export interface Owner {
  /** For messages to people: the context that is asked. */
  readonly name: string
  /** One request for at most 100 inputs, asked once: nothing below repeats it. Resolves with one result for each, in their order. */
  ask(call: CallContract, inputs: readonly unknown[], signal: AbortSignal): Promise<readonly Result[]>
  /** Resolves when a request would be let through: at once, or when its breaker tries again. Rejects when the signal fires first. */
  whenAllowed(signal: AbortSignal): Promise<void>
}
