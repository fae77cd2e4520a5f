// The business topology: all contexts wired together, and what is wrong with the wiring.
import type { CallsOptions } from '../call/client/calls-options.ts'
import type { Addresses } from '../call/client/instances.ts'
import type { CallContract } from '../core/call-contract.ts'
import type { Context, EventContract, QueueContract } from '../core/contract.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import { timeoutQueue } from '../saga/saga.ts'
import { deadStream } from '../stream/dead-events.ts'
import type { AnyService } from './service.ts'

export interface TopologyOptions {
  /** Services, and bare contexts that are implemented elsewhere. */
  readonly contexts: readonly (AnyService | Context)[]
  /** The URL of the engine: 'sqlite:./data', 'postgres://…'. */
  readonly engine: string
  /** The URL of another engine for the streams. */
  readonly streams?: string
  /** How many partitions new streams get. Default 8. */
  readonly partitions?: number
  /**
   * Where each context is called: the base URLs of its instances, or a function that finds them, which is asked again every so often. A context that runs in the
   * process that calls needs none.
   */
  readonly addresses?: Readonly<Record<string, Addresses>>
  /** How each context is called: breaker, bulkhead, retries, credentials. The defaults serve most. */
  readonly calls?: Readonly<Record<string, CallsOptions>>
}

export interface Topology extends TopologyOptions {
  readonly kind: 'topology'
}

const topologyOptions: OptionNames<Topology> = {
  kind: true,
  contexts: true,
  engine: true,
  streams: true,
  partitions: true,
  addresses: true,
  calls: true,
}

/** Throws CONFIGURATION for what is no topology: a configuration file is run as it is, without its types being checked. */
export function topology(options: TopologyOptions): Topology {
  const { contexts, engine } = options
  if (!Array.isArray(contexts)) throw misused('contexts', contexts, 'a list of services and contexts')
  for (const [index, member] of contexts.entries())
    if (member?.kind !== 'service' && member?.kind !== 'context')
      throw misused(`contexts[${index}]`, member, 'a service or a context')
  if (typeof engine !== 'string') throw misused('engine', engine, "the URL of an engine, as 'sqlite:./data'")
  checkOptions<object>('A topology', options, topologyOptions)
  return { kind: 'topology', ...options }
}

function misused(option: string, given: unknown, takes: string): SpillwayError {
  return new SpillwayError(
    'CONFIGURATION',
    `${option} of a topology is ${describe(given)}; it takes ${takes}.`,
  )
}

export function servicesOf(of: Topology): AnyService[] {
  return of.contexts.filter((member) => member.kind === 'service')
}

export function contextsOf(of: Topology): Context[] {
  return of.contexts.map((member) => (member.kind === 'service' ? member.context : member))
}

export function eventsOf(context: Context): EventContract[] {
  return Object.values(context.events)
}

export function queuesOf(context: Context): QueueContract[] {
  return Object.values(context.queues)
}

export function callsOf(context: Context): CallContract[] {
  return Object.values(context.calls)
}

/** A call with its version, as people write it. */
export function nameOf({ type, version }: Pick<CallContract, 'type' | 'version'>): string {
  return version === 1 ? type : `${type} version ${version}`
}

/** The queues through which services send themselves the timeouts of their sagas. */
export function timeoutQueuesOf({ context, sagas }: AnyService): QueueContract[] {
  return sagas.flatMap((saga) => (timeoutQueue(context.name, saga) as QueueContract | undefined) ?? [])
}

/** What is wrong, in words, with where to look. Empty when the topology is sound. */
export function check(of: Topology): string[] {
  return [
    ...doubled(of),
    ...clashes(of),
    ...strangers(of),
    ...servicesOf(of).flatMap((service) => checkService(of, service)),
  ]
}

function doubled(of: Topology): string[] {
  const names = contextsOf(of).map((context) => context.name)
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map(
    (name) => `the context ${name} stands in the topology more than once`,
  )
}

/** Who is to be called, and is nobody here. */
function strangers(of: Topology): string[] {
  const names = new Set(contextsOf(of).map(({ name }) => name))
  return (['addresses', 'calls'] as const).flatMap((option) =>
    Object.keys(of[option] ?? {})
      .filter((name) => !names.has(name))
      .map((name) => `\`${option}\` names ${name}, which is no context of this topology`),
  )
}

/** A dot is allowed in a name, and stands between the names of a context and of what it owns. */
function clashes(of: Topology): string[] {
  const contexts = contextsOf(of)
  const owners = new Map<string, Set<string>>()
  const own = (what: string, owner: string) => owners.set(what, (owners.get(what) ?? new Set()).add(owner))
  for (const context of contexts) {
    own(`the stream ${context.name}`, context.name)
    for (const { queue } of queuesOf(context)) own(`the queue ${queue}`, context.name)
    for (const { type } of eventsOf(context)) own(`the event ${type}`, context.name)
    for (const { type } of callsOf(context)) own(`the call ${type}`, context.name)
  }
  for (const service of servicesOf(of))
    for (const { queue } of timeoutQueuesOf(service))
      own(`the queue ${queue}`, `a saga of ${service.context.name}`)
  for (const { context, reactions } of servicesOf(of))
    for (const { event } of reactions) {
      const dead = deadStream({ stream: event.stream, group: context.name })
      own(`the stream ${dead}`, `the dead letters of ${context.name}`)
    }
  for (const { context, schedules } of servicesOf(of))
    for (const { queue, name } of schedules) own(`the schedule ${name} of ${queue.queue}`, context.name)
  return [...owners]
    .filter(([, names]) => names.size > 1)
    .map(([what, names]) => `${what} would be shared by ${[...names].join(' and ')}: rename one of them`)
}

function checkService(of: Topology, service: AnyService): string[] {
  const { context, reactions, works, schedules } = service
  const published = new Set(
    contextsOf(of)
      .flatMap(eventsOf)
      .map((event) => event.type),
  )
  const problems: string[] = []
  for (const { event } of reactions)
    if (!published.has(event.type))
      problems.push(`${context.name} handles ${event.type}, which no context of this topology publishes`)
  const queues = new Set(
    contextsOf(of)
      .flatMap(queuesOf)
      .map(({ queue }) => queue),
  )
  for (const { name, queue } of schedules)
    if (!queues.has(queue.queue))
      problems.push(
        `${context.name} schedules ${name} for the queue ${queue.queue}, which no context of this topology has`,
      )
  for (const { queue } of works)
    if (queue.context !== context.name)
      problems.push(
        `${context.name} works off the queue ${queue.queue}, which belongs to ${queue.context ?? 'no context'}`,
      )
  const worked = works.map(({ queue }) => queue.queue)
  for (const { queue } of queuesOf(context))
    if (!worked.includes(queue))
      problems.push(
        `nobody works off the queue ${queue}: give the service of ${context.name} a work() for it`,
      )
  return [...problems, ...checkAnswers(service), ...unfit(service)]
}

function checkAnswers({ context, answers }: AnyService): string[] {
  const problems: string[] = []
  for (const { call } of answers)
    if (call.context !== context.name)
      problems.push(`${context.name} answers ${nameOf(call)}, which belongs to ${call.context}`)
  const answered = new Set(answers.map(({ call }) => nameOf(call)))
  for (const call of callsOf(context))
    if (!answered.has(nameOf(call)))
      problems.push(
        `nobody answers the call ${nameOf(call)}: give the service of ${context.name} an answer() for it`,
      )
  return problems
}

/** What a topology with this service does not start with: what could not work, or not be told apart. */
export function unfit(service: AnyService): string[] {
  const { context, answers, database, sagas } = service
  const commands = database === undefined ? answers.filter(({ call }) => call.kind === 'command') : []
  return [
    ...doubledHandlers(service),
    ...commands.map(
      ({ call }) =>
        `${context.name} answers the command ${nameOf(call)} and has no database, in which its idempotency keys would be stored`,
    ),
    ...(database === undefined ? sagas : []).map(
      ({ name }) =>
        `${context.name} has the saga ${name} and no database, in which its state would be stored`,
    ),
  ]
}

/** Two handlers for one event, queue or call, or two schedules of one name: which of them? */
function doubledHandlers({ context, reactions, works, schedules, answers, sagas }: AnyService): string[] {
  const repeated = (names: readonly string[]) =>
    new Set(names.filter((name, index) => names.indexOf(name) !== index))
  const handled = [
    ...repeated(works.map(({ queue }) => queue.queue)),
    ...repeated(reactions.map(({ event }) => event.type)),
    ...repeated(answers.map(({ call }) => nameOf(call))),
    ...repeated(sagas.map(({ name }) => `the saga ${name}`)),
  ]
  const named = repeated(schedules.map(({ queue, name }) => `${name} of ${queue.queue}`))
  return [
    ...handled.map((name) => `${context.name} has more than one handler for ${name}`),
    ...[...named].map((name) => `${context.name} has more than one schedule ${name}`),
  ]
}
