// One context that is called: attempts and retries within a deadline, behind its breaker, its bulkhead and its retry budget.
import { backoff, type RetryPolicy } from '../../core/backoff.ts'
import { type Clock, sleep } from '../../core/clock.ts'
import {
  asError,
  asSpillwayError,
  type ErrorCode,
  isSpillwayError,
  SpillwayError,
} from '../../core/errors.ts'
import type { Ending } from '../breaker.ts'
import { Destination, type Refusal, smallestUsefulMs } from '../destination.ts'
import { headers as header, longestDeadlineMs } from '../wire.ts'
import type { CallsOptions, CallsRules } from './calls-options.ts'
import type { Seen } from './exchange.ts'
import type { Instance } from './instance.ts'
import type { Instances } from './instances.ts'
import { type Again, isLimited, type Judgement } from './judge.ts'

/** One call, ready to leave: the same for all its attempts. */
export interface Outgoing {
  readonly call: { readonly type: string; readonly version: number; readonly kind: 'query' | 'command' }
  readonly path: string
  readonly body: string
  /** Without what changes from attempt to attempt. */
  readonly headers: Readonly<Record<string, string>>
  /** When its key was made, epoch ms; undefined of a query. */
  readonly keyMadeMs: number | undefined
  /** The key was made for this call: nobody asked with it before. */
  readonly freshKey: boolean
  readonly endsMs: number
  readonly signal: AbortSignal | undefined
  readonly nested: boolean
  readonly maxAnswerBytes: number
}

/** How all attempts ended. `unknown` as soon as one of them left without being settled by a later one. */
export type Ended<Settled> =
  | { readonly kind: 'settled'; readonly settled: Settled; readonly attempts: number }
  | { readonly kind: 'refused' | 'unknown'; readonly error: SpillwayError; readonly attempts: number }

type Judge<Settled> = (seen: Seen) => Judgement<Settled> | Promise<Judgement<Settled>>

const avoidNone: ReadonlySet<Instance> = new Set()

export class Target {
  readonly context: string
  readonly destination: Destination
  readonly rules: CallsRules
  readonly #instances: Instances | undefined
  readonly #retry: RetryPolicy
  readonly #clock: Clock
  readonly #random: () => number
  #closed = false

  /** Without instances nobody knows where the context is. */
  constructor(
    context: string,
    instances: Instances | undefined,
    options: CallsOptions,
    rules: CallsRules,
    clock: Clock,
    random: () => number,
  ) {
    this.context = context
    this.rules = rules
    this.#instances = instances
    this.#clock = clock
    this.#random = random
    this.#retry = { attempts: rules.attempts, initialMs: rules.initialMs, maxMs: rules.maxMs }
    const { breaker, bulkhead, retryBudget } = options
    this.destination = new Destination(
      {
        ...(breaker === undefined ? {} : { breaker }),
        ...(bulkhead === undefined ? {} : { bulkhead }),
        ...(retryBudget === undefined ? {} : { retryBudget }),
      },
      clock,
      random,
    )
  }

  get instances(): readonly Instance[] {
    return this.#instances?.all ?? []
  }

  async ask<Settled>(outgoing: Outgoing, judge: Judge<Settled>): Promise<Ended<Settled>> {
    const { retryBudget } = this.destination
    retryBudget.called()
    let mayHaveLeft: SpillwayError | undefined
    let tried: Set<Instance> | undefined
    for (let attempt = 1; ; attempt++) {
      const step = await this.#attempt(outgoing, judge, attempt, tried ?? avoidNone)
      const { judgement } = step
      if (judgement.kind === 'settled')
        return { kind: 'settled', settled: judgement.settled, attempts: attempt }
      if (judgement.kind === 'unknown' && outgoing.keyMadeMs !== undefined) mayHaveLeft = judgement.error
      const pauseMs = this.#pause(outgoing, judgement.again, attempt, step)
      if (pauseMs === undefined || !(await this.#rest(pauseMs, outgoing.signal))) {
        // What is certain of the last attempt is not certain of those before it.
        const error = mayHaveLeft ?? judgement.error
        return { kind: mayHaveLeft ? 'unknown' : judgement.kind, error, attempts: attempt }
      }
      if (step.instance) tried = (tried ?? new Set<Instance>()).add(step.instance)
    }
  }

  /** What has left may end; nothing leaves any more. */
  close(graceMs: number): Promise<void> {
    this.#closed = true
    return this.#instances?.close(graceMs) ?? Promise.resolve()
  }

  async #attempt<Settled>(
    outgoing: Outgoing,
    judge: Judge<Settled>,
    attempt: number,
    avoid: ReadonlySet<Instance>,
  ): Promise<Step<Settled>> {
    const where = this.#instances
    if (!where) return { judgement: none(noAddress(this.context)), ending: 'cancelled' }
    try {
      const finding = where.known()
      if (finding) await this.#inTime(finding, outgoing)
    } catch (thrown) {
      const error = asSpillwayError(thrown)
      return { judgement: none(error, error.code === 'UNREACHABLE'), ending: 'cancelled' }
    }
    const { endsMs, signal } = outgoing
    const tried = await this.destination.attempt(
      () => this.#exchange(outgoing, judge, attempt, where.pick(avoid)),
      { endsMs, signal, judge: endingOf },
    )
    return tried.refused ? { judgement: this.#refusedBy(tried, outgoing), ending: 'cancelled' } : tried.value
  }

  /** One asking of one instance. */
  async #exchange<Settled>(
    outgoing: Outgoing,
    judge: Judge<Settled>,
    attempt: number,
    instance: Instance | undefined,
  ): Promise<Step<Settled>> {
    if (!instance) return { judgement: none(noAddress(this.context)), ending: 'cancelled' }
    const headers = await this.#headers(outgoing, attempt)
    if (headers instanceof SpillwayError) return { judgement: none(headers), ending: 'cancelled' }
    // It waited while the process began to stop: for an address, or to be tried again.
    if (this.#closed) {
      const what = `${outgoing.call.type} was not asked: this process is stopping.`
      return { judgement: none(new SpillwayError('CLOSED', what, nothingLeft)), ending: 'cancelled' }
    }
    const { path, body, endsMs, signal, maxAnswerBytes } = outgoing
    const seen = await instance.exchange({ path, body, headers, endsMs, signal, maxAnswerBytes })
    const judged = judge(seen)
    return {
      judgement: judged instanceof Promise ? await judged : judged,
      ending: endingBy(seen),
      instance,
      retryAfterMs: seen.kind === 'answer' ? seen.retryAfterMs : undefined,
      limited: isLimited(seen),
    }
  }

  /** How long to wait before the next attempt, or undefined where there is none: it would not help, or is not to be had. */
  #pause(
    { nested, endsMs, signal }: Outgoing,
    again: Again,
    attempt: number,
    { instance, retryAfterMs, limited }: Step<unknown>,
  ): number | undefined {
    if (!again || nested || attempt >= this.rules.attempts || signal?.aborted) return undefined
    const others = instance !== undefined && this.instances.some((each) => each !== instance && each.isWell)
    if (again === 'elsewhere' && !others) return undefined
    // What one instance says of itself does not hold for another.
    const asked = others && !limited ? 0 : (retryAfterMs ?? 0)
    const pauseMs = Math.max(asked, backoff(this.#retry, attempt, this.#random))
    if (this.#clock.elapsed() + pauseMs + smallestUsefulMs >= endsMs) return undefined
    return this.destination.retryBudget.tryRetry() ? pauseMs : undefined
  }

  async #rest(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (ms <= 0) return true
    try {
      await sleep(this.#clock, ms, signal)
      return true
    } catch {
      return false
    }
  }

  /** Waits for what others do, but not beyond the deadline. */
  async #inTime<Value>(work: Value | Promise<Value>, { call, endsMs, signal }: Outgoing): Promise<Value> {
    if (!(work instanceof Promise)) return work
    const waiting = new AbortController()
    const give = signal ? AbortSignal.any([signal, waiting.signal]) : waiting.signal
    const late = sleep(this.#clock, Math.max(0, endsMs - this.#clock.elapsed()), give).then(() => {
      throw new SpillwayError('DEADLINE', `${call.type} was not asked: no time was left.`, nothingLeft)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      waiting.abort()
      late.catch(() => {})
    }
  }

  async #headers(
    outgoing: Outgoing,
    attempt: number,
  ): Promise<Readonly<Record<string, string>> | SpillwayError> {
    const { call, endsMs, keyMadeMs, freshKey } = outgoing
    const { credentials } = this.rules
    let own: Readonly<Record<string, string>> | undefined
    try {
      own = typeof credentials === 'function' ? await this.#inTime(credentials(call), outgoing) : credentials
    } catch (thrown) {
      if (isSpillwayError(thrown)) return thrown
      return new SpillwayError(
        'NOT_ACCEPTED',
        `The credentials for ${call.type} could not be had: ${asError(thrown).message}.`,
        {
          cause: thrown,
          ...nothingLeft,
        },
      )
    }
    const left = Math.min(longestDeadlineMs, Math.floor(endsMs - this.#clock.elapsed()))
    const headers: Record<string, string> = {
      ...outgoing.headers,
      [header.deadline]: String(Math.max(0, left)),
    }
    if (keyMadeMs !== undefined)
      headers[header.keyAge] =
        freshKey && attempt === 1 ? '0' : String(Math.max(1, Math.round(this.#clock.now() - keyMadeMs)))
    // Credentials say who asks; what Spillway itself says is not theirs.
    for (const name of Object.keys(own ?? {})) {
      const lower = name.toLowerCase()
      if (!reserved.test(lower)) headers[lower] = own![name]!
    }
    return headers
  }

  #refusedBy(refusal: Refusal, { call }: Outgoing): Judgement<never> {
    const { context } = this
    if (refusal.reason === 'breaker_open') {
      const what = refusal.forced
        ? `The breaker for ${context} is held open.`
        : `The breaker for ${context} is open: calls to it failed. It is tried again in ${refusal.retryAfterMs} ms.`
      return none(
        new SpillwayError('BREAKER_OPEN', `${call.type} was not asked. ${what}`, {
          details: { retryAfterMs: refusal.retryAfterMs, forced: refusal.forced },
        }),
      )
    }
    const [code, what] = refusalWords[refusal.reason]
    return none(new SpillwayError(code, `${call.type} was not asked: ${what}.`, nothingLeft))
  }
}

interface Step<Settled> {
  readonly judgement: Judgement<Settled>
  /** What the breaker is told. */
  readonly ending: Ending
  readonly instance?: Instance
  readonly retryAfterMs?: number | undefined
  /** A limit refused it: another instance would too. */
  readonly limited?: boolean
}

/** What HTTP and the wire of calls need themselves. */
const reserved = /^(?:spillway-|idempotency-key$|content-|host$|connection$|transfer-encoding$|expect$)/

const nothingLeft = { remedy: 'Nothing left.' }

const refusalWords: Readonly<
  Record<Exclude<Refusal['reason'], 'breaker_open'>, readonly [ErrorCode, string]>
> = {
  bulkhead_full: ['BULKHEAD_FULL', 'as many calls to its context are under way and waiting as are allowed'],
  cancelled: ['ABORTED', 'its caller gave up'],
  deadline: ['DEADLINE', 'no time was left'],
}

const endingOf = ({ ending }: Step<unknown>): Ending => ending

function none(error: SpillwayError, again = false): Judgement<never> {
  return { kind: 'refused', error, again }
}

function noAddress(context: string): SpillwayError {
  return new SpillwayError('NO_ADDRESS', `Nobody knows where ${context} is.`)
}

/** What the breaker is told: that the caller was wrong is no failure of who was asked; to be asked too much is (429). */
function endingBy(seen: Seen): Ending {
  if (seen.kind === 'answer')
    return seen.status >= 500 || (seen.status === 429 && !isLimited(seen)) ? 'failed' : 'succeeded'
  if (seen.by === 'aborted' || seen.by === 'headers') return 'cancelled'
  return seen.by === 'too large' ? 'succeeded' : 'failed'
}
