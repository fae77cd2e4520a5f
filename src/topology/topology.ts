// The business topology: all contexts wired together, and what is wrong with the wiring.
import type { Context, EventContract, QueueContract } from '../core/contract.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
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

/** What is wrong, in words, with where to look. Empty when the topology is sound. */
export function check(of: Topology): string[] {
  return [...doubled(of), ...clashes(of), ...servicesOf(of).flatMap((service) => checkService(of, service))]
}

function doubled(of: Topology): string[] {
  const names = contextsOf(of).map((context) => context.name)
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map(
    (name) => `the context ${name} stands in the topology more than once`,
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
  }
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
  return [...problems, ...doubledHandlers(service)]
}

/** Two handlers for one event or queue, or two schedules of one name: which of them? A topology with such a service does not start. */
export function doubledHandlers({ context, reactions, works, schedules }: AnyService): string[] {
  const repeated = (names: readonly string[]) =>
    new Set(names.filter((name, index) => names.indexOf(name) !== index))
  const handled = [
    ...repeated(works.map(({ queue }) => queue.queue)),
    ...repeated(reactions.map(({ event }) => event.type)),
  ]
  const named = repeated(schedules.map(({ queue, name }) => `${name} of ${queue.queue}`))
  return [
    ...handled.map((name) => `${context.name} has more than one handler for ${name}`),
    ...[...named].map((name) => `${context.name} has more than one schedule ${name}`),
  ]
}
