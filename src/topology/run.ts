// A topology in motion: engines opened, channels declared, every chosen service's handlers and relay at work.
import type { BreakerSnapshot } from '../call/breaker.ts'
import type { CallsOptions } from '../call/client/calls-options.ts'
import { CallClient } from '../call/client/client.ts'
import { type Addresses, checkAddresses } from '../call/client/instances.ts'
import type { CallTelemetry } from '../call/client/telemetry.ts'
import type { Authenticate } from '../call/server/authenticate.ts'
import { openControl } from '../call/server/control.ts'
import { listenAt } from '../call/server/listen-at.ts'
import { Listener } from '../call/server/listener.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { asError, SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import type { StopOptions } from '../core/lifecycle.ts'
import { defaultPartitions } from '../core/partition.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { OnSettled } from '../core/settled.ts'
import { openEngine } from '../engine-of.ts'
import { isPointer } from '../pointer/pointer-event.ts'
import { missing } from '../ports/capability.ts'
import type { Engine } from '../ports/engine.ts'
import { Queue } from '../queue/queue.ts'
import { declareQueues } from '../queue/rules.ts'
import type { HistoryOptions } from '../stream/history.ts'
import { Channels } from './channels.ts'
import { atOnce, inTurn } from './closing.ts'
import { Activity, isDrained, OrderLooks, untilDrained } from './drained.ts'
import { type Replayable, type ReplayHandlers, replay } from './replay.ts'
import { RunningService } from './running-service.ts'
import type { AnyService, Service } from './service.ts'
import {
  check,
  contextsOf,
  eventsOf,
  queuesOf,
  servicesOf,
  type Topology,
  timeoutQueuesOf,
  unfit,
} from './topology.ts'

export interface RunOptions {
  /** Only the services of these contexts; others run elsewhere. */
  readonly only?: readonly string[]
  /** In place of the topology's: a URL, or an engine that is open already and stays open. */
  readonly engine?: string | Engine
  readonly streams?: string | Engine
  /** Refuse an engine whose durability is weaker than the promise. */
  readonly strict?: boolean
  readonly onReport?: OnReport
  /** Told how each attempt of the services that run here ended, once that is stored. */
  readonly onSettled?: OnSettled
  /** What dates messages, retries, deadlines and renewals. Default: the system's. An engine has a clock of its own. */
  readonly clock?: Clock
  /**
   * Where the services that run here are asked: 'http://127.0.0.1:7000', 'http://0.0.0.0:7000'. They share it. Default: a free port of
   * the loopback when one of them answers calls, and nothing otherwise.
   */
  readonly listen?: string
  /**
   * The path of a Unix socket at which `spillway calls --at` looks after this process: lists whom it calls, holds breakers. Only the user who runs it may
   * open it; one that a process left behind is replaced. `ifPossible`: where it cannot be had, that is a warning and no reason not to start. Default: none.
   */
  readonly control?: string | { readonly path: string; readonly ifPossible: boolean }
  /**
   * Who asks, by the headers of the request: what it returns is `caller.identity` for the answers; undefined, or a throw, is 401. Without
   * one everybody who reaches the port is answered, but no page in a browser.
   */
  readonly authenticate?: Authenticate
  /** In place of the topology's, context by context. */
  readonly addresses?: Readonly<Record<string, Addresses>>
  readonly calls?: Readonly<Record<string, CallsOptions>>
}

const runOptions: OptionNames<RunOptions> = {
  only: true,
  engine: true,
  streams: true,
  strict: true,
  onReport: true,
  onSettled: true,
  clock: true,
  listen: true,
  control: true,
  authenticate: true,
  addresses: true,
  calls: true,
}

/** A running topology; it keeps its process alive. `stop` ends handlers first, then relays, then databases, then engines. */
export interface Running extends AsyncDisposable {
  /** What `check` found, and settings weaker than the promise: for the person who starts it. */
  readonly warnings: readonly string[]
  readonly engines: readonly Engine[]
  readonly channels: Channels
  /** Where the services that run here are asked, 'http://127.0.0.1:43211'; undefined where nothing listens. */
  readonly address: string | undefined
  /** The breakers of the contexts that this process called, by context. */
  breakers(): Readonly<Record<string, BreakerSnapshot>>
  /** A running service by its context: its database, and `transaction()`. */
  service<Db>(of: Service<Db>): RunningService<Db>
  /** A queue of the topology: to send from outside every handler, to count, and for its dead letters. UNKNOWN_QUEUE for one of no context here. */
  queue<In, Out>(contract: QueueContract<In, Out>): Queue<In, Out>
  /**
   * Resolves when nothing is left to do: the outboxes of the services that run here, and the queues and streams of all services
   * of the topology, are worked off. Dead letters and what was set aside are no work. While something goes on sending, or an event
   * blocks its key, it waits; rejects with ABORTED when the signal fires. What handlers in other processes move just now may be missed.
   */
  drained(options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Handles the events of a context again, from the first that is kept to the last there is now, in order per key, and
   * resolves with how many there were. No group notices. What a relay sent twice is handled once. Rejects at an event
   * that cannot be read, and with what a handler throws: a view that lacks an event should not look complete.
   */
  replay<C extends Replayable>(
    context: C,
    handlers: ReplayHandlers<C>,
    options?: HistoryOptions,
  ): Promise<number>
  /** Resolves after `stop`; rejects when something of it cannot go on. It should then be stopped: what is left is not whole. */
  readonly done: Promise<void>
  stop(options?: StopOptions): Promise<void>
}

/**
 * Starts the services of a topology. Throws before anything runs when an engine cannot be opened or lacks what is asked of
 * it, and when a service has two handlers for one event, queue or call.
 */
export async function run(topology: Topology, options: RunOptions = {}): Promise<Running> {
  checkOptions('run()', options, runOptions)
  const services = chosen(topology, options.only)
  const opened: Engine[] = []
  const started: RunningService<unknown>[] = []
  const activity = new Activity()
  const onReport = guarded(options.onReport)
  // A relay alone waits on nothing that keeps a process alive.
  const alive = setInterval(() => {}, 2 ** 31 - 1)
  let listener: Listener | undefined
  let client: CallClient | undefined
  let telemetry: CallTelemetry | undefined
  let closeControl = async () => {}
  const close = async (stopOptions?: StopOptions): Promise<void> => {
    const began = performance.now()
    const { deadlineMs = 10_000 } = stopOptions ?? {}
    const left = () => ({ deadlineMs: Math.max(0, deadlineMs - (performance.now() - began)) })
    listener?.leave()
    await inTurn(
      // Handlers ask contexts that may run here: those answer until the last handler has ended. Both have one deadline.
      () => atOnce(started.map((service) => service.stopHandling(stopOptions))),
      () => listener?.stop(left()),
      () => atOnce(started.map((service) => service.close(listener ? left() : stopOptions))),
      () => closeControl(),
      () => client?.close(),
      () => telemetry?.close(),
      () => atOnce(opened.map((engine) => engine.close())),
      () => clearInterval(alive),
    )
  }
  const engineFor = async (choice: string | Engine): Promise<Engine> => {
    if (typeof choice !== 'string') return choice
    const engine = await openEngine(choice, options.strict ? { strict: true } : {})
    opened.push(engine)
    return engine
  }
  try {
    const main = await engineFor(options.engine ?? topology.engine)
    const other = options.streams ?? (options.engine === undefined ? topology.streams : undefined)
    const forStreams = other === undefined ? main : await engineFor(other)
    const channels = await declare(topology, services, main, forStreams, options.clock)
    for (const service of services) await channels.received.add(service, engineFor)
    const addresses = { ...topology.addresses, ...options.addresses }
    for (const [context, known] of Object.entries(addresses))
      if (typeof known !== 'function') checkAddresses(context, known)
    const here = new Set(services.map(({ context }) => context.name))
    for (const service of services)
      requireOwners(service, (context) => here.has(context) || Object.hasOwn(addresses, context))
    const calls = new CallClient({
      addressesOf: (context) =>
        Object.hasOwn(addresses, context)
          ? addresses[context]
          : here.has(context) && listener
            ? [listener.address]
            : undefined,
      calls: { ...topology.calls, ...options.calls },
      clock: channels.clock,
      onReport,
      onEnded: (ended) => telemetry?.ended(ended),
      inject: (headers) => telemetry?.inject(headers),
    })
    client = calls
    for (const service of services)
      started.push(
        await RunningService.open(service as Service<unknown>, channels, activity, {
          ...options,
          onReport,
          calls,
        }),
      )
    for (const service of started) await service.declareSchedules()
    const answerers = started.flatMap((service) => service.answerers())
    const open = exposed(options)
    if (open !== undefined && options.strict) throw new SpillwayError('CONFIGURATION', `${open}.`)
    if (options.listen !== undefined || answerers.length > 0)
      listener = await Listener.open({
        listen: options.listen ?? 'http://127.0.0.1:0',
        clock: channels.clock,
        authenticate: options.authenticate,
      })
    // Else nobody can be called, and nothing has to be loaded for it.
    if (listener || Object.keys(addresses).length > 0)
      telemetry = (await import('../call/client/telemetry.ts')).callTelemetry(calls)
    for (const answerer of answerers) listener?.add(answerer)
    const unattended: string[] = []
    if (options.control !== undefined) {
      const { path, ifPossible } =
        typeof options.control === 'string' ? { path: options.control, ifPossible: false } : options.control
      try {
        closeControl = await openControl(path, calls)
      } catch (thrown) {
        if (!ifPossible) throw thrown
        unattended.push(asError(thrown).message)
      }
    }
    for (const service of started) service.start()
    const engines = [...new Set([main, forStreams, ...channels.received.engines])]
    const weaknesses = engines.flatMap((engine) =>
      engine.durability.weaknesses.map((weakness) => `${engine.name}: ${weakness}`),
    )
    const done = Promise.all(started.map((service) => service.done)).then(() => {})
    done.catch(() => {})
    let stopped: Promise<void> | undefined
    const stop = (stopOptions?: StopOptions) => (stopped ??= close(stopOptions))
    return {
      warnings: [...check(topology), ...weaknesses, ...(open === undefined ? [] : [open]), ...unattended],
      engines,
      channels,
      address: listener?.address,
      breakers: () =>
        Object.fromEntries(
          calls.targets.map(({ context, destination }) => [context, destination.breaker.snapshot()]),
        ),
      service<Db>(of: Service<Db>) {
        const found = started.find((service) => service.name === of.context.name)
        if (!found)
          throw new SpillwayError('CONFIGURATION', `The service of ${of.context.name} does not run here.`)
        return found as RunningService<Db>
      },
      queue(contract) {
        if (
          !contextsOf(topology)
            .flatMap(queuesOf)
            .some(({ queue }) => queue === contract.queue)
        )
          throw new SpillwayError(
            'UNKNOWN_QUEUE',
            `No context of this topology has the queue ${contract.queue}.`,
          )
        return new Queue(contract, channels.allQueues, main.name, channels.clock)
      },
      drained({ signal } = {}) {
        const orders = new OrderLooks(channels)
        return untilDrained(() => isDrained(topology, channels, started, activity, orders), signal)
      },
      replay: (context, handlers, replayOptions) => replay(channels, context, handlers, replayOptions),
      done,
      stop,
      [Symbol.asyncDispose]: () => stop(),
    }
  } catch (thrown) {
    // What is wrong is why it did not start; what fails on the way back follows from it.
    await close().catch(() => {})
    throw thrown
  }
}

function chosen(topology: Topology, only: readonly string[] | undefined): AnyService[] {
  const services = servicesOf(topology)
  const unknown = only?.filter((name) => !services.some((service) => service.context.name === name)) ?? []
  if (unknown.length > 0)
    throw new SpillwayError(
      'CONFIGURATION',
      `No service of this topology implements ${unknown.join(', ')}; it has ${services.map((service) => service.context.name).join(', ')}.`,
    )
  const chosen = services.filter((service) => only === undefined || only.includes(service.context.name))
  const [unfitting] = chosen.flatMap(unfit)
  if (unfitting !== undefined) throw new SpillwayError('CONFIGURATION', `In this topology ${unfitting}.`)
  return chosen
}

/** A pointer event whose owner nobody can ask would wait for ever. */
function requireOwners({ context, reactions }: AnyService, isKnown: (context: string) => boolean): void {
  for (const { event } of reactions) {
    if (!isPointer(event) || isKnown(event.pointer.call.context)) continue
    const owner = event.pointer.call.context
    throw new SpillwayError(
      'NO_ADDRESS',
      `${context.name} handles the pointer event ${event.type}, whose payload is asked of ${owner}; that does not run here, and its address is not known.`,
      {
        remedy: `Nothing was started. Name its instances: \`topology({ addresses: { ${owner}: ['http://…'] } })\`.`,
      },
    )
  }
}

/** What is wrong with answering whoever comes. */
function exposed({ listen, authenticate }: RunOptions): string | undefined {
  if (listen === undefined || authenticate || listenAt(listen).isLoopback) return undefined
  return `calls are answered at ${listen} to everybody who reaches it: give run() an \`authenticate\``
}

/** Makes every queue and stream of the topology exist, also those of contexts that run elsewhere. */
async function declare(
  topology: Topology,
  services: readonly AnyService[],
  main: Engine,
  forStreams: Engine,
  clock: Clock = systemClock,
): Promise<Channels> {
  const contexts = contextsOf(topology)
  const timeouts = servicesOf(topology).flatMap(timeoutQueuesOf)
  const queues = [...contexts.flatMap(queuesOf), ...timeouts]
  if (queues.length > 0) {
    if (!main.queue) throw missing(main.name, 'queue')
    const [first] = timeouts
    if (first && !main.queue.capabilities.delay) throw missing(main.name, 'queue', 'delay', first.queue)
    await declareQueues(main.name, main.queue, queues)
  }
  const channels = new Channels(main, forStreams, topology.partitions ?? defaultPartitions, clock)
  // What a stream keeps is for its owner to say: others may know an older contract.
  const owned = new Set(services.map(({ context }) => context.name))
  for (const { name, retain } of contexts.filter((context) => eventsOf(context).length > 0))
    await channels.stream(name, owned.has(name) ? retain : undefined)
  return channels
}
