/** An HTTP proxy in front of a real server, which treats each request by a seed: well, late, or not at all. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { seeded } from '../crash/random.ts'

/** What can become of a request, in the order of the way it takes. The server does the work of those with a star, whatever its caller hears. */
export const fates = [
  /** The request is lost: the server never sees it, and nobody tells. */
  'lost request',
  /** The connection is reset before the server sees the request. */
  'reset',
  /** * The request reaches the server after `delayMs`. */
  'delayed',
  /** * Nothing happens to it. */
  'well',
  /** * The answer reaches the caller `lateMs` after the server gave it. */
  'late answer',
  /** * The answer breaks off in its middle, with its connection. */
  'cut answer',
  /** * The connection is reset when the server has answered. */
  'reset answer',
  /** * The server has answered, the answer is lost, and nobody tells. */
  'lost answer',
] as const

export type Fate = (typeof fates)[number]

export interface Asked {
  /** 1 for the first since the start. */
  readonly number: number
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

export interface FaultyHttpOptions {
  /** `http://127.0.0.1:<port>`. */
  readonly target: string
  /** The n-th request has the same fate with the same seed, whatever the others do. */
  readonly seed?: number
  /** The share of each fate, from 0 to 1, all together at most 1; the rest goes well. */
  readonly odds?: Partial<Record<Fate, number>>
  /** From 0 to this, by the seed. Default 50. */
  readonly delayMs?: number
  /** Exactly this. Default 500. */
  readonly lateMs?: number
  /** Has the last word on what was drawn. */
  readonly fate?: (asked: Asked, drawn: Fate) => Fate
}

export interface FaultyHttpCounts extends Readonly<Record<Fate, number>> {
  /** Requests that were sent on to the server. */
  readonly sentOn: number
  /** Whole answers that the server gave. */
  readonly answered: number
  /** Requests whose connection to the server failed: their caller was reset. */
  readonly failed: number
}

const longestBody = 16 * 2 ** 20

export class FaultyHttp {
  /** `http://127.0.0.1:<port>`: instead of the target. */
  readonly url: string
  readonly #server: Server
  readonly #options: FaultyHttpOptions
  readonly #sockets = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #counts: Record<string, number> = Object.fromEntries(
    [...fates, 'sentOn', 'answered', 'failed'].map((name) => [name, 0]),
  )
  #target: string
  #odds: Partial<Record<Fate, number>>
  #number = 0

  private constructor(server: Server, options: FaultyHttpOptions) {
    this.#server = server
    this.#options = options
    this.#target = options.target
    this.#odds = checked(options.odds ?? {})
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on(
      'request',
      (incoming, response) => void this.#serve(incoming, response).catch(() => reset(incoming)),
    )
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(options: FaultyHttpOptions): Promise<FaultyHttp> {
    // No faults but those that were drawn: an idle connection is not ended in the moment in which its client uses it.
    const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new FaultyHttp(server, options)
  }

  /** A copy, as of now. */
  get counts(): FaultyHttpCounts {
    return { ...this.#counts } as unknown as FaultyHttpCounts
  }

  /** From now on these odds hold; `{}`: everything goes well. What is under way keeps its fate. */
  become(odds: Partial<Record<Fate, number>>): void {
    this.#odds = checked(odds)
  }

  /** The server came back at another place. */
  aim(target: string): void {
    this.#target = target
  }

  /** Ends every connection and every wait. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked: Asked = {
      number: ++this.#number,
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers: incoming.headers,
    }
    const random = seeded((Math.imul(this.#options.seed ?? 1, 0x9e3779b1) + asked.number) | 0)
    const drawn = draw(this.#odds, random.next())
    const fate = this.#options.fate?.(asked, drawn) ?? drawn
    this.#counts[fate]! += 1
    const body = await read(incoming)
    if (fate === 'lost request') return
    if (fate === 'reset') return reset(incoming)
    if (fate === 'delayed') await this.#pause(random.next() * (this.#options.delayMs ?? 50))
    const answer = await this.#sendOn(asked, body, response, fate)
    if (fate === 'lost answer') return
    if (fate === 'reset answer') return reset(incoming)
    if (fate === 'late answer') await this.#pause(this.#options.lateMs ?? 500)
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length })
    if (fate !== 'cut answer') return void response.end(answer.body)
    response.flushHeaders()
    response.write(answer.body.subarray(0, answer.body.length >> 1), () => incoming.socket.destroy())
  }

  /** Each over a connection of its own, so that none of them breaks another. */
  async #sendOn(asked: Asked, body: Buffer, response: ServerResponse, fate: Fate): Promise<Answer> {
    const { connection: _, 'transfer-encoding': __, ...headers } = asked.headers
    this.#counts.sentOn! += 1
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        const outgoing = request(new URL(asked.path, this.#target), {
          method: asked.method,
          headers: { ...headers, 'content-length': body.length },
          agent: false,
        })
        // Who gives up is heard of by the server, unless nobody tells.
        const giveUp = () => outgoing.destroy()
        if (fate !== 'lost answer') response.once('close', giveUp)
        outgoing.on('error', reject)
        outgoing.on('response', (incoming) => {
          const { connection: _, 'transfer-encoding': __, 'keep-alive': ___, ...headers } = incoming.headers
          read(incoming)
            .then((body) => resolve({ status: incoming.statusCode ?? 502, headers, body }), reject)
            .finally(() => response.off('close', giveUp))
        })
        outgoing.end(body)
      })
      this.#counts.answered! += 1
      return answer
    } catch (thrown) {
      this.#counts.failed! += 1
      throw thrown
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, ms)
      this.#timers.add(timer)
    })
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function draw(odds: Partial<Record<Fate, number>>, random: number): Fate {
  let passed = 0
  for (const fate of fates) {
    passed += odds[fate] ?? 0
    if (random < passed) return fate
  }
  return 'well'
}

function checked(odds: Partial<Record<Fate, number>>): Partial<Record<Fate, number>> {
  const sum = Object.values(odds).reduce((all, share) => all + share, 0)
  if (Object.values(odds).some((share) => !(share >= 0)) || sum > 1 + 1e-9)
    throw new RangeError(`The odds ${JSON.stringify(odds)} are no shares of one.`)
  return odds
}

async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > longestBody) throw new RangeError('The body is larger than a proxy for tests holds.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function reset(incoming: IncomingMessage): void {
  incoming.socket.resetAndDestroy()
}
