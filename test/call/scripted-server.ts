// A server on a real socket that does to each request what a test says, at the stage that the test names: it speaks as much HTTP as that needs.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

export interface Received {
  readonly head: string
  readonly body: string
  readonly bytes: number
}

/** Called when the connection is there, and again whenever bytes came. */
export type Script = (socket: Socket, received: Received, request: number) => void

export class ScriptedServer implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Whole requests, in the order in which their last byte came. */
  readonly requests: Received[] = []
  connections = 0
  closed = 0
  bytes = 0

  private constructor(script: Script, onConnection: ((socket: Socket) => void) | undefined) {
    this.#server = createServer((socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.closed += 1
        this.#sockets.delete(socket)
      })
      onConnection?.(socket)
      let text = ''
      socket.on('data', (chunk) => {
        this.bytes += chunk.length
        text += chunk.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = text.slice(0, end)
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
        const body = text.slice(end + 4, end + 4 + length)
        const received = { head, body, bytes: text.length }
        if (body.length === length) {
          text = ''
          this.requests.push(received)
        }
        script(socket, received, this.requests.length)
      })
    })
  }

  static async start(
    script: Script,
    onConnection?: (socket: Socket) => void,
    port = 0,
  ): Promise<ScriptedServer> {
    const started = new ScriptedServer(script, onConnection)
    started.#server.listen(port, '127.0.0.1')
    await once(started.#server, 'listening')
    return started
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A whole answer. */
export function http(status: number, body: unknown, type?: string, more: readonly string[] = []): string {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const contentType = type ?? (status === 200 ? 'application/json' : 'application/problem+json')
  return [
    `HTTP/1.1 ${status} Said`,
    `content-type: ${contentType}`,
    `content-length: ${Buffer.byteLength(text)}`,
    ...more,
    '',
    text,
  ].join('\r\n')
}

/** A problem of Spillway's own. */
export function problem(
  status: number,
  code: string,
  more: object = {},
  headers: readonly string[] = [],
): string {
  return http(
    status,
    { type: `urn:spillway:problem:${code}`, status, code, detail: `It says ${code}.`, ...more },
    undefined,
    headers,
  )
}

/** Answers each request the same. */
export function always(text: string): Script {
  return (socket, { head, body }) => {
    if (body.length === Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)) socket.write(text)
  }
}

/** A port of this machine where nobody listens. */
export async function deadPort(): Promise<number> {
  const server = await ScriptedServer.start(() => {})
  const { port } = server
  await server[Symbol.asyncDispose]()
  return port
}
