// Who asks others and heeds their limits: waits before it sends when it was told to, and asks again when the time has come.
import { backoff, type RetryPolicy } from '../../../core/backoff.ts'
import { aborted, type Clock, systemClock } from '../../../core/clock.ts'
import { type Duration, milliseconds } from '../../../core/duration.ts'
import { SpillwayError } from '../../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../../core/known-options.ts'
import { RetryBudget, type RetryBudgetOptions } from '../../../core/retry-budget.ts'
import { StayAlive } from '../../../core/stay-alive.ts'
import { wholeOption } from '../../../core/whole-option.ts'
import type { Gate } from './gate.ts'
import { Known } from './known.ts'
import { type Asked, askedOf, discard, readerOf, type Send, type SendInit, statusOf } from './send.ts'
import { type Told, toldBy } from './told.ts'

export interface BackOffOptions {
  /** How long one request waits at most, all its waits together. Default 30 s. */
  readonly longestWait?: Duration
  /** How often one request is sent again after a refusal. Default 3. */
  readonly retries?: number
  /** Bounds what is sent again by all requests together. Default: a fifth of them, and one a second. */
  readonly retryBudget?: RetryBudgetOptions
  /** How many requests wait at the same time. Default 1,000. */
  readonly waiting?: number
  readonly clock?: Clock
  /** For tests. */
  readonly random?: () => number
}

const names: OptionNames<BackOffOptions> = {
  longestWait: true,
  retries: true,
  retryBudget: true,
  waiting: true,
  clock: true,
  random: true,
}

/** For a refusal that does not say when to come again. */
const unsaid: RetryPolicy = { attempts: Number.POSITIVE_INFINITY, initialMs: 1_000, maxMs: 30_000 }

/**
 * The same function, which heeds limits: `const get = backOff(fetch)`. It reads RateLimit, Retry-After and the status of each answer, and remembers
 * them by origin and policy for all that is sent through it. What has to wait waits, in order; a refusal (429, and 503 with a Retry-After of what may be
 * done twice) is asked again when its time has come, if the body of the request can be sent again and the retry budget allows. When the time has come one
 * request goes first, and its answer says how many follow. Resolves with the last answer, also when that is a refusal.
 *
 * Rejects with RATE_LIMITED, and nothing was done (it was not sent, or refused before), when it would have to wait longer than `longestWait` or too many wait
 * already; `details.retryAfterMs` says for how long. Rejects with ABORTED when the request's signal fires while it waits; and with whatever `send` rejects with.
 */
export function backOff<Input, Init extends SendInit, Answer extends object>(
  send: Send<Input, Init, Answer>,
  options: BackOffOptions = {},
): Send<Input, Init, Answer> {
  const sender = new Sender(send, options)
  return (input, init) => sender.send(input, init)
}

class Sender<Input, Init extends SendInit, Answer extends object> {
  readonly #send: Send<Input, Init, Answer>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #longestWaitMs: number
  readonly #retries: number
  readonly #mostWaiting: number
  readonly #budget: RetryBudget
  readonly #known: Known
  #waiting = 0
  readonly #awake = new StayAlive()

  constructor(send: Send<Input, Init, Answer>, options: BackOffOptions) {
    checkOptions('backOff()', options, names)
    this.#send = send
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#longestWaitMs = milliseconds(options.longestWait ?? '30s', 'longestWait')
    this.#retries = wholeOption(options.retries ?? 3, 'retries of backOff()', 0, 100)
    this.#mostWaiting = wholeOption(options.waiting ?? 1_000, 'waiting of backOff()', 0, 100_000)
    this.#budget = new RetryBudget(options.retryBudget, this.#clock)
    this.#known = new Known(this.#clock, this.#random)
  }

  async send(input: Input, init: Init | undefined): Promise<Answer> {
    const asked = askedOf(input, init)
    if (!asked) return this.#send(input, init)
    const endsMs = this.#clock.elapsed() + this.#longestWaitMs
    this.#budget.called()
    for (let attempt = 1; ; attempt++) {
      const gates = await this.#pass(asked, endsMs)
      const { answer, waitMs } = await this.#exchange(input, init, asked, gates, attempt)
      const late = waitMs === undefined || this.#clock.elapsed() + waitMs > endsMs
      if (late || attempt > this.#retries || asked.signal?.aborted || !this.#budget.tryRetry()) return answer
      await discard(answer)
    }
  }

  /** Sends once, and learns from what comes. `waitMs`: it was refused, and may be asked again after so long. */
  async #exchange(
    input: Input,
    init: Init | undefined,
    asked: Asked,
    gates: readonly Gate[],
    attempt: number,
  ): Promise<{ readonly answer: Answer; readonly waitMs: number | undefined }> {
    const sentMs = this.#clock.elapsed()
    let answer: Answer
    try {
      answer = await this.#send(input, init)
    } catch (thrown) {
      for (const gate of gates) gate.leave(false)
      throw thrown
    }
    const told = toldBy(readerOf(answer), this.#clock.now())
    const status = statusOf(answer)
    const refused = status === 429 || (status === 503 && told.retryAfterMs !== undefined)
    const refusedMs = refused ? waitOf(told, attempt, this.#random) : undefined
    // Those who are woken by this go on when it is done: by then what was told holds.
    for (const gate of gates) gate.leave(!refused)
    this.#known.learn(asked.origin, asked.route, told, refusedMs, sentMs)
    const mayRepeat = asked.canRepeat && (status === 429 || asked.isIdempotent)
    if (!mayRepeat || refusedMs === undefined) return { answer, waitMs: undefined }
    // A gate opens a little later than was told: who may not wait for that either has his answer.
    const closed = this.#known.gatesOf(asked.origin, asked.route).map(({ closedMs }) => closedMs)
    return { answer, waitMs: Math.max(refusedMs, ...closed) }
  }

  /** Waits until all gates let it through, and goes through them. */
  async #pass(asked: Asked, endsMs: number): Promise<readonly Gate[]> {
    let waits = false
    try {
      for (;;) {
        // Somebody may have learnt of more of them meanwhile.
        const gates = this.#known.gatesOf(asked.origin, asked.route)
        const shut = gates.find((gate) => !gate.mayPass)
        if (!shut) {
          for (const gate of gates) gate.enter()
          return gates
        }
        const closedMs = Math.max(...gates.map((gate) => gate.closedMs))
        if (this.#clock.elapsed() + closedMs > endsMs) throw tooLong(asked, closedMs)
        if (!waits) this.#beginWaiting(asked, closedMs)
        waits = true
        await this.#changed(shut, asked, endsMs)
      }
    } finally {
      if (waits) this.#endWaiting()
    }
  }

  #changed(gate: Gate, asked: Asked, endsMs: number): Promise<void> {
    const { signal } = asked
    if (signal?.aborted) return Promise.reject(aborted(signal))
    return new Promise((resolve, reject) => {
      const end = () => {
        forgetChange()
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        end()
        reject(aborted(signal))
      }
      const forgetChange = gate.onChange(() => {
        end()
        resolve()
      })
      const cancelTimer = this.#clock.after(Math.max(0, endsMs - this.#clock.elapsed()), () => {
        end()
        reject(tooLong(asked, gate.closedMs))
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #beginWaiting(asked: Asked, closedMs: number): void {
    if (this.#waiting >= this.#mostWaiting)
      throw limited(asked, `${this.#waiting} requests wait already`, closedMs)
    this.#waiting += 1
    this.#awake.begin()
  }

  #endWaiting(): void {
    this.#waiting -= 1
    this.#awake.end()
  }
}

/** What a refusal asks for: what it says, else the end of a window that is used up, else a guess. */
function waitOf({ retryAfterMs, policies }: Told, attempt: number, random: () => number): number {
  if (retryAfterMs !== undefined) return retryAfterMs
  const windows = policies.filter(({ left }) => left === 0).map(({ withinMs }) => withinMs ?? 0)
  const longest = Math.max(0, ...windows)
  return longest > 0 ? longest : backoff(unsaid, attempt, random)
}

function tooLong(asked: Asked, closedMs: number): SpillwayError {
  return limited(asked, 'it would have to wait for longer than it may', closedMs)
}

function limited({ route }: Asked, why: string, closedMs: number): SpillwayError {
  const retryAfterMs = Math.ceil(closedMs)
  return new SpillwayError('RATE_LIMITED', `${route} was not sent: ${why}.`, { details: { retryAfterMs } })
}
