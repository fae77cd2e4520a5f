// The capability table: what is core (every engine that has the port has it) and what only some engines have.
// A capability is flagged by the engine, tested both ways, and never emulated.
import { SpillwayError } from '../core/errors.ts'

/**
 * Who refuses a consumer that lost its lease or partition: `engine`, the engine itself refuses its settle or
 * commit; `effects`, only the transaction of the service's own database does.
 */
export type Fencing = 'engine' | 'effects'

export interface QueueCapabilities {
  readonly fencing: Fencing
  /** A message can be sent now and become claimable later. */
  readonly delay: boolean
  /** A `send` that rejects stored none of its messages; one that resolves stored all. */
  readonly atomicSend: boolean
  /** The rules of queue-rules.ts. */
  readonly keyOrder: boolean
  readonly priority: boolean
  readonly dedup: boolean
  readonly groups: boolean
  readonly concurrency: boolean
  readonly rate: boolean
  readonly flow: boolean
  readonly finished: boolean
  /** `extend` takes what a holder says of how far it is, and `peek` shows it. */
  readonly progress: boolean
  /** A dead letter tells why its message was tried again before. */
  readonly history: boolean
  /** What queue-control.ts has. */
  readonly pause: boolean
  readonly peek: boolean
  readonly cancel: boolean
  readonly purge: boolean
  /** What queue-schedules.ts has. */
  readonly schedules: boolean
}

export interface StreamCapabilities {
  readonly fencing: Fencing
  /** An append over several partitions is stored whole or not at all. */
  readonly atomicAppend: boolean
  /** A stream can keep versions: append with an expected version per key, and read by key. */
  readonly versions: boolean
  /** A call may name its producer and number: one that was stored already is recognised. */
  readonly producers: boolean
  /** A stream can be compacted: of each key the last record is kept. */
  readonly compaction: boolean
}

type Flag = { readonly title: string; readonly engines: readonly string[] }

/** The flags in words, and the engines that have them: for error messages and the reference page. */
export const capabilityTable = {
  queue: {
    delay: { title: 'sending for a later time', engines: ['sqlite', 'postgres', 'memory'] },
    atomicSend: { title: 'sending several messages all or none', engines: ['sqlite', 'postgres', 'memory'] },
    keyOrder: { title: 'strict order per key', engines: ['sqlite', 'postgres', 'memory'] },
    priority: { title: 'priorities', engines: ['sqlite', 'postgres', 'memory'] },
    dedup: { title: 'deduplication keys', engines: ['sqlite', 'postgres', 'memory'] },
    groups: { title: 'fair turns between groups', engines: ['sqlite', 'postgres', 'memory'] },
    concurrency: { title: 'a concurrency for all processes', engines: ['sqlite', 'postgres', 'memory'] },
    rate: { title: 'a rate for all processes', engines: ['sqlite', 'postgres', 'memory'] },
    flow: { title: 'messages that wait for others', engines: ['sqlite', 'postgres', 'memory'] },
    finished: { title: 'keeping finished messages', engines: ['sqlite', 'postgres', 'memory'] },
    progress: { title: 'the progress of a running message', engines: ['sqlite', 'postgres', 'memory'] },
    history: { title: 'the reasons of earlier attempts', engines: ['sqlite', 'postgres', 'memory'] },
    pause: { title: 'pausing a queue', engines: ['sqlite', 'postgres', 'memory'] },
    peek: { title: 'looking at waiting messages', engines: ['sqlite', 'postgres', 'memory'] },
    cancel: { title: 'cancelling a message', engines: ['sqlite', 'postgres', 'memory'] },
    purge: { title: 'emptying a queue', engines: ['sqlite', 'postgres', 'memory'] },
    schedules: { title: 'schedules', engines: ['sqlite', 'postgres', 'memory'] },
  },
  stream: {
    atomicAppend: {
      title: 'appending to several partitions all or none',
      engines: ['sqlite', 'postgres', 'memory'],
    },
    versions: { title: 'versions per key', engines: ['sqlite', 'postgres', 'memory'] },
    compaction: {
      title: 'keeping the last event of each key',
      engines: ['sqlite', 'postgres', 'kafka', 'memory'],
    },
    producers: { title: 'appends that may be repeated', engines: ['sqlite', 'postgres', 'memory'] },
  },
} as const

/** The engines that carry a port at all. */
export const portTable = {
  queue: ['sqlite', 'postgres', 'nats', 'memory'],
  stream: ['sqlite', 'postgres', 'nats', 'kafka', 'memory'],
  limit: ['sqlite', 'postgres', 'redis', 'memory'],
} as const

/** The engines that leave fencing to the service's own transaction; all others fence themselves. */
export const fencedByEffects = { queue: ['nats'], stream: [] } as const

export type QueueFeature = keyof (typeof capabilityTable)['queue']
export type StreamFeature = keyof (typeof capabilityTable)['stream']

/**
 * The error for asking an engine for what it does not have: names the engine, the feature, and who has it; and the queue whose
 * contract asks for it, where it is one.
 */
export function missing(
  engine: string,
  port: 'queue' | 'stream',
  feature?: QueueFeature | StreamFeature,
  queue?: string,
): SpillwayError {
  const flags: Readonly<Record<string, Flag>> = capabilityTable[port]
  const flag = feature === undefined ? undefined : flags[feature]
  const what = flag?.title ?? `a ${port}`
  const engines = flag?.engines ?? portTable[port]
  const said =
    queue === undefined
      ? `The engine '${engine}' does not have ${what}`
      : `The contract of the queue ${queue} asks for ${what}, which the engine '${engine}' does not have`
  return new SpillwayError('CAPABILITY_MISSING', `${said}; these have: ${engines.join(', ')}.`, {
    engine,
    details: { port, feature, engines, ...(queue === undefined ? {} : { queue }) },
  })
}
