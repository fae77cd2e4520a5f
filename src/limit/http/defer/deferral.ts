// Requests over a limit that are done later: taken at the door, put on a queue, worked off when the limit allows it, and told of at a status address.
import { createHash, randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '../../../core/clock.ts'
import { type Duration, milliseconds } from '../../../core/duration.ts'
import { asError, asSpillwayError, describe, SpillwayError } from '../../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../../core/known-options.ts'
import { type Retry, retry } from '../../../core/outcome.ts'
import { guarded, type OnReport } from '../../../core/report.ts'
import { wholeOption } from '../../../core/whole-option.ts'
import type {
  DeferBounds,
  DeferQueue,
  DeferredRequest,
  DeferredResult,
  DeferredState,
  DeferStore,
} from '../../defer.ts'
import { askedAgain } from '../../subject.ts'
import type { DoorLimits } from '../door/door-limits.ts'

export interface DeferralOptions {
  /** `await spillway.queue('late', deferredQueue())`. */
  readonly queue: DeferQueue
  /** `sqliteDeferStore(handle)`, `await postgresDeferStore(pool)`, or `memoryDeferStore()` where a restart may forget. All processes behind one address share it. */
  readonly store: DeferStore
  /** Those of the door: what is worked off is decided about again. */
  readonly limits: DoorLimits
  /** How many requests are queued at most; beyond that they are refused. Default 10,000. */
  readonly depth?: number
  /** And of one owner. Default 100. */
  readonly perOwner?: number
  /** What has not begun after this is not done any more. Default 10 min. */
  readonly expires?: Duration
  /** For how long after that it is told what became of it, and its idempotency key is known. Default 1 d. */
  readonly keep?: Duration
  /** Where states are told: its path, before the id. Default '/deferred/'. */
  readonly at?: string
  /** The largest body that is deferred, at most 2 MiB: as JSON a byte may take six, and a message has 16 MiB. Default 256 KiB. */
  readonly maxBodyBytes?: number
  /**
   * The headers that are kept, beside `content-type`, `idempotency-key` and those by which rules bound (`by: { header: … }`): those that the work needs, and
   * those that functions of the rules look at. Never those of who authenticates: what is worked off is authorized anew.
   */
  readonly headers?: readonly string[]
  /** Told of what clients are not: why the queue or the store could not be asked (they hear 503), and what work threw (`failed`). */
  readonly onReport?: OnReport
  readonly clock?: Clock
}

const names: OptionNames<DeferralOptions> = {
  queue: true,
  store: true,
  limits: true,
  depth: true,
  perOwner: true,
  expires: true,
  keep: true,
  at: true,
  maxBodyBytes: true,
  headers: true,
  onReport: true,
  clock: true,
}

/** What a door wants deferred. */
export interface Deferring extends Omit<DeferredRequest, 'id' | 'expiresAt'> {
  /** The client's idempotency key. */
  readonly key: string | undefined
}

/** `queued` or known already, with its state; `reused`: its key was used for another request; `full`: there is no room for it, or no time; `away`: nothing could be queued. */
export type Put =
  | { readonly kind: 'known'; readonly state: DeferredState }
  | { readonly kind: 'reused' | 'full' | 'away' }

/** Does what was deferred. `request.id` is the idempotency key of all that is done for it: it may be done again when a process dies meanwhile. */
export type DeferredWork = (
  request: DeferredRequest,
  context: { readonly signal: AbortSignal },
) => DeferredResult | Retry | Promise<DeferredResult | Retry>

export interface WorkOffOptions {
  /** Asked when it is worked off: whether its owner may still do so. It has been a while. */
  readonly authorize: (request: DeferredRequest) => boolean | Promise<boolean>
}

export class Deferral {
  readonly at: string
  readonly maxBodyBytes: number
  readonly #headers: readonly string[]
  readonly #queue: DeferQueue
  readonly #store: DeferStore
  readonly #limits: DoorLimits
  readonly #clock: Clock
  readonly #bounds: Pick<DeferBounds, 'depth' | 'perOwner'>
  readonly #expiresMs: number
  readonly #keepMs: number
  readonly #report: OnReport

  constructor(options: DeferralOptions) {
    checkOptions('deferral()', options, names)
    const { queue, store, limits, at = '/deferred/', headers = [], clock = systemClock } = options
    if (!/^\/(?:[\w.~-]+\/)+$/.test(at))
      throw new SpillwayError(
        'INVALID_OPTION',
        `at of deferral() is ${JSON.stringify(at)}; it takes a path like '/deferred/'.`,
      )
    checkPart('queue', queue, 'send')
    checkPart('store', store, 'begin')
    checkPart('limits', limits, 'decide')
    this.#queue = queue
    this.#store = store
    this.#limits = limits
    this.#clock = clock
    this.#report = guarded(options.onReport)
    this.at = at
    this.#headers = ['content-type', 'idempotency-key', ...headers.map((name) => name.toLowerCase())]
    this.maxBodyBytes = wholeOption(options.maxBodyBytes ?? 262_144, 'maxBodyBytes of deferral()', 0, 2 ** 21)
    this.#bounds = {
      depth: wholeOption(options.depth ?? 10_000, 'depth of deferral()', 1, 10_000_000),
      perOwner: wholeOption(options.perOwner ?? 100, 'perOwner of deferral()', 1, 10_000_000),
    }
    this.#expiresMs = Math.max(1, milliseconds(options.expires ?? '10m', 'expires of deferral()'))
    this.#keepMs = milliseconds(options.keep ?? '1d', 'keep of deferral()')
  }

  /** Those of a request that are kept. Rules may be others by now. */
  get headers(): readonly string[] {
    return [...this.#headers, ...this.#limits.headers()]
  }

  /**
   * Puts it on the queue, once for each key of its owner. `waitMs`: no limit allows it before; where that is past its end it is not promised. Never
   * rejects.
   */
  async put({ key, ...asked }: Deferring, waitMs = 0): Promise<Put> {
    const nowMs = this.#clock.now()
    const { owner, method, target, body } = asked
    const id = key === undefined ? randomUUID() : idOf(owner, key)
    const expiresAt = nowMs + this.#expiresMs
    const fingerprint = digest([method, target, body])
    const state: DeferredState = { id, owner, fingerprint, expiresAt, status: 'queued' }
    try {
      const comesTooLate = Number.isFinite(waitMs) && waitMs > this.#expiresMs
      if (comesTooLate && (await this.#store.get(id, nowMs)) === undefined) return { kind: 'full' }
      const begun = await this.#store.begin(
        state,
        { ...this.#bounds, keepUntil: expiresAt + this.#keepMs },
        nowMs,
      )
      if (begun === 'full') return { kind: 'full' }
      if (begun !== 'new' && begun.fingerprint !== fingerprint) return { kind: 'reused' }
      const known = begun === 'new' ? state : seenAt(begun, nowMs)
      // One that is queued already is sent again: its process may have ended before it had sent it. Who works it off looks whether it was done.
      if (known.status === 'queued')
        await this.#send({ ...asked, id, expiresAt: known.expiresAt }, nowMs, begun === 'new')
      return { kind: 'known', state: known }
    } catch (thrown) {
      this.#report({ from, error: asSpillwayError(thrown), messageId: id })
      return { kind: 'away' }
    }
  }

  /** Whether that key of the owner's was deferred: then it is not done now as well. */
  async knows(owner: string, key: string): Promise<boolean> {
    return (await this.#find(idOf(owner, key), this.#clock.now())) !== undefined
  }

  /** What became of it, for its owner; undefined for one that is not his, or not known. */
  async state(id: string, owner: string): Promise<DeferredState | undefined> {
    const nowMs = this.#clock.now()
    const state = await this.#find(id, nowMs)
    return state?.owner === owner ? seenAt(state, nowMs) : undefined
  }

  /**
   * The handler for the queue: `queue.consume(late.workOff(work, { authorize }))`. Each request is authorized and decided about by the limits again: what is
   * not allowed yet waits on the queue, in the order of its owner; what is past its end is told of as expired. What `work` throws is told of as failed, without
   * its reason, and reported; it returns `retry()` for another try.
   */
  workOff(
    work: DeferredWork,
    { authorize }: WorkOffOptions,
  ): (
    message: { readonly data: DeferredRequest },
    delivery: { readonly signal: AbortSignal },
  ) => Promise<Retry | undefined> {
    if (typeof work !== 'function' || typeof authorize !== 'function')
      throw new SpillwayError(
        'INVALID_OPTION',
        'workOff() takes a function and `authorize`: what was allowed when it was asked may not be any more.',
      )
    return ({ data }, { signal }) => this.#workOff(data, signal, work, authorize)
  }

  async #workOff(
    request: DeferredRequest,
    signal: AbortSignal,
    work: DeferredWork,
    authorize: WorkOffOptions['authorize'],
  ): Promise<Retry | undefined> {
    const { id, subject } = request
    const store = this.#store
    const known = await store.get(id, this.#clock.now())
    // Done by an earlier copy of the message, or never queued for anybody who knows of it.
    if (known?.status !== 'queued') return undefined
    const { expiresAt } = known
    if (this.#clock.now() >= expiresAt) return void (await store.end(id, 'expired'))
    if (!(await authorize(request))) return void (await store.end(id, 'failed', { status: 403 }))
    const decision = await this.#limits.decide({ ...subject, headers: request.headers, [askedAgain]: true })
    if (!decision.allowed) {
      if (decision.reason === 'cost' || decision.reason === 'missing')
        return void (await store.end(id, 'failed', { status: 429 }))
      const soonMs = Number.isFinite(decision.retryAfterMs) ? decision.retryAfterMs : unknownWaitMs
      // Not beyond its end: then it is told at once that it was not done, and the next one of its owner goes on.
      const leftMs = expiresAt - this.#clock.now()
      const waitMs = Math.max(Math.min(soonMs, longestWaitMs, leftMs), shortestWaitMs)
      return retry({ after: Math.ceil(waitMs), reason: `the limit ${decision.rule} does not allow it yet` })
    }
    let isDone = false
    try {
      // From here on nobody is told that it was not begun, also when it ends too late, or this process with it.
      const lastMs = request.expiresAt + graceMs
      if (expiresAt < lastMs) await store.extend(id, lastMs)
      const result = await this.#do(work, request, signal)
      if ('outcome' in result) return result
      isDone = true
      // Where this cannot be stored it is tried again by the queue: nobody is told that it failed, for it did not.
      await store.end(id, result.failed ? 'failed' : 'done', { status: result.status, body: result.body })
    } finally {
      if (isDone) decision.release()
      else decision.refund()
    }
    return undefined
  }

  async #do(
    work: DeferredWork,
    request: DeferredRequest,
    signal: AbortSignal,
  ): Promise<Retry | (DeferredResult & { readonly failed: boolean })> {
    try {
      const result = await work(request, { signal })
      return 'outcome' in result ? result : { status: result.status, body: result.body, failed: false }
    } catch (thrown) {
      // Whoever stops gives it back to the queue; for anything else there is no second try that nobody asked for.
      if (signal.aborted) return retry({ after: 0, reason: 'it was stopped' })
      const { id, method, target } = request
      const error = new SpillwayError(
        'HANDLER_FAILED',
        `${method} ${target} failed when it was worked off: ${asError(thrown).message}.`,
        {
          cause: thrown,
          retryable: false,
          remedy:
            'Its owner is told that it failed, and it is not tried again: return retry() where it should be.',
        },
      )
      this.#report({ from, error, messageId: id })
      return { status: 500, failed: true }
    }
  }

  /** Rejects with what the store does, and tells of it. */
  async #find(id: string, nowMs: number): Promise<DeferredState | undefined> {
    try {
      return await this.#store.get(id, nowMs)
    } catch (thrown) {
      this.#report({ from, error: asSpillwayError(thrown), messageId: id })
      throw thrown
    }
  }

  async #send(request: DeferredRequest, nowMs: number, isNew: boolean): Promise<void> {
    try {
      const { id, expiresAt } = request
      // Past its end it is told of as expired by who works it off, and is no dead letter; what has begun by then is tried on.
      await this.#queue.send(request, { id, ttl: Math.max(1, expiresAt - nowMs) + graceMs })
    } catch (thrown) {
      // If it was stored all the same, who works it off finds that nobody knows of it.
      if (isNew) await this.#store.drop(request.id)
      throw thrown
    }
  }
}

/** Who speaks in reports. */
const from = 'deferral()'

/** A limit is asked again when it said, but not more often than this, nor more rarely. */
const shortestWaitMs = 50
const longestWaitMs = 60_000
/** And one that does not know when, for places are held until somebody leaves. */
const unknownWaitMs = 1_000
const graceMs = 3_600_000

/** A promise of one, say: every request would be answered that it is away. */
function checkPart(name: string, part: object, does: string): void {
  if (typeof (part as Readonly<Record<string, unknown>> | undefined)?.[does] === 'function') return
  throw new SpillwayError(
    'INVALID_OPTION',
    `${name} of deferral() is ${describe(part)}, which cannot ${does}.`,
    { remedy: `Give the ${name} itself: await what makes it.` },
  )
}

function seenAt(state: DeferredState, nowMs: number): DeferredState {
  return state.status === 'queued' && nowMs >= state.expiresAt ? { ...state, status: 'expired' } : state
}

function idOf(owner: string, key: string): string {
  return digest([owner, key])
}

/** None that others could make without knowing the parts; and none that runs into another. */
function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** Defers requests over a limit: the `defer` of a door, and what works them off. Throws INVALID_OPTION. */
export function deferral(options: DeferralOptions): Deferral {
  return new Deferral(options)
}
