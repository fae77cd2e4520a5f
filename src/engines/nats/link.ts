// The connection to the servers, which comes back by itself; and requests that are bounded in time and end when it breaks.
import type { Msg, MsgHdrs, NatsConnection, NodeConnectionOptions, ServerInfo } from '@nats-io/transport-node'
import { systemClock } from '../../core/clock.ts'
import { asError } from '../../core/errors.ts'
import type { Client } from './client.ts'
import { closedError, Fault } from './errors.ts'
import { Inbox } from './inbox.ts'
import { Mailbox } from './mailbox.ts'

export type Headers = Readonly<Record<string, string>>

export interface LinkListener {
  /** What was under way is lost. */
  broken?(): void
  back?(): void
}

/** How often a silent connection is tried: three unanswered tries count as broken. */
const pingMs = 5_000

export class Link {
  readonly client: Client
  readonly inbox: Inbox
  readonly #connection: NatsConnection
  readonly #listeners = new Set<LinkListener>()
  /** The client library forgets it when the connection breaks. */
  #info: ServerInfo
  #up = true
  #closed = false
  #ended: Error | undefined

  private constructor(client: Client, connection: NatsConnection) {
    this.client = client
    this.#connection = connection
    this.#info = connection.info!
    this.inbox = new Inbox(connection, client.createInbox())
    void this.#watch()
    void connection.closed().then((error) => {
      this.#ended = error instanceof Error ? error : new Error('the connection was closed')
      this.#broke()
      for (const listener of this.#listeners) listener.back?.()
    })
  }

  static async open(client: Client, options: NodeConnectionOptions): Promise<Link> {
    try {
      const connection = await client.connect({
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        reconnectJitter: 100,
        pingInterval: pingMs,
        maxPingOut: 3,
        ...options,
      })
      return new Link(client, connection)
    } catch (thrown) {
      throw faultOf(client, asError(thrown))
    }
  }

  /** Of the server that we are, or were last, connected to. */
  get info(): ServerInfo {
    this.#info = this.#connection.info ?? this.#info
    return this.#info
  }

  get up(): boolean {
    return this.#up
  }

  /** Whether the servers run at least this version, both parts. */
  atLeast(major: number, minor: number): boolean {
    const [ours = 0, theirs = 0] = this.info.version.split('.').map(Number)
    return ours > major || (ours === major && theirs >= minor)
  }

  listen(listener: LinkListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when there is a connection; rejects with a Fault after `ms`, and at close. */
  async ready(ms: number): Promise<void> {
    if (this.#closed) throw closedError()
    if (this.#ended !== undefined) throw this.#over()
    if (this.#up) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const forget = this.listen({ back: resolve })
    const cancel = systemClock.after(ms, resolve)
    await promise
    forget()
    cancel()
    if (this.#closed) throw closedError()
    if (this.#ended !== undefined) throw this.#over()
    if (!this.#up) throw new Fault('NETWORK', 'there is no connection; nothing was sent')
  }

  publish(subject: string, payload: Uint8Array | string, reply?: string, headers?: Headers): void {
    this.#connection.publish(subject, payload, {
      ...(reply === undefined ? {} : { reply }),
      ...(headers === undefined ? {} : { headers: this.#headers(headers) }),
    })
  }

  /** Waits for the connection and for the first answer, at most `ms` in all. A Fault says whether it may have arrived. */
  async request(subject: string, payload: Uint8Array | string, ms: number, headers?: Headers): Promise<Msg> {
    const end = performance.now() + ms
    await this.ready(ms)
    const { promise, resolve, reject } = Promise.withResolvers<Msg>()
    const place = this.inbox.open(resolve)
    const fail = (error: Fault) => reject(error)
    const forget = this.listen({ broken: () => fail(new Fault('NETWORK', 'the connection broke')) })
    const cancel = systemClock.after(end - performance.now(), () =>
      fail(new Fault('SILENT', `no answer within ${Math.round(ms)} ms`)),
    )
    try {
      this.publish(subject, payload, place.subject, headers)
      const answer = await promise
      if (isAbsent(answer)) throw new Fault('ABSENT', `nothing answers to ${subject}`)
      return answer
    } finally {
      cancel()
      forget()
      place.close()
    }
  }

  openMailbox(): Mailbox {
    return new Mailbox(this.#connection, this.client.createInbox())
  }

  subscribe(subject: string, handle: (message: Msg) => void): Mailbox {
    const mailbox = new Mailbox(this.#connection, subject)
    mailbox.handle = handle
    return mailbox
  }

  /** Resolves when the server has worked off everything that was sent before. */
  async flush(ms: number): Promise<void> {
    if (!this.#up) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = systemClock.after(ms, resolve)
    await Promise.race([this.#connection.flush().catch(() => {}), promise])
    cancel()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.flush(1_000)
    this.#closed = true
    await this.#connection.close()
  }

  #headers(values: Headers): MsgHdrs {
    const headers = this.client.headers()
    for (const name in values) headers.set(name, values[name]!)
    return headers
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === 'disconnect' || type === 'staleConnection') this.#broke()
      else if (type === 'reconnect') {
        this.#up = true
        for (const listener of [...this.#listeners]) listener.back?.()
      }
    }
  }

  #broke(): void {
    if (!this.#up) return
    this.#up = false
    for (const listener of [...this.#listeners]) listener.broken?.()
  }

  #over(): Fault {
    return faultOf(this.client, this.#ended!, 'the connection ended for good: ')
  }
}

function faultOf(client: Client, cause: Error, what = ''): Fault {
  const refused =
    cause instanceof client.AuthorizationError || cause instanceof client.UserAuthenticationExpiredError
  return new Fault(refused ? 'LOGIN' : 'NETWORK', what + cause.message, { cause })
}

/** The server's own word that nobody listens to the subject of a request. */
export function isAbsent(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === 503
}
