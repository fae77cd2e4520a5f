// From data to what the port stores. How a message is to be kept (later, before others, for whom, once) is written in its
// envelope, and nowhere else: so it passes through an outbox, which knows of bodies only, and the relay reads it there again.
import { type Clock, systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Duration, longestMs, milliseconds } from '../core/duration.ts'
import { type Attributes, attributesOf, isName, type Sealed, seal } from '../core/envelope.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { checkOptions, type OptionNames } from '../core/known-options.ts'
import type { OutgoingMessage } from '../ports/queue.ts'
import { checkCarried } from '../ports/queue-rules.ts'
import { rulesOf } from './rules.ts'

export interface SendOptions {
  /** Names the message for ever. Send the same id again to retry a send whose outcome is unknown. Default: a new id. */
  readonly id?: string
  /** Handled no earlier than this from now. Needs the engine's capability `delay`. */
  readonly delay?: Duration
  /** Handled no earlier than this. In the past: at once. */
  readonly at?: Date
  /** In place of what the contract says. Only for a queue whose contract has `priority`. */
  readonly priority?: number
  /** In place of what the contract says. Only for a queue whose contract has `dedup`. */
  readonly dedup?: string | { readonly key: string; readonly for?: Duration }
  /** In place of what the contract says: begun within this from now, or a dead letter. */
  readonly ttl?: Duration
  /**
   * The ids of messages that have to be done first, in whatever queues of the engine: up to 1,000. Only between queues whose contracts have
   * `flow`. UNKNOWN_MESSAGE for one that the engine does not know; in a handler it is waited for, since it may be on its way.
   */
  readonly after?: readonly string[]
  /**
   * When one of them becomes a dead letter: `wait` until it is redriven and done (the default), or `run` all the same. When one is cancelled
   * or purged, this message is a dead letter too, or with `run` goes on.
   */
  readonly ifFailed?: 'wait' | 'run'
  readonly correlationId?: string
}

const sendOptions: OptionNames<SendOptions> = {
  id: true,
  delay: true,
  at: true,
  priority: true,
  dedup: true,
  ttl: true,
  after: true,
  ifFailed: true,
  correlationId: true,
}

/** What the sender is, and why it sends: the same for all messages of a call. */
export type SendOrigin = Pick<
  Attributes,
  'source' | 'correlationId' | 'causationId' | 'traceparent' | 'tracestate'
>

/** What the port stores, and an outbox as far as it knows of it. */
export type Outgoing = Sealed & Carried

/** Validates and seals. Throws (or rejects with) INVALID_DATA, and INVALID_OPTION for options that cannot work. */
export function outgoing<In>(
  contract: QueueContract<In, unknown>,
  data: In,
  options: SendOptions,
  origin: SendOrigin,
  clock: Clock = systemClock,
): Outgoing | Promise<Outgoing> {
  checkOptions('send()', options, sendOptions)
  const { id, correlationId } = options
  const named = {
    ...origin,
    ...(id === undefined ? {} : { id }),
    ...(correlationId === undefined ? {} : { correlationId }),
  }
  if (isPlain(contract, options)) return seal(contract, data, named, clock)
  let carried: Carried = {}
  const sealed = seal(
    contract,
    data,
    (now) => {
      const attributes = { ...named, ...keeping(contract, data, options, now) }
      carried = carriedOf(attributes, now)
      checkCarried(carried, rulesOf(contract))
      return attributes
    },
    clock,
  )
  return sealed instanceof Promise
    ? sealed.then((done) => ({ ...done, ...carried }))
    : { ...sealed, ...carried }
}

/** What the port is told of a message besides its id, key and body. */
export type Carried = Pick<OutgoingMessage, 'delayMs' | 'priority' | 'group' | 'dedup' | 'after'>

/** The same from the body alone, for a relay. What is left of a delay is by the clock of this process. */
export function carriedBy(body: string, now: number): Carried {
  const { notbefore, priority, group, dedupkey, dedupuntil, after, iffailed } = attributesOf(body)
  const carried = carriedOf(
    {
      notBefore: time(notbefore),
      priority,
      group,
      dedupKey: dedupkey,
      dedupUntil: time(dedupuntil),
      after: after === undefined ? undefined : (JSON.parse(after) as string[]),
      ifFailed: iffailed,
    },
    now,
  )
  // Destinations are relayed beside one another: what it waits for may come later.
  return carried.after === undefined ? carried : { ...carried, after: { ...carried.after, mayCome: true } }
}

function time(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text)
}

function carriedOf(attributes: Attributes, now: number): Carried {
  const { notBefore, priority, group, dedupKey, dedupUntil, after, ifFailed } = attributes
  const forMs = dedupUntil === undefined || dedupUntil <= now ? {} : { forMs: dedupUntil - now }
  return {
    ...(notBefore === undefined || notBefore <= now ? {} : { delayMs: notBefore - now }),
    ...(priority === undefined ? {} : { priority }),
    ...(group === undefined ? {} : { group }),
    ...(dedupKey === undefined ? {} : { dedup: { key: dedupKey, ...forMs } }),
    ...(after === undefined
      ? {}
      : { after: { ids: after, ...(ifFailed === undefined ? {} : { anyEnd: true }) } }),
  }
}

function isPlain(contract: QueueContract, options: SendOptions): boolean {
  const { key, priority, dedup, group, ttl } = contract
  return (
    (key ?? priority ?? dedup ?? group ?? ttl) === undefined &&
    (options.delay ?? options.at ?? options.priority ?? options.dedup ?? options.ttl ?? options.after) ===
      undefined
  )
}

/** What contract and options say together; the options win. */
function keeping<In>(
  contract: QueueContract<In, unknown>,
  data: In,
  options: SendOptions,
  now: number,
): Attributes {
  const key = contract.key?.(data)
  const notBefore = startTime(options, now)
  const ttl = options.ttl ?? contract.ttl
  const expiresAt = ttl === undefined ? undefined : timeAfter(now, milliseconds(ttl, 'ttl'), 'ttl')
  if (expiresAt !== undefined && expiresAt <= (notBefore ?? now))
    throw new SpillwayError(
      'INVALID_OPTION',
      `ttl is ${JSON.stringify(ttl)}: the message would expire before it may be handled.`,
    )
  const computed = typeof contract.priority === 'function' ? contract.priority(data) : undefined
  const dedup = dedupOf(contract, data, options)
  const dedupFor = dedup?.for === undefined ? undefined : milliseconds(dedup.for, 'dedup.for')
  return {
    ...(key === undefined ? {} : { key }),
    notBefore,
    expiresAt,
    priority: options.priority ?? computed,
    group: contract.group?.(data),
    dedupKey: dedup?.key,
    dedupUntil: dedupFor === undefined ? undefined : now + dedupFor,
    ...others(options),
  }
}

function others({ id: own, after, ifFailed }: SendOptions): Pick<Attributes, 'after' | 'ifFailed'> {
  if (after === undefined || after.length === 0) return {}
  for (const id of after)
    if (!isName(id))
      throw new SpillwayError(
        'INVALID_OPTION',
        `\`after\` has ${JSON.stringify(id)}, which is no id of a message.`,
      )
  if (own !== undefined && after.includes(own))
    throw new SpillwayError('INVALID_OPTION', `The message ${own} is to wait for itself.`)
  if (ifFailed !== undefined && ifFailed !== 'run' && ifFailed !== 'wait')
    throw new SpillwayError(
      'INVALID_OPTION',
      `ifFailed is ${JSON.stringify(ifFailed)}; it is 'wait' or 'run'.`,
    )
  return { after, ifFailed: ifFailed === 'run' ? ifFailed : undefined }
}

function startTime({ delay, at }: SendOptions, now: number): number | undefined {
  if (delay !== undefined && at !== undefined)
    throw new SpillwayError('INVALID_OPTION', 'A message was given both `delay` and `at`.')
  if (delay !== undefined) {
    const delayMs = milliseconds(delay, 'delay')
    return delayMs > 0 ? timeAfter(now, delayMs, 'delay') : undefined
  }
  if (at === undefined) return undefined
  if (!(at instanceof Date))
    throw new SpillwayError('INVALID_OPTION', `\`at\` is ${describe(at)}; it takes a Date.`)
  const time = at.getTime()
  if (Number.isNaN(time)) throw new SpillwayError('INVALID_OPTION', '`at` is an invalid Date.')
  // Here, and not by the engine: from an outbox nobody would hear of it.
  if (time - now > longestMs)
    throw new SpillwayError(
      'INVALID_OPTION',
      `\`at\` is ${at.toISOString()}; a message waits for a hundred years at most.`,
    )
  return time > now ? time : undefined
}

/** The last moment that a Date can name. */
const lastTime = 8.64e15

function timeAfter(now: number, ms: number, option: string): number {
  if (now + ms <= lastTime) return now + ms
  throw new SpillwayError('INVALID_OPTION', `${option} is ${ms} ms, which ends after every calendar.`)
}

function dedupOf<In>(
  { dedup }: QueueContract<In, unknown>,
  data: In,
  options: SendOptions,
): { readonly key: string; readonly for?: Duration } | undefined {
  if (options.dedup !== undefined)
    return typeof options.dedup === 'string' ? { key: options.dedup } : options.dedup
  if (dedup === undefined || dedup === true) return undefined
  const key = typeof dedup === 'function' ? dedup(data) : dedup.key(data)
  if (key === undefined) return undefined
  return typeof dedup === 'function' ? { key } : { key, for: dedup.for }
}
