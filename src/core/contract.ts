// Contracts: the typed values by which a context is known to others. Name, schema, version and key in one place.

import { type CallContract, type CallDefinition, callContract, type FailureSchemas } from './call-contract.ts'
import { SpillwayError } from './errors.ts'
import { checkOptions, type OptionNames } from './known-options.ts'
import { schemaUri } from './message.ts'
import { checkName } from './name.ts'
import {
  type Pointer,
  type PointerData,
  type PointerDefinition,
  type PointerOptions,
  pointerOf,
  pointerSchema,
} from './pointer-contract.ts'
import type { QueueBehaviour } from './queue-options.ts'
import { isCompacted, type Retain, retentionOf } from './retain.ts'
import type { Schema } from './schema.ts'

/** One step from the data of a version to the data of the next. Pure; it may throw for data that it cannot carry over. */
export type Upcaster = (data: never) => unknown

export interface PayloadOptions<In, Out> {
  /** Any Standard Schema validator. It describes the data as JSON carries it: a date is a string. */
  readonly data: Schema<In, Out>
  /** The version of the schema, from 1. Raise it with a change that old consumers could not read. Default 1. */
  readonly version?: number
  /** `{ 1: (data) => … }`: how data of version 1 becomes data of version 2, one step for each older version. */
  readonly upcast?: Readonly<Record<number, Upcaster>>
}

/** What is common to all contracts that carry data. `type` is the CloudEvents type. */
export interface Contract<In = unknown, Out = unknown> {
  readonly type: string
  readonly schema: Schema<In, Out>
  readonly version: number
  readonly upcast: Readonly<Record<number, Upcaster>>
  /** The `dataschema` of its messages. */
  readonly dataschema: string
}

export interface EventOptions<In, Out> extends PayloadOptions<In, Out> {
  /** Events with the same key keep their order. Without one there is no order to keep. */
  key?(data: In): string
  /**
   * Whether the event says of its key that there is nothing more: where the stream is compacted (`retain: { compact: true }`) it goes too in the
   * end, and with it the key. Needs a `key`.
   */
  tombstone?(data: In): boolean
}

/** For whoever adds options of its own. */
export const eventOptions: OptionNames<EventOptions<unknown, unknown>> = {
  data: true,
  version: true,
  upcast: true,
  key: true,
  tombstone: true,
}

export interface EventContract<In = unknown, Out = unknown> extends Contract<In, Out> {
  readonly kind: 'event'
  readonly name: string
  /** The context that owns the event, and the stream that carries all events of that context. */
  readonly stream: string
  keyOf?(data: In): string
  isTombstone?(data: In): boolean
}

/** An event that carries its key and version only. */
export interface PointerContract<
  Key extends string = string,
  Fetch extends CallContract = CallContract,
  Gone extends string = string,
> extends EventContract<PointerData<Key>, PointerData<Key>> {
  readonly pointer: Pointer<Key, Fetch, Gone>
}

export interface QueueOptions<In, Out> extends PayloadOptions<In, Out>, QueueBehaviour<In> {}

const queueOptions: OptionNames<QueueOptions<unknown, unknown>> = {
  data: true,
  version: true,
  upcast: true,
  retry: true,
  deadline: true,
  key: true,
  priority: true,
  dedup: true,
  group: true,
  groupConcurrency: true,
  maxConcurrency: true,
  rate: true,
  flow: true,
  keepFinished: true,
  ttl: true,
}

export interface QueueContract<In = unknown, Out = unknown> extends Contract<In, Out>, QueueBehaviour<In> {
  readonly kind: 'queue'
  /** The name of the queue on the engine: `<context>.<name>`, or the name alone outside a context. */
  readonly queue: string
  /** The context that works it off; undefined outside a context. */
  readonly context: string | undefined
}

export interface EventDefinition<In, Out> {
  readonly kind: 'event'
  readonly options: EventOptions<In, Out>
}

export interface QueueDefinition<In, Out> {
  readonly kind: 'queue'
  readonly options: QueueOptions<In, Out>
}

/** An event that a context publishes: something that happened. */
export function event<In, Out>(options: EventOptions<In, Out>): EventDefinition<In, Out> {
  return { kind: 'event', options }
}

/** A queue that a context works off: something to be done. */
export function queue<In, Out>(options: QueueOptions<In, Out>): QueueDefinition<In, Out> {
  return { kind: 'queue', options }
}

export interface ContextDefinition {
  /** What the stream of its events keeps, from the next start of its service on. Left out: as it is, and a new one keeps everything. */
  readonly retain?: Retain
  readonly events?: Readonly<
    Record<string, EventDefinition<unknown, unknown> | PointerDefinition<string, string, string>>
  >
  readonly queues?: Readonly<Record<string, QueueDefinition<unknown, unknown>>>
  readonly calls?: Readonly<
    Record<string, CallDefinition<unknown, unknown, unknown, unknown, FailureSchemas>>
  >
}

const contextOptions: OptionNames<ContextDefinition> = {
  retain: true,
  events: true,
  queues: true,
  calls: true,
}

type EventsOf<D> = D extends { readonly events: infer E }
  ? {
      readonly [K in keyof E]: E[K] extends EventDefinition<infer In, infer Out>
        ? EventContract<In, Out>
        : E[K] extends PointerDefinition<infer Key, infer Fetch, infer Gone>
          ? PointerContract<Key, CallOf<D, Fetch>, string extends Gone ? 'gone' : Gone>
          : never
    }
  : Readonly<Record<never, never>>

type QueuesOf<D> = D extends { readonly queues: infer Q }
  ? {
      readonly [K in keyof Q]: Q[K] extends QueueDefinition<infer In, infer Out>
        ? QueueContract<In, Out>
        : never
    }
  : Readonly<Record<never, never>>

type CallsOf<D> = D extends { readonly calls: infer C }
  ? {
      readonly [K in keyof C]: C[K] extends CallDefinition<
        infer Ask,
        infer Asked,
        infer Answer,
        infer Answered,
        infer Failures,
        infer Kind
      >
        ? CallContract<Ask, Asked, Answer, Answered, DeclaredOf<Failures>, Kind>
        : never
    }
  : Readonly<Record<never, never>>

/** Where a definition leaves its errors out, what it stands in makes any of them. */
type DeclaredOf<Failures extends FailureSchemas> = string extends keyof Failures
  ? Readonly<Record<never, never>>
  : Failures

/** A call of the same context. */
type CallOf<D, Fetch extends string> =
  CallsOf<D> extends { readonly [K in Fetch]: infer C extends CallContract } ? C : never

/** A bounded context as others know it. */
export interface Context<Name extends string = string, D extends ContextDefinition = ContextDefinition> {
  readonly kind: 'context'
  readonly name: Name
  readonly retain: Retain | undefined
  readonly events: EventsOf<D>
  readonly queues: QueuesOf<D>
  readonly calls: CallsOf<D>
}

/** Declares a bounded context: what it publishes and the queues it works off. It never names its consumers. */
export function context<const Name extends string, D extends ContextDefinition>(
  name: Name,
  definition: D,
): Context<Name, D> {
  checkName(name, 'context')
  checkOptions<ContextDefinition>(`The context ${name}`, definition, contextOptions)
  if (definition.retain !== undefined) retentionOf(definition.retain)
  const calls = callsOf(name, definition)
  const events = Object.entries(definition.events ?? {}).map(([key, event]) => {
    const contract =
      event.kind === 'pointer'
        ? pointerContract(name, key, event.options, calls)
        : eventContract(name, key, event.options)
    return [key, contract] as const
  })
  for (const [, contract] of events) requireKey(contract, definition.retain)
  const queues = Object.entries(definition.queues ?? {}).map(([key, { options }]) => {
    checkName(key, 'queue')
    return [key, queueContract(`${name}.${key}`, options, name)] as const
  })
  return {
    kind: 'context',
    name,
    retain: definition.retain,
    events: Object.fromEntries(events) as EventsOf<D>,
    queues: Object.fromEntries(queues) as QueuesOf<D>,
    calls: calls as CallsOf<D>,
  }
}

function callsOf(owner: string, { calls = {} }: ContextDefinition): Readonly<Record<string, CallContract>> {
  const contracts = Object.entries(calls).map(
    ([key, { options }]) => [key, callContract(owner, key, options)] as const,
  )
  const names = contracts.map(([, { type, version }]) => `${type} version ${version}`)
  const doubled = names.find((name, index) => names.indexOf(name) !== index)
  if (doubled !== undefined)
    throw new SpillwayError('CONFIGURATION', `The context ${owner} has ${doubled} more than once.`)
  return Object.fromEntries(contracts)
}

function pointerContract(
  stream: string,
  name: string,
  options: PointerOptions,
  calls: Readonly<Record<string, CallContract>>,
): PointerContract {
  const pointer = pointerOf(`${stream}.${name}`, options, calls)
  const { key } = pointer
  return {
    ...eventContract(stream, name, { data: pointerSchema(key), key: (data) => data[key] as string }),
    pointer,
  }
}

export function eventContract<In, Out>(
  stream: string,
  name: string,
  options: EventOptions<In, Out>,
): EventContract<In, Out> {
  checkName(name, 'event')
  const contract = eventOf(stream, name, `${stream}.${name}`, options)
  checkOptions<object>(`The event ${contract.type}`, options, eventOptions)
  return contract
}

/** The contract of a stream outside a context: all its events are of one type, named like the stream. */
export function streamContract<In, Out>(
  stream: string,
  options: EventOptions<In, Out>,
): EventContract<In, Out> {
  checkName(stream, 'stream')
  return eventOf(stream, stream, stream, options)
}

function eventOf<In, Out>(
  stream: string,
  name: string,
  type: string,
  options: EventOptions<In, Out>,
): EventContract<In, Out> {
  requireSchema(type, options)
  const contract = { kind: 'event' as const, name, stream, ...payload(type, options) }
  const { key, tombstone } = options
  if (tombstone !== undefined && key === undefined)
    throw new SpillwayError(
      'CONFIGURATION',
      `${type} has a \`tombstone\` and no \`key\` of which it could be the end.`,
    )
  return {
    ...contract,
    ...(key === undefined ? {} : { keyOf: key }),
    ...(tombstone === undefined ? {} : { isTombstone: tombstone }),
  }
}

/** Throws CONFIGURATION for an event without a key in a stream that is compacted: nothing would ever stand for it. */
export function requireKey(
  contract: { readonly type: string; readonly keyOf?: unknown },
  retain: Retain | undefined,
): void {
  if (!isCompacted(retain) || contract.keyOf) return
  throw new SpillwayError(
    'CONFIGURATION',
    `${contract.type} has no \`key\`, and its stream is compacted: of each key the last event is kept.`,
  )
}

export function queueContract<In, Out>(
  name: string,
  options: QueueOptions<In, Out>,
  owner?: string,
): QueueContract<In, Out> {
  checkName(name, 'queue')
  requireSchema(name, options)
  checkOptions<object>(`The queue ${name}`, options, queueOptions)
  const { data: _, version: __, upcast: ___, ...behaviour } = options
  if (behaviour.groupConcurrency !== undefined && behaviour.group === undefined)
    throw new SpillwayError('CONFIGURATION', `${name} has a \`groupConcurrency\` and no \`group\`.`)
  return { ...behaviour, kind: 'queue', queue: name, context: owner, ...payload(name, options) }
}

/** Callers without types: said before anything of the options is looked at. */
function requireSchema<In, Out>(type: string, options: PayloadOptions<In, Out> | undefined): void {
  if (typeof options?.data?.['~standard']?.validate !== 'function')
    throw new SpillwayError(
      'CONFIGURATION',
      `${type} has no schema: \`data\` must be a Standard Schema validator (zod, valibot, arktype), or \`unchecked<T>()\`.`,
    )
}

function payload<In, Out>(type: string, options: PayloadOptions<In, Out>): Contract<In, Out> {
  const version = options.version ?? 1
  const upcast = options.upcast ?? {}
  if (!Number.isInteger(version) || version < 1)
    throw new SpillwayError(
      'CONFIGURATION',
      `${type} has version ${version}; versions are whole numbers from 1.`,
    )
  for (const from of Object.keys(upcast).map(Number))
    if (!Number.isInteger(from) || from < 1 || from >= version)
      throw new SpillwayError(
        'CONFIGURATION',
        `${type} has an upcaster from version ${from}, but its own version is ${version}; a step starts at a version below it.`,
      )
  return { type, schema: options.data, version, upcast, dataschema: schemaUri(type, version) }
}
