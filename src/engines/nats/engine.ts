// The NATS engine: queues and streams on JetStream.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability, Engine, EngineOptions } from '../../ports/engine.ts'
import { Api, type StreamInfo } from './api.ts'
import { Backlog } from './backlog.ts'
import { loadClient } from './client.ts'
import { type ConnectingOptions, connecting } from './connecting.ts'
import { Declaring, type StoreOptions } from './declaring.ts'
import { askMonitor, inMemory, judge, requirePowerLoss } from './durability.ts'
import { apiCode, Fault, translate } from './errors.ts'
import { Link } from './link.ts'
import { Names } from './names.ts'
import { NatsQueue } from './queue.ts'
import { NatsStream } from './stream.ts'
import { Streams } from './streams.ts'
import { type NatsUrl, parseUrl } from './url.ts'

export interface NatsOptions extends EngineOptions, ConnectingOptions, StoreOptions {
  /**
   * `nats://host:port`, several servers separated by commas; the port is 4222 unless given. With `user:password@` or
   * `token@` in front, and `?tls=true&ca=…&cert=…&key=…&creds=…&nkey=…&monitor=…&domain=…&prefix=…&replicas=…` behind.
   */
  readonly url: string
  /** The server's monitoring address, `http://host:8222`: it alone tells whether the server syncs before it answers. */
  readonly monitor?: string
  /** The JetStream domain. */
  readonly domain?: string
  /** What the names of all subjects and NATS streams begin with. Default 'spillway'. */
  readonly prefix?: string
  /** How long a call goes on trying while the servers do not serve it, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number
}

const oldest = [2, 9] as const
/** What goes with a body at most: id, key, headers, and the reason of a dead letter. */
const bodyRoom = 8 * 1024

/** Connects to the servers, which tell of others. Needs `@nats-io/transport-node`. */
export async function nats(options: NatsOptions): Promise<Engine> {
  const url = parseUrl(options.url)
  const settings = settingsOf(options, url)
  const client = await loadClient()
  const timeout = Math.min(5_000, settings.timeoutMs)
  let link: Link | undefined
  try {
    link = await Link.open(client, { ...connecting(client, url, options), timeout })
    return await open(link, options, settings, url.shown)
  } catch (thrown) {
    await link?.close()
    throw translate(thrown, `connecting to ${url.shown}`)
  }
}

type Settings = ReturnType<typeof settingsOf>

async function open(link: Link, options: NatsOptions, settings: Settings, url: string): Promise<Engine> {
  if (!link.atLeast(...oldest))
    throw new SpillwayError(
      'ENGINE_TOO_OLD',
      `The server ${url} is NATS ${link.info.version}; Spillway needs ${oldest.join('.')} or newer.`,
      { engine: 'nats' },
    )
  const api = new Api(link, settings.timeoutMs, settings.domain)
  await requireJetStream(api)
  const declaring = new Declaring(api, { ...options, replicas: settings.replicas })
  let durability: Durability = judge({
    version: link.info.version,
    replicas: declaring.replicas,
    canSync: link.atLeast(2, 10),
    syncAlways: await askMonitor(settings.monitor, settings.timeoutMs),
  })
  if (options.strict) requirePowerLoss(durability)
  const seen = (what: string, { config }: StreamInfo) => {
    if (config.storage !== 'memory') return
    const weaker = inMemory(durability, what)
    if (options.strict) requirePowerLoss(weaker)
    if (!durability.weaknesses.includes(weaker.weaknesses.at(-1)!)) durability = weaker
  }
  const names = new Names(settings.prefix)
  const backlog = new Backlog(settings.timeoutMs)
  const maxBodyBytes = link.info.max_payload - bodyRoom
  if (maxBodyBytes < bodyRoom)
    throw new SpillwayError(
      'CONFIGURATION',
      `The server's max_payload is ${link.info.max_payload}; Spillway needs ${2 * bodyRoom} or more.`,
      { engine: 'nats' },
    )
  const streams = new Streams(api, declaring, names, seen)
  const stream = new NatsStream(api, streams, names, backlog, maxBodyBytes)
  const queue = new NatsQueue(api, declaring, names, backlog, maxBodyBytes, seen)
  let closing: Promise<void> | undefined
  const close = async () => {
    backlog.close()
    await Promise.all([stream.close(), queue.close()])
    await link.close()
  }
  return {
    name: 'nats',
    url,
    get durability(): Durability {
      return durability
    },
    queue,
    stream,
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** A server that says that it has JetStream may not be ready with it; one that does not may know one that has. */
async function requireJetStream(api: Api): Promise<void> {
  const { info } = api.link
  try {
    if (info.jetstream) await api.call('INFO')
    else await api.link.request(api.subject('INFO'), '', api.timeoutMs)
  } catch (thrown) {
    const off: readonly number[] = [apiCode.notEnabled, apiCode.notEnabledForAccount]
    const absent = thrown instanceof Fault && thrown.kind === 'ABSENT' && !info.jetstream
    if (!absent && !(thrown instanceof Fault && off.includes(thrown.code))) throw thrown
    throw new SpillwayError(
      'ENGINE_FAILED',
      'JetStream is not enabled on this NATS server, or not for this account.',
      { engine: 'nats', cause: thrown },
    )
  }
}

function settingsOf(options: NatsOptions, { parameters }: NatsUrl) {
  const replicas =
    options.replicas ?? (parameters.replicas === undefined ? undefined : Number(parameters.replicas))
  const timeoutMs = options.timeoutMs ?? 15_000
  const prefix = options.prefix ?? parameters.prefix ?? 'spillway'
  if (replicas !== undefined && ![1, 3, 5].includes(replicas))
    throw wrong(`replicas is ${replicas}; it takes 1, 3 or 5.`)
  if (!(timeoutMs >= 100 && timeoutMs <= 600_000))
    throw wrong(`timeoutMs is ${timeoutMs}; it takes 100 to 600,000.`)
  if (!/^[A-Za-z0-9_-]{1,50}$/.test(prefix))
    throw wrong(`prefix is ${JSON.stringify(prefix)}; it takes letters, digits, dash and underscore.`)
  const monitor = options.monitor ?? parameters.monitor
  if (monitor !== undefined && !URL.canParse(monitor))
    throw wrong(`monitor is ${JSON.stringify(monitor)}; it takes an address: http://host:8222.`)
  return { replicas, timeoutMs, prefix, monitor, domain: options.domain ?? parameters.domain }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'nats' })
}
