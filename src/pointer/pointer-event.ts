// What a handler of a pointer event is given, and how it says that it does not want every step.
import type { CallContract } from '../core/call-contract.ts'
import type { PointerContract } from '../core/contract.ts'
import type { OptionNames } from '../core/known-options.ts'
import type { Message } from '../core/message.ts'
import type { FetchedBy, PointerData } from '../core/pointer-contract.ts'
import { type FailureOptions, failureOptions } from '../stream/plan.ts'
import type { HandlerContext } from '../transaction/handler.ts'

/**
 * A pointer event and what its owner says of its key. That is **today's** state, at the event's version or a later one: of an event that is replayed
 * or late, too, and of several events of a key it may be the same.
 */
export type PointerEvent<
  Key extends string,
  Fetch extends CallContract,
  Gone extends string = 'gone',
> = Message<PointerData<Key>> & { readonly current: FetchedBy<Fetch, Gone> }

export type PointerHandler<Key extends string, Fetch extends CallContract, Gone extends string, Db> = (
  event: PointerEvent<Key, Fetch, Gone>,
  context: HandlerContext<Db>,
) => unknown

export interface PointerHandlerOptions extends FailureOptions {
  /**
   * Whether events are passed over that are about no later version than one that the handler of their key has succeeded with. Then it does not run for each step.
   * Default false.
   */
  readonly coalesce?: boolean
}

export const pointerHandlerOptions: OptionNames<PointerHandlerOptions> = { ...failureOptions, coalesce: true }

export function isPointer(event: object): event is PointerContract {
  return 'pointer' in event
}
