// Where a process is asked: an HTTP server that all services of the process share. It knows calls by their paths, and what to say to everything else.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import { asError, SpillwayError } from '../../core/errors.ts'
import type { StopOptions } from '../../core/lifecycle.ts'
import { pathOf, problemType } from '../wire.ts'
import type { Answers } from './answerer.ts'
import type { Authenticate } from './authenticate.ts'
import type { IncomingCall } from './incoming-call.ts'
import { type ListenAt, listenAt } from './listen-at.ts'
import { overloaded, problemReply, type Reply } from './reply.ts'
import { BodyRoom } from './request-body.ts'
import { serve } from './serve.ts'
import { write } from './write.ts'

export interface ListenerOptions {
  /** 'http://127.0.0.1:0': the port 0 is any that is free. */
  readonly listen: string
  readonly clock: Clock
  readonly authenticate?: Authenticate | undefined
  /** For fakes: whether the reply to a call is sent. False cuts the connection: who asked does not learn what became of it. */
  readonly sends?: (() => boolean) | undefined
  /** For tests: how long a request may take to arrive, its headers alone and all of it. */
  readonly headersMs?: number
  readonly requestMs?: number
  /** For tests: what the inputs of all calls under way may take. */
  readonly roomBytes?: number
}

/** How long a client that is slow on purpose can hold a connection. */
const headersMs = 10_000
const requestMs = 30_000
/** Longer than clients keep theirs: a connection should be closed by who sends on it. */
const keepAliveMs = 75_000
const maxHeaderBytes = 16_384
const maxHeaders = 100
const maxConnections = 10_000
/** What the inputs of all calls under way may take: a connection each would be far too much. */
const roomBytes = 256 * 2 ** 20
/** How long answers that were told to end may take for it. */
const lastMs = 1_000

export class Listener {
  readonly #server: Server
  readonly #at: ListenAt
  readonly #options: ListenerOptions
  readonly #answerers = new Map<string, Answers>()
  readonly #types = new Set<string>()
  /** Calls whose answers run. */
  readonly #calls = new Set<IncomingCall>()
  readonly #room: BodyRoom
  /** Requests that have no reply yet; and those of them that came by a connection. */
  #open = 0
  readonly #openOf = new WeakMap<Socket, Set<IncomingMessage>>()
  #idle: () => void = () => {}
  /** It still answers, but whoever can should ask another process. */
  #leaving = false
  #stopping = false
  #stopped: Promise<void> | undefined

  private constructor(server: Server, at: ListenAt, options: ListenerOptions) {
    this.#server = server
    this.#at = at
    this.#options = options
    this.#room = new BodyRoom(options.roomBytes ?? roomBytes)
    server.on('request', (request, response) => void this.#handle(request, response))
    server.on('clientError', (error, socket) => {
      // Whoever waits for the answer to what came whole would take this for it.
      const waits = [...(this.#openOf.get(socket as Socket) ?? [])].some(({ complete }) => complete)
      if (waits) socket.destroy()
      else refuseGarbage(error, socket as Socket)
    })
  }

  /** Resolves once it listens; every call is 404 until it was added. Rejects with CONFIGURATION for an address that cannot be had. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const at = listenAt(options.listen)
    const server = createServer({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: options.headersMs ?? headersMs,
      requestTimeout: options.requestMs ?? requestMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(1_000, options.headersMs ?? headersMs),
    })
    server.maxHeadersCount = maxHeaders
    server.maxConnections = maxConnections
    const listener = new Listener(server, at, options)
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(
          new SpillwayError('CONFIGURATION', `Nothing can listen at ${options.listen}: ${error.message}.`, {
            cause: error,
          }),
        ),
      )
      server.listen(at.port, at.host, () => resolve())
    })
    // A connection that breaks is its client's matter; the process must not end of it.
    server.on('error', () => {})
    return listener
  }

  /** 'http://127.0.0.1:43211' */
  get address(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://${this.#at.shown}:${port}`
  }

  get isLoopback(): boolean {
    return this.#at.isLoopback
  }

  add(answerer: Answers): void {
    this.#answerers.set(pathOf(answerer.contract), answerer)
    this.#types.add(answerer.contract.type)
  }

  /** `GET /health` says 503 from now on; everything is answered as before. */
  leave(): void {
    this.#leaving = true
  }

  /**
   * Says 503 to everything new, `GET /health` first of all; lets the answers under way finish within the deadline, then ends them by
   * their signals; closes. Their callers have a reply either way.
   */
  stop({ deadlineMs = 10_000 }: StopOptions = {}): Promise<void> {
    this.#stopping = true
    this.#stopped ??= (async () => {
      const { clock } = this.#options
      await this.#untilIdle(deadlineMs)
      for (const call of this.#calls) call.end('stopped')
      await this.#untilIdle(lastMs)
      const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
      this.#server.closeIdleConnections()
      const cancel = clock.after(lastMs, () => this.#server.closeAllConnections())
      await closed
      cancel()
    })()
    return this.#stopped
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that goes away while it is written to.
    response.on('error', () => {})
    this.#begin(request)
    let reply: Reply | undefined
    try {
      reply = await this.#reply(request, response)
    } catch (thrown) {
      reply = problemReply(500, 'INTERNAL', `The request could not be handled: ${asError(thrown).name}.`)
    }
    this.#end(request)
    if (reply === undefined) response.destroy()
    else write(response, reply, this.#stopping)
    if (this.#open === 0) this.#idle()
  }

  #begin(request: IncomingMessage): void {
    this.#open += 1
    const open = this.#openOf.get(request.socket)
    if (open) open.add(request)
    else this.#openOf.set(request.socket, new Set([request]))
  }

  #end(request: IncomingMessage): void {
    this.#open -= 1
    this.#openOf.get(request.socket)?.delete(request)
  }

  /** Undefined: none is to be sent. */
  async #reply(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const { url = '', method } = request
    const [path = '', query] = url.split('?', 2)
    if (path === '/health') return this.#health(method)
    const answerer = this.#answerers.get(path)
    if (this.#stopping) return overloaded('This process is stopping.')
    if (!answerer) return problemReply(404, 'UNKNOWN_CALL', this.#unknown(path))
    if (method !== 'POST')
      return { ...problemReply(405, 'INVALID_REQUEST', 'A call is asked by POST.'), allow: 'POST' }
    if (query !== undefined && query !== 'batch')
      return problemReply(400, 'INVALID_REQUEST', 'A call takes no query but `?batch`.')
    const reply = await serve(
      { request, response, answerer, batch: query === 'batch' },
      { ...this.#options, calls: this.#calls, room: this.#room },
    )
    return this.#options.sends?.() === false ? undefined : reply
  }

  #health(method: string | undefined): Reply {
    if (method !== 'GET' && method !== 'HEAD')
      return { ...problemReply(405, 'INVALID_REQUEST', 'The health is asked by GET.'), allow: 'GET, HEAD' }
    if (this.#leaving || this.#stopping) return overloaded('This process is stopping.')
    return { status: 200, body: '{"status":"ok"}' }
  }

  #unknown(path: string): string {
    const [, type = '', version] = /^\/calls\/([^/]{1,250})\/(\d{1,9})$/.exec(path) ?? []
    if (version === undefined) return 'The path of a call is /calls/<type>/<version>.'
    return this.#types.has(type)
      ? `Version ${version} of ${type} is not answered here.`
      : `${type} is not answered here.`
  }

  #untilIdle(ms: number): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve)
      this.#idle = () => {
        cancel()
        resolve()
      }
    })
  }
}

/** What is no HTTP at all, or came too slowly: a reply where one can still be given, and the connection is closed. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const [status, words] = statusOf(error.code)
  const { body } = problemReply(status, 'INVALID_REQUEST', words)
  socket.on('error', () => {})
  socket.end(
    `HTTP/1.1 ${status} ${words}\r\nconnection: close\r\ncontent-type: ${problemType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

function statusOf(code: string | undefined): readonly [status: number, words: string] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'Request Header Fields Too Large']
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'Request Timeout']
  return [400, 'Bad Request']
}
