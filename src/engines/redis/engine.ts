// The Redis engine: buckets of limits that several processes share. It carries neither queues nor streams.
import { SpillwayError } from '../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../core/known-options.ts'
import type { Engine, EngineOptions } from '../../ports/engine.ts'
import { loadClient } from './client.ts'
import { type Found, judge, requirePowerLoss } from './durability.ts'
import { translate } from './errors.ts'
import { RedisLimit } from './limit.ts'
import { type ConnectingOptions, type Link, openLink } from './link.ts'
import { parseUrl, type RedisUrl } from './url.ts'

export interface RedisOptions extends EngineOptions, ConnectingOptions {
  /**
   * `redis://host:port`, `rediss://…` for TLS; several hosts of a cluster separated by commas; the port is 6379 unless given. With `user:password@` in
   * front, `/number` of a database and `?ca=…&cert=…&key=…&prefix=…&timeoutMs=…` behind.
   */
  readonly url: string
  /**
   * What the names of all keys begin with. Default 'spillway'. In a cluster a request whose buckets are in one slot is decided by one question, one over
   * several slots by two: what stands in braces decides the slot, so `{spillway}` puts all buckets into one.
   */
  readonly prefix?: string
  /** How long a call waits for the server, in milliseconds from 10 to 60,000. Default 1,000. */
  readonly timeoutMs?: number
}

const optionNames: OptionNames<RedisOptions> = {
  url: true,
  strict: true,
  user: true,
  password: true,
  tls: true,
  name: true,
  prefix: true,
  timeoutMs: true,
}

/** Scripts tell their effects to replicas, and not themselves; `GET` and `SET … PX` are all that is needed beside. */
const oldest = [6, 2] as const

/** Connects to a server or a cluster. Needs `@redis/client`. */
export async function redis(options: RedisOptions): Promise<Engine> {
  checkOptions('redis', options, optionNames)
  const url = parseUrl(options.url)
  const { prefix, timeoutMs } = settingsOf(options, url)
  const client = await loadClient()
  const doing = `connecting to ${url.shown}`
  let link: Link | undefined
  try {
    link = await openLink(client, url, options, Math.max(timeoutMs, 2_000))
    const found = await ask(link)
    requireVersion(found.version, url.shown)
    const durability = judge(found)
    if (options.strict) requirePowerLoss(durability)
    const opened = link
    const statement = [durability.statement, ...durability.weaknesses].join('. ').replaceAll('..', '.')
    const limit = new RedisLimit(opened, { statement, prefix, timeoutMs })
    let closing: Promise<void> | undefined
    return {
      name: 'redis',
      url: url.shown,
      durability,
      queue: undefined,
      stream: undefined,
      limit,
      close() {
        closing ??= limit.close().then(() => opened.close())
        return closing
      },
    }
  } catch (thrown) {
    await link?.close()
    throw translate(thrown, doing)
  }
}

/** What the server says of itself, in its words. */
async function ask(link: Link): Promise<Found> {
  const info = await link.info()
  const said = (name: string): string => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? ''
  const settings = await link.settings(['appendfsync', 'save'])
  return {
    version: said('redis_version'),
    isCluster: link.isCluster,
    replicas: Number(said('connected_slaves')),
    appendOnly: said('aof_enabled') === '1',
    appendFsync: settings?.appendfsync,
    save: settings?.save,
    maxMemory: Number(said('maxmemory')),
    evicts: said('maxmemory_policy'),
  }
}

function requireVersion(version: string, url: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return
  throw new SpillwayError(
    'ENGINE_TOO_OLD',
    `The server ${url} is Redis ${version}; Spillway needs ${oldest.join('.')} or newer.`,
    { engine: 'redis' },
  )
}

function settingsOf(options: RedisOptions, url: RedisUrl): { prefix: string; timeoutMs: number } {
  const timeoutMs = options.timeoutMs ?? url.timeoutMs ?? 1_000
  const prefix = options.prefix ?? url.prefix ?? 'spillway'
  if (!Number.isInteger(timeoutMs) || timeoutMs < 10 || timeoutMs > 60_000)
    throw wrong(`timeoutMs is ${timeoutMs}; it takes a whole number from 10 to 60,000.`)
  if (prefix === '' || prefix.length > 100 || prefix.includes('\0'))
    throw wrong('prefix is a text of 1 to 100 characters without NUL.')
  return { prefix, timeoutMs }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'redis' })
}
