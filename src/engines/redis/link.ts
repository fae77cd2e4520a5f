// The connection to a server or a cluster, which comes back by itself. While it is away, what is sent is refused at once: nothing is kept for later.
import type { RedisClientType, RedisClusterType } from '@redis/client'
import { readTls, type TlsFiles } from '../../core/tls.ts'
import type { Client } from './client.ts'
import { wordOf } from './errors.ts'
import type { RedisUrl } from './url.ts'

export interface ConnectingOptions {
  readonly user?: string
  readonly password?: string
  /** `true`: as Node trusts; or files or texts in PEM. Default: as the url says. */
  readonly tls?: boolean | TlsFiles
  /** By which name the server knows this program. Default 'spillway'. */
  readonly name?: string
}

export interface Link {
  readonly isCluster: boolean
  /** Rejects with the server's error, or with one of the connection. Not bounded in time while the server is silent and the connection stands. */
  send(key: string, args: readonly (string | Buffer)[]): Promise<unknown>
  /** The server's own word on sections of itself, and on settings. */
  info(): Promise<string>
  settings(names: readonly string[]): Promise<Readonly<Record<string, string>> | undefined>
  close(): Promise<void>
}

/** A silent connection is given up after this; who is idle asks in time. */
const silentMs = 5_000
const pingMs = 2_000

/** Connects, or rejects with the error of the first try. What the options say comes before what the url says. */
export async function openLink(
  client: Client,
  url: RedisUrl,
  options: ConnectingOptions,
  connectTimeout: number,
): Promise<Link> {
  const read = readTls('redis', options.tls ?? url.tls)
  const tls = read === undefined ? {} : { tls: true as const, ...read }
  let opened = false
  const again = (tries: number) =>
    opened && Math.min(20 * 2 ** Math.min(tries, 5), 500) * (0.5 + Math.random() / 2)
  const socket = { connectTimeout, socketTimeout: silentMs, reconnectStrategy: again, ...tls }
  const user = options.user ?? url.user
  const password = options.password ?? url.password
  const common = {
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    name: options.name ?? 'spillway',
    disableClientInfo: true,
    disableOfflineQueue: true,
    pingInterval: pingMs,
    maintNotifications: 'disabled',
    RESP: 2,
  } as const
  const single = client.createClient({
    ...common,
    database: url.database,
    socket: { ...socket, ...url.hosts[0]! },
  })
  // Who sends learns of it; without a listener the process would end.
  single.on('error', () => {})
  await single.connect()
  const link = new ServerLink(single as unknown as RedisClientType)
  try {
    if (!/^cluster_enabled:1/m.test(await link.info())) {
      opened = true
      return link
    }
    const cluster = client.createCluster({
      rootNodes: url.hosts.map((host) => ({ socket: host })),
      defaults: { ...common, socket },
    })
    cluster.on('error', () => {})
    await cluster.connect()
    opened = true
    return new ClusterLink(link, cluster as unknown as RedisClusterType)
  } catch (thrown) {
    await link.close()
    throw thrown
  }
}

/** How long a new connection is left alone before it is judged in turn. */
const renewedMs = 250

class ServerLink implements Link {
  readonly isCluster: boolean = false
  #client: RedisClientType
  #renewing: RedisClientType | undefined
  #closed = false

  constructor(client: RedisClientType) {
    this.#client = client
  }

  async send(_key: string, args: readonly (string | Buffer)[]): Promise<unknown> {
    try {
      return await this.#client.sendCommand(args as (string | Buffer)[])
    } catch (thrown) {
      // It was made a replica: whoever is behind the same address now takes the writes.
      if (wordOf(thrown) === 'READONLY') void this.#renew()
      throw thrown
    }
  }

  /** Another connection in place of this one, as soon as there is one. One at a time. */
  async #renew(): Promise<void> {
    if (this.#renewing !== undefined || this.#closed) return
    const fresh = this.#client.duplicate()
    this.#renewing = fresh
    fresh.on('error', () => {})
    try {
      await fresh.connect()
      const old = this.#client
      this.#client = fresh
      old.destroy()
      await new Promise((resolve) => setTimeout(resolve, renewedMs).unref())
    } catch {
      // It was closed meanwhile.
    }
    this.#renewing = undefined
  }

  async info(): Promise<string> {
    return String(await this.#client.sendCommand(['INFO']))
  }

  async settings(names: readonly string[]): Promise<Readonly<Record<string, string>> | undefined> {
    try {
      return await this.#client.configGet([...names])
    } catch {
      return undefined
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const client of [this.#client, this.#renewing]) if (client?.isOpen) client.destroy()
  }
}

class ClusterLink implements Link {
  readonly isCluster: boolean = true
  readonly #seed: ServerLink
  readonly #cluster: RedisClusterType

  constructor(seed: ServerLink, cluster: RedisClusterType) {
    this.#seed = seed
    this.#cluster = cluster
  }

  send(key: string, args: readonly (string | Buffer)[]): Promise<unknown> {
    return this.#cluster.sendCommand(key, false, args as (string | Buffer)[])
  }

  info(): Promise<string> {
    return this.#seed.info()
  }

  settings(names: readonly string[]): Promise<Readonly<Record<string, string>> | undefined> {
    return this.#seed.settings(names)
  }

  async close(): Promise<void> {
    this.#cluster.destroy()
    await this.#seed.close()
  }
}
