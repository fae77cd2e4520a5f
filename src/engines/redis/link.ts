// The connection to a server or a cluster, which comes back by itself. While it is away, what is sent is refused at once: nothing is kept for later.
import type { RedisClientType, RedisClusterType } from '@redis/client'
import { SpillwayError } from '../../core/errors.ts'
import { readTls, type TlsFiles } from '../../core/tls.ts'
import type { Client } from './client.ts'
import { isAnswer, wordOf } from './errors.ts'
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
/** A node of a cluster is away for so long before it is asked again which nodes there are. */
const refreshAfterMs = 1_000
/** How often at most a cluster is entered anew when a node cannot be reached. */
const lookEveryMs = 5_000

/** Connects, or rejects with the error of a try. What the options say comes before what the url says. */
export async function openLink(
  client: Client,
  url: RedisUrl,
  options: ConnectingOptions,
  connectTimeout: number,
): Promise<Link> {
  const read = readTls('redis', options.tls ?? url.tls)
  const tls = read === undefined ? {} : { tls: true as const, ...read }
  let opened = false
  const again = (tries: number) => Math.min(20 * 2 ** Math.min(tries, 5), 500) * (0.5 + Math.random() / 2)
  const reconnectStrategy = (tries: number) => opened && again(tries)
  const socket = { connectTimeout, socketTimeout: silentMs, reconnectStrategy, ...tls }
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
  const link = new ServerLink(
    await firstOf(url.hosts, async (host) => {
      const single = client.createClient({
        ...common,
        database: url.database,
        socket: { ...socket, ...host },
      })
      // Who sends learns of it; without a listener the process would end.
      single.on('error', () => {})
      await single.connect()
      return single as unknown as RedisClientType
    }),
  )
  try {
    const isCluster = /^cluster_enabled:1/m.test(await link.info())
    opened = true
    if (!isCluster && url.hosts.length > 1)
      throw new SpillwayError(
        'CONFIGURATION',
        `The server ${url.shown} is no cluster, and several hosts in a Redis URL are the nodes of one: write the host of one server.`,
        { engine: 'redis' },
      )
    if (!isCluster) return link
    const cluster = new ClusterLink(link, () => {
      // A node that was never reached may never be: whoever asked it is told so, and nobody waits for it.
      const reached = new Set<string>()
      const made = client.createCluster({
        rootNodes: url.hosts.map((host) => ({ socket: host })),
        nodeAddressMap: (address) => {
          const at = address.lastIndexOf(':')
          return {
            host: address.slice(0, at),
            port: Number(address.slice(at + 1)),
            reconnectStrategy: (tries: number) => reached.has(address) && again(tries),
          }
        },
        topologyRefreshOnReconnectionAttemptStrategy: refreshAfterMs,
        defaults: { ...common, socket },
      })
      made.on('error', () => {})
      made.on('node-ready', ({ host, port }) => reached.add(`${host}:${port}`))
      made.on('node-disconnect', ({ host, port }) => reached.delete(`${host}:${port}`))
      return made as unknown as RedisClusterType
    })
    await cluster.open()
    return cluster
  } catch (thrown) {
    await link.close()
    throw thrown
  }
}

/** Any node of a cluster may be away. Rejects with the error of the last. */
async function firstOf<Host, Opened>(
  hosts: readonly Host[],
  open: (host: Host) => Promise<Opened>,
): Promise<Opened> {
  let last: unknown
  for (const host of hosts) {
    try {
      return await open(host)
    } catch (thrown) {
      last = thrown
    }
  }
  throw last
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
  readonly #make: () => RedisClusterType
  /** The one that is sent by, and those that were before it until what is on its way there has had its time. */
  readonly #clusters = new Set<RedisClusterType>()
  #cluster: RedisClusterType | undefined
  #lookedMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(seed: ServerLink, make: () => RedisClusterType) {
    this.#seed = seed
    this.#make = make
  }

  /** Asks the hosts of the url which nodes there are, and goes by these from now on. Rejects when one of them cannot be reached. */
  async open(): Promise<void> {
    const made = this.#make()
    this.#clusters.add(made)
    try {
      await made.connect()
    } catch (thrown) {
      this.#end(made)
      throw thrown
    }
    // It goes on connecting where it was ended before.
    if (this.#closed) return made.destroy()
    const before = this.#cluster
    this.#cluster = made
    if (before) setTimeout(() => this.#end(before), silentMs).unref()
  }

  async send(key: string, args: readonly (string | Buffer)[]): Promise<unknown> {
    try {
      return await this.#cluster!.sendCommand(key, false, args as (string | Buffer)[])
    } catch (thrown) {
      if (!isAnswer(thrown)) this.#look()
      throw thrown
    }
  }

  /** The client library looks for what became of a node that it was connected to; of one that it never was it does not. */
  #look(): void {
    const nowMs = performance.now()
    if (this.#closed || nowMs - this.#lookedMs < lookEveryMs) return
    this.#lookedMs = nowMs
    this.open().catch(() => {})
  }

  #end(cluster: RedisClusterType): void {
    if (this.#clusters.delete(cluster)) cluster.destroy()
  }

  info(): Promise<string> {
    return this.#seed.info()
  }

  settings(names: readonly string[]): Promise<Readonly<Record<string, string>> | undefined> {
    return this.#seed.settings(names)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const cluster of this.#clusters) this.#end(cluster)
    await this.#seed.close()
  }
}
