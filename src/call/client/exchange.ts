// One HTTP exchange with one instance, and exactly what was seen of it: whether the request left, and whether an answer came.
import type { Dispatcher } from 'undici'
import type { Clock } from '../../core/clock.ts'

export interface Request {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** By the clock's `elapsed()`. */
  readonly endsMs: number
  readonly maxAnswerBytes: number
  readonly signal: AbortSignal | undefined
}

/** A whole answer. */
export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly retryAfterMs: number | undefined
}

/** No whole answer. */
export interface Broken {
  readonly kind: 'broken'
  /** The request had begun to leave: a byte of it may have arrived, and so may all of it. */
  readonly left: boolean
  /**
   * `deadline`: no time was left. `aborted`: whoever asked gave up. `network`: refused, reset, cut, or not HTTP. `too large`: the answer, whose
   * `status` came. `headers`: one that HTTP cannot carry.
   */
  readonly by: 'deadline' | 'aborted' | 'network' | 'too large' | 'headers'
  readonly status: number | undefined
  readonly error: Error | undefined
}

export type Seen = Answer | Broken

/** Never rejects. Gives up at `endsMs` and when the signal fires: then the connection is closed, which the far side sees. */
export function exchange(dispatcher: Dispatcher, request: Request, clock: Clock): Promise<Seen> {
  return new Promise((resolve) => {
    const handler = new Exchange(request, clock, resolve)
    if (!handler.begin()) return
    const { path, headers, body } = request
    // Its own timeouts are switched off: the deadline holds for all of it.
    dispatcher.dispatch({ method: 'POST', path, headers, body, headersTimeout: 0, bodyTimeout: 0 }, handler)
  })
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: Request
  readonly #clock: Clock
  readonly #chunks: Buffer[] = []
  #resolve: ((seen: Seen) => void) | undefined
  #cancelTimer: () => void = () => {}
  #controller: Dispatcher.DispatchController | undefined
  #status: number | undefined
  #headers: Readonly<Record<string, unknown>> = {}
  #bytes = 0

  constructor(request: Request, clock: Clock, resolve: (seen: Seen) => void) {
    this.#request = request
    this.#clock = clock
    this.#resolve = resolve
  }

  /** False when it is over before it began. */
  begin(): boolean {
    const { signal, endsMs } = this.#request
    const leftMs = endsMs - this.#clock.elapsed()
    if (signal?.aborted) this.#break('aborted')
    else if (leftMs <= 0) this.#break('deadline')
    else {
      this.#cancelTimer = this.#clock.after(leftMs, () => this.#break('deadline'))
      signal?.addEventListener('abort', this.#onAbort, { once: true })
      return true
    }
    return false
  }

  /** The last moment before the first byte is written. Whoever gave up while it waited for a connection sends nothing. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, not aborted: that would cost the connection, which others wait for.
    if (!this.#resolve) throw new Error('given up')
    this.#controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, unknown>>,
  ): void {
    if (status < 200) return
    this.#status = status
    this.#headers = headers
    if (Number(headers['content-length']) > this.#request.maxAnswerBytes) this.#break('too large')
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#request.maxAnswerBytes) this.#break('too large')
    else this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const [first] = this.#chunks
    const whole = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks)
    this.#settle({
      kind: 'answer',
      status: this.#status ?? 0,
      contentType: String(this.#headers['content-type'] ?? ''),
      body: whole.toString(),
      retryAfterMs: retryAfterMs(this.#headers['retry-after']),
    })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { code } = error as NodeJS.ErrnoException
    const ours = this.#controller === undefined && notCarried.has(code)
    this.#break(ours ? 'headers' : 'network', error)
  }

  readonly #onAbort = (): void => this.#break('aborted')

  #break(by: Broken['by'], error?: Error): void {
    if (!this.#resolve) return
    const controller = this.#controller
    this.#settle({ kind: 'broken', left: controller !== undefined, by, status: this.#status, error })
    if (by !== 'network') controller?.abort(new Error(by))
  }

  #settle(seen: Seen): void {
    const resolve = this.#resolve
    this.#resolve = undefined
    this.#cancelTimer()
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
    resolve?.(seen)
  }
}

/** What undici says of a request that it does not send. */
const notCarried: ReadonlySet<string | undefined> = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])

/** In seconds; a time of day is not heeded, for clocks differ. */
function retryAfterMs(header: unknown): number | undefined {
  return typeof header === 'string' && /^\d{1,9}$/.test(header) ? Number(header) * 1000 : undefined
}
