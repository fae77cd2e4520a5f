// One connection to one broker. A broker answers the requests of a connection one after the other, so whatever
// may wait long (a long poll, a join) gets a link of its own.
import { isIP } from 'node:net'
import type { Connection, ConnectionOptions } from '@platformatic/kafka'
import { systemClock } from '../../core/clock.ts'
import { asError } from '../../core/errors.ts'
import type { Client } from './client.ts'
import { Fault } from './errors.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface LinkOptions {
  readonly clientId: string
  /** For the connection; and again as long for the first answers. */
  readonly connectTimeoutMs: number
  readonly tls?: ConnectionOptions['tls']
  readonly sasl?: ConnectionOptions['sasl']
}

/** A request of the library: its arguments and its answer. */
export interface Api<Args extends unknown[], Answer> {
  readonly key: number
  readonly version: number
  async(connection: Connection, ...args: Args): Promise<Answer>
}

// Every request is made in one version, which all brokers from `oldest` to today's understand.
const oldest = '3.0'
const spoken: readonly (readonly [key: number, version: number])[] = [
  [0, 9], // Produce
  [1, 12], // Fetch
  [2, 7], // ListOffsets
  [3, 10], // Metadata
  [8, 8], // OffsetCommit
  [9, 7], // OffsetFetch
  [10, 4], // FindCoordinator
  [11, 7], // JoinGroup
  [12, 4], // Heartbeat
  [13, 4], // LeaveGroup
  [14, 5], // SyncGroup
  [16, 4], // ListGroups
  [19, 7], // CreateTopics
  [22, 4], // InitProducerId
  [32, 4], // DescribeConfigs
]

export class Link {
  readonly address: Address
  readonly #client: Client
  readonly #connection: Connection
  readonly #handshakeMs: number
  readonly #mechanism: string | undefined
  #closed = false
  #broken: Error | undefined

  constructor(client: Client, address: Address, options: LinkOptions, requestTimeoutMs: number) {
    const { clientId, connectTimeoutMs, tls, sasl } = options
    this.#client = client
    this.address = address
    this.#handshakeMs = connectTimeoutMs
    this.#mechanism = sasl?.mechanism
    this.#connection = new client.Connection(clientId, {
      connectTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      maxInflights: 64,
      ...(tls === undefined ? {} : { tls }),
      // Not set by itself: a broker behind a proxy that chooses by it would not be reached.
      ...(isIP(address.host) === 0 && tls?.servername === undefined ? { tlsServerName: address.host } : {}),
      ...(sasl === undefined ? {} : { sasl }),
    })
    // Without a listener an 'error' would be thrown out of the event loop; whoever waits learns of it by rejection.
    this.#connection.on('error', (error) => {
      this.#broken = error
    })
    this.#connection.on('close', () => {
      this.#closed = true
    })
  }

  /** Connects and makes sure that the broker speaks our versions. */
  async open(): Promise<void> {
    const silent = systemClock.after(2 * this.#handshakeMs, () => void this.close())
    try {
      await this.#connection.connect(this.address.host, this.address.port)
      await this.#checkVersions()
    } catch (thrown) {
      await this.close()
      throw this.#fault(thrown)
    } finally {
      silent()
    }
  }

  get closed(): boolean {
    return this.#closed || !this.#connection.isConnected()
  }

  /** Resolves with the answer, also when there are error codes in it; rejects with a Fault when there is no answer. */
  async call<Args extends unknown[], Answer>(api: Api<Args, Answer>, ...args: Args): Promise<Answer> {
    try {
      return await api.async(this.#connection, ...args)
    } catch (thrown) {
      if (thrown instanceof this.#client.ResponseError)
        return (thrown as unknown as { response: Answer }).response
      throw this.#fault(thrown)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#connection.close().catch(() => {})
  }

  async #checkVersions(): Promise<void> {
    const { errorCode, apiKeys } = await this.call(this.#client.apiVersionsV3.api, 'spillway', '1')
    const ranges = new Map((apiKeys ?? []).map((api) => [api.apiKey, api]))
    for (const [key, version] of spoken) {
      const range = ranges.get(key)
      if (errorCode === 0 && range && range.minVersion <= version && version <= range.maxVersion) continue
      const name = this.#client.protocolAPIsById[key as keyof Client['protocolAPIsById']]
      if (errorCode === 0 && range && range.minVersion > version)
        throw new Fault(
          'UNSUPPORTED_FEATURE',
          `the broker no longer speaks version ${version} of ${name}; use a newer Spillway`,
        )
      throw new Fault(
        'UNSUPPORTED_VERSION',
        `The broker ${this.address.host}:${this.address.port} does not speak version ${version} of ${name}; Spillway needs Kafka ${oldest} or newer.`,
      )
    }
  }

  #fault(thrown: unknown): Fault {
    if (thrown instanceof Fault) return thrown
    const { AuthenticationError, ResponseError } = this.#client
    const chain = causes(asError(thrown))
    const where = `${this.address.host}:${this.address.port}`
    // A connection that breaks in the middle of a login is told of as one that was refused.
    const refused = chain.find((error) => error instanceof AuthenticationError)
    if (refused !== undefined && chain.some((error) => error instanceof ResponseError))
      return new Fault(
        'SASL_AUTHENTICATION_FAILED',
        refused.message.includes('mechanism')
          ? `${where} does not take SASL/${this.#mechanism} there`
          : `${where} refused the credentials for SASL/${this.#mechanism}`,
        chain[0],
      )
    const root = chain.at(-1)!
    // What it broke of says more than that it did.
    const cause = this.#broken !== undefined && root.message === 'Connection closed' ? this.#broken : chain[0]
    return new Fault('NETWORK', `${where}: ${root.message || root.name}`, cause)
  }
}

/** The error, what caused it, what caused that, … */
function causes(error: Error): Error[] {
  return error.cause instanceof Error ? [error, ...causes(error.cause)] : [error]
}
