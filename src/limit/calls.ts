// Limits in front of the calls that a context answers: who asks for what, as the subject of a decision.
import { SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import type { Decision } from './decision.ts'
import type { DoorLimits } from './http/door/door-limits.ts'
import { type SubjectOptions, subjectsOf } from './http/door/request-subject.ts'

/** A call that came in, with its input checked by its contract. */
export interface LimitedCall {
  /** Its type, by which rules name it: `on: inventory.reserve`. */
  readonly on: string
  readonly input: unknown
  /** `context` is what the caller says it is, `identity` what `authenticate` found. */
  readonly caller: { readonly context: string | undefined; readonly identity: unknown }
  /** The peer of its connection. */
  readonly address: string | undefined
}

export interface CallLimits {
  /** Decides at once; a promise only for what waits in a line, and where a store is asked. Rejects with, or throws, what a function of the options threw. */
  enter(call: LimitedCall, signal: () => AbortSignal): Decision | Promise<Decision>
}

const names: OptionNames<SubjectOptions<LimitedCall>> = { keys: true, costs: true, plan: true, on: true }

/**
 * For `service(context, { limits: limitCalls(limits({ rules }), { keys: { user: ({ input }) => … } }) })`. Rules bound by the keys that are named here, and by
 * `address`. By `on` they name the type of a call, `*` for any part of it. A call that is not let in has done nothing; its caller is told when to come again.
 */
export function limitCalls(limits: DoorLimits, options: SubjectOptions<LimitedCall> = {}): CallLimits {
  checkOptions('limitCalls()', options, names)
  if (typeof limits?.decide !== 'function')
    throw new SpillwayError('INVALID_OPTION', 'limitCalls() wants the limits first: limits({ rules }).')
  const subject = subjectsOf<LimitedCall>(
    { on: ({ on }) => on, ...options },
    ({ socket }) => socket.remoteAddress,
  )
  return {
    enter(call, signal) {
      const asked = subject(call, { headers: {}, socket: { remoteAddress: call.address } })
      const decision = limits.decide(asked)
      const settle = (decided: Decision) =>
        decided.outcome === 'wait' ? limits.admit(asked, { signal: signal() }) : decided
      return decision instanceof Promise ? decision.then(settle) : settle(decision)
    },
  }
}
