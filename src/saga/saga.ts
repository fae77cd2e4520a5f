// A saga: a process that spans contexts, as a value. It is started by an event, goes on with others and with the time, keeps its state in its
// service's database, and undoes what was done when it cannot be finished.
import type { Contract, EventContract, QueueContract, Upcaster } from '../core/contract.ts'
import { queueContract } from '../core/contract.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkHandler, checkOptions, type OptionNames } from '../core/known-options.ts'
import { checkName } from '../core/name.ts'
import { type Schema, unchecked } from '../core/schema.ts'
import { type FailureOptions, failureOptions } from '../stream/plan.ts'
import type { Ended, Step, TimeoutData } from './step.ts'

export interface SagaOptions<In, State> {
  /** Any Standard Schema validator, for the state as JSON carries it. It is validated when it is written and when it is read. */
  readonly state: Schema<In, State>
  /** The version of the state's schema, from 1; `upcast` brings stored states of older ones up to it, as for messages. */
  readonly version?: number
  readonly upcast?: Readonly<Record<number, Upcaster>>
}

/** What becomes of an event whose instance has not started: it waits for that, by retries, or is done without a step. */
export type Missing = 'wait' | 'ignore'

export interface StartOptions<Data> extends FailureOptions {
  /** The id of the instance that the event belongs to. */
  by(data: Data): string
}

export interface StepOptions<Data> extends StartOptions<Data> {
  /** Default `wait`: streams know no order among one another, so the start may come later. Each is reported as SAGA_MISSING. */
  readonly missing?: Missing
}

const startOptions: OptionNames<StartOptions<unknown>> = { ...failureOptions, by: true }
const stepOptions: OptionNames<StepOptions<unknown>> = { ...startOptions, missing: true }

/** The next state, or `step.end()`. */
export type Next<In> = In | Ended | Promise<In | Ended>

/** What a saga does about one event. */
export interface SagaReaction {
  readonly event: EventContract
  readonly options: FailureOptions
  readonly by: (data: never) => string
  readonly missing: Missing
  readonly start: ((data: never, step: Step) => unknown) | undefined
  readonly step: ((data: never, state: never, step: Step) => unknown) | undefined
}

/** What a service and its runner need of a saga, whatever its state. */
export interface AnySaga {
  readonly kind: 'saga'
  readonly name: string
  readonly contract: Contract
  readonly reactions: readonly SagaReaction[]
  readonly timeouts: ReadonlyMap<string, (state: never, step: Step) => unknown>
}

/** Immutable: `startedBy`, `on` and `onTimeout` return a new one. */
export interface Saga<In, State> extends AnySaga {
  /** The event starts an instance, unless it exists. An event may both start one and, by `on`, go on with it. */
  startedBy<Sent, Data>(
    event: EventContract<Sent, Data>,
    options: StartOptions<NoInfer<Data>>,
    handler: (data: Data, step: Step) => Next<In>,
  ): Saga<In, State>
  /** The event goes on with an instance. */
  on<Sent, Data>(
    event: EventContract<Sent, Data>,
    options: StepOptions<NoInfer<Data>>,
    handler: (data: Data, state: State, step: Step) => Next<In>,
  ): Saga<In, State>
  /** A timeout that a step has set, and no later step has cancelled or set anew. */
  onTimeout(name: string, handler: (state: State, step: Step) => Next<In>): Saga<In, State>
}

/** Begins a saga; the name identifies its instances in the service's database for ever. */
export function saga<In, State>(name: string, options: SagaOptions<In, State>): Saga<In, State> {
  checkName(name, 'saga')
  checkOptions(`The saga ${name}`, options, { state: true, version: true, upcast: true })
  const { state, version, upcast } = options
  const versions = {
    ...(version === undefined ? {} : { version }),
    ...(upcast === undefined ? {} : { upcast }),
  }
  const contract = queueContract(name, { data: state, ...versions }) as Contract
  return build(name, contract, [], new Map())
}

function build<In, State>(
  name: string,
  contract: Contract,
  reactions: readonly SagaReaction[],
  timeouts: AnySaga['timeouts'],
): Saga<In, State> {
  const added = (what: string, reaction: SagaReaction) => {
    const before = reactions.find(({ event }) => event.type === reaction.event.type)
    if (before?.[what as 'start'] !== undefined)
      throw new SpillwayError(
        'CONFIGURATION',
        `The saga ${name} has two handlers for ${reaction.event.type}.`,
      )
    // How it finds its instance, and what becomes of failures, is said last.
    const both = before && {
      ...reaction,
      start: reaction.start ?? before.start,
      step: reaction.step ?? before.step,
    }
    const others = reactions.filter((other) => other !== before)
    return build<In, State>(name, contract, [...others, both ?? reaction], timeouts)
  }
  return {
    kind: 'saga',
    name,
    contract,
    reactions,
    timeouts,
    startedBy(event, options, handler) {
      check(`startedBy() of the saga ${name}`, options, startOptions, handler)
      const { by, ...failure } = options
      return added('start', reactionOf(event, failure, by, { start: handler }))
    },
    on(event, options, handler) {
      check(`on() of the saga ${name}`, options, stepOptions, handler)
      const { by, missing = 'wait', ...failure } = options
      if (missing !== 'wait' && missing !== 'ignore')
        throw new SpillwayError(
          'INVALID_OPTION',
          `missing is ${describe(missing)}; it is 'wait' or 'ignore'.`,
        )
      return added('step', reactionOf(event, failure, by, { step: handler, missing }))
    },
    onTimeout(timeout, handler) {
      checkHandler(`onTimeout() of the saga ${name}`, handler)
      checkName(timeout, 'timeout')
      if (timeouts.has(timeout))
        throw new SpillwayError(
          'CONFIGURATION',
          `The saga ${name} has two handlers for the timeout ${timeout}.`,
        )
      return build(name, contract, reactions, new Map([...timeouts, [timeout, handler as never]]))
    },
  }
}

function check(what: string, options: object, names: object, handler: unknown): void {
  checkOptions(what, options, names as never)
  checkHandler(what, handler)
  if (typeof (options as { by?: unknown }).by !== 'function')
    throw new SpillwayError('INVALID_OPTION', `${what} takes \`by\`: (data) => the id of the instance.`)
}

function reactionOf(
  event: unknown,
  options: FailureOptions,
  by: unknown,
  handlers: { readonly start?: unknown; readonly step?: unknown; readonly missing?: Missing },
): SagaReaction {
  return {
    event: event as EventContract,
    options,
    by: by as SagaReaction['by'],
    missing: handlers.missing ?? 'wait',
    start: handlers.start as SagaReaction['start'],
    step: handlers.step as SagaReaction['step'],
  }
}

/** The queue through which a service sends itself the timeouts of a saga; undefined for one without any. */
export function timeoutQueue(
  context: string,
  { name, timeouts }: AnySaga,
): QueueContract<TimeoutData, TimeoutData> | undefined {
  if (timeouts.size === 0) return undefined
  return queueContract(`${context}.${name}.timeouts`, { data: unchecked<TimeoutData>() }, context)
}
