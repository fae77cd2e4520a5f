// One instance of a context that is called: its connections, how busy it is, and whether it was seen to be away.
import type { Pool } from 'undici'
import type { Clock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { SecureOptions } from '../../core/tls.ts'
import { exchange, type Request, type Seen } from './exchange.ts'
import { isLimited } from './judge.ts'

/** An instance that was away is left out for this long, and twice as long each time that it still is. */
const firstOutMs = 500
const longestOutMs = 30_000
/** Nothing left until there is a connection: another instance may be quicker. */
const connectTimeoutMs = 2_000
const healthTimeoutMs = 2_000
/** What a stopping or busy instance says is heeded up to this. */
const longestRestMs = 10_000

export interface InstanceOptions {
  readonly connections: number
  readonly tls: SecureOptions | undefined
  readonly clock: Clock
}

/** Checks an address; throws CONFIGURATION. A path before `/calls` is allowed. */
export function parseAddress(address: unknown): { readonly origin: string; readonly prefix: string } {
  const url = typeof address === 'string' ? URL.parse(address) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new SpillwayError(
      'CONFIGURATION',
      `${JSON.stringify(address)} is no address of an instance; it takes 'http://host:port'.`,
    )
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new SpillwayError(
      'CONFIGURATION',
      `The address of an instance at ${url.host} has more than host, port and path: secrets belong into \`credentials\`.`,
    )
  return { origin: url.origin, prefix: url.pathname.replace(/\/+$/, '') }
}

/** Loaded with the first call: who only listens or sends to queues does not pay for it. */
const undici = () => import('undici')

export class Instance {
  readonly address: string
  readonly #prefix: string
  readonly #origin: string
  readonly #options: InstanceOptions
  readonly #clock: Clock
  #opening: Promise<Pool> | undefined
  #pool: Pool | undefined
  #inFlight = 0
  /** By `elapsed()`: before this it is not asked. */
  #outUntilMs = Number.NEGATIVE_INFINITY
  /** It was away: before calls it is asked for its health. */
  #ill = false
  #timesOut = 0
  #asking: Promise<void> | undefined

  constructor(address: string, options: InstanceOptions) {
    const { origin, prefix } = parseAddress(address)
    this.address = `${origin}${prefix}`
    this.#prefix = prefix
    this.#origin = origin
    this.#options = options
    this.#clock = options.clock
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Left out just now. Asks for nothing. */
  get isOut(): boolean {
    return this.#ill || this.#clock.elapsed() < this.#outUntilMs
  }

  /** Whether calls may go there. Asks an instance that was away for its health, when it is time, without being waited for. */
  get isWell(): boolean {
    if (this.#clock.elapsed() < this.#outUntilMs) return false
    if (!this.#ill) return true
    this.#asking ??= this.#askHealth().finally(() => {
      this.#asking = undefined
    })
    return false
  }

  async exchange(request: Request): Promise<Seen> {
    this.#inFlight += 1
    try {
      const path = this.#prefix === '' ? request.path : this.#prefix + request.path
      const seen = await exchange(
        this.#pool ?? (await this.#open()),
        path === request.path ? request : { ...request, path },
        this.#clock,
      )
      this.#learn(seen)
      return seen
    } finally {
      this.#inFlight -= 1
    }
  }

  /** Lets what is under way end, for a while. */
  async close(graceMs: number): Promise<void> {
    const pool = await this.#opening
    const cancel = this.#clock.after(graceMs, () => void pool?.destroy().catch(() => {}))
    await pool?.close().catch(() => {})
    cancel()
  }

  #open(): Promise<Pool> {
    this.#opening ??= (async () => {
      const { connections, tls } = this.#options
      const { Pool } = await undici()
      this.#pool = new Pool(this.#origin, {
        connections,
        pipelining: 1,
        allowH2: false,
        connect: { timeout: connectTimeoutMs, ...tls },
      })
      return this.#pool
    })()
    return this.#opening
  }

  #learn(seen: Seen): void {
    if (seen.kind === 'answer') {
      if (seen.status === 503 || (seen.status === 429 && !isLimited(seen)))
        this.#outUntilMs = this.#clock.elapsed() + Math.min(seen.retryAfterMs ?? firstOutMs, longestRestMs)
      else if (this.#ill || this.#timesOut > 0) this.#recover()
    } else if (seen.by === 'network') this.#leaveOut()
  }

  #leaveOut(): void {
    // Many calls see the same end of the same instance.
    if (this.#clock.elapsed() < this.#outUntilMs) return
    this.#outUntilMs = this.#clock.elapsed() + Math.min(longestOutMs, firstOutMs * 2 ** this.#timesOut)
    this.#timesOut = Math.min(this.#timesOut + 1, 10)
    this.#ill = true
  }

  #recover(): void {
    this.#ill = false
    this.#timesOut = 0
    this.#outUntilMs = Number.NEGATIVE_INFINITY
  }

  async #askHealth(): Promise<void> {
    try {
      const pool = this.#pool ?? (await this.#open())
      const { statusCode, body } = await pool.request({
        method: 'GET',
        path: `${this.#prefix}/health`,
        headersTimeout: healthTimeoutMs,
        bodyTimeout: healthTimeoutMs,
      })
      await body.dump()
      if (statusCode === 200) this.#recover()
      else this.#leaveOut()
    } catch {
      this.#leaveOut()
    }
  }
}
