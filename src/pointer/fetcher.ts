// Fetches the payloads of pointer events from their owner: each key once however many want it, in batches, a few at a time, and never sooner than it helps.
import { maxBatch } from '../call/wire.ts'
import { pauseAfter } from '../core/backoff.ts'
import { aborted, type Clock, sleep } from '../core/clock.ts'
import { asError, asSpillwayError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import type { Current, Pointer } from '../core/pointer-contract.ts'
import { type Answer, answerOf, versionOfGone } from './answer.ts'
import { Cache, type CacheRules } from './cache.ts'
import type { Owner } from './owner.ts'
import { type Waiter, Want, type Wanted } from './want.ts'

const mostRequests = 2
/** How long a want rests: growing from the first to one of the bounds. */
const restMs = 50
const lowerRestMs = 1_000
const awayRestMs = 30_000
/** How often it is said that the owner is away, or behind. */
const sayEveryMs = 60_000

export interface FetcherOptions {
  readonly pointer: Pointer
  readonly owner: Owner
  readonly clock: Clock
  readonly report: (error: SpillwayError) => void
  /** From 0 up to, but not, 1. */
  readonly random?: () => number
  readonly cache?: CacheRules
}

export class Fetcher {
  readonly #pointer: Pointer
  readonly #owner: Owner
  readonly #clock: Clock
  readonly #report: (error: SpillwayError) => void
  readonly #random: () => number
  readonly #cache: Cache
  readonly #wants = new Map<string, Want>()
  #queue: Want[] = []
  #requests = 0
  #isScheduled = false
  /** Batches in a row of which nothing came; while `#isAway` nothing leaves. */
  #failures = 0
  #isAway = false
  /** Inputs of a batch: fewer after a failure, for the owner may be slow, and more again with each success. */
  #most = maxBatch
  readonly #closing = new AbortController()
  readonly #said = new Map<string, number>()

  constructor({ pointer, owner, clock, report, random = Math.random, cache }: FetcherOptions) {
    this.#pointer = pointer
    this.#owner = owner
    this.#clock = clock
    this.#report = report
    this.#random = random
    this.#cache = new Cache(clock, cache)
  }

  /**
   * Resolves with the state of the key at the version or a later one, or that it is gone. Waits as long as that takes. Rejects with what the owner says of this
   * input where it will never have it, and with ABORTED when the signal fires.
   */
  async fetch(wanted: Wanted, signal: AbortSignal): Promise<Current<unknown, unknown>> {
    const known = this.#cache.find(wanted.key, wanted.version)
    if (known) return known
    if (signal.aborted) throw aborted(signal)
    if (this.#closing.signal.aborted) throw aborted(this.#closing.signal)
    const { promise, resolve, reject } = Promise.withResolvers<Current<unknown, unknown>>()
    const more = { asked: false, goneSince: undefined, lowerSince: undefined }
    const waiter: Waiter = { ...wanted, resolve, reject, ...more }
    const want = this.#want(waiter)
    const onAbort = () => {
      want.waiters.delete(waiter)
      if (want.waiters.size === 0) this.#forget(want)
      reject(aborted(signal))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Ends everything that waits, with ABORTED. */
  close(): void {
    this.#closing.abort()
    for (const want of this.#wants.values()) {
      want.cancelRest()
      for (const { reject } of want.waiters) reject(aborted(this.#closing.signal))
    }
    this.#wants.clear()
    this.#queue = []
  }

  #want(waiter: Waiter): Want {
    const { key } = waiter
    const known = this.#wants.get(key)
    const want = known ?? new Want(key)
    want.waiters.add(waiter)
    if (!known) {
      this.#wants.set(key, want)
      this.#enqueue(want)
    } else if (known.place === 'resting') this.#enqueue(want)
    return want
  }

  #enqueue(want: Want): void {
    want.cancelRest()
    want.place = 'queued'
    this.#queue.push(want)
    this.#schedule()
  }

  /** What is wanted within one turn of the event loop leaves together. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#send()
    })
  }

  #send(): void {
    // After a failure one request finds out whether the owner is back.
    const most = this.#failures > 0 ? 1 : mostRequests
    while (!this.#isAway && this.#requests < most && this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#most)
      for (const want of batch) want.leave()
      this.#requests += 1
      void this.#ask(batch).then((answers) => {
        this.#requests -= 1
        if (!this.#closing.signal.aborted) this.#answered(batch, answers)
      })
    }
  }

  async #ask(batch: readonly Want[]): Promise<Answer[]> {
    const inputs = batch.map(({ key }) => ({ [this.#pointer.key]: key }))
    try {
      const results = await this.#owner.ask(this.#pointer.call, inputs, this.#closing.signal)
      return batch.map((_, index) => answerOf(this.#pointer, results[index]))
    } catch (thrown) {
      const error = isSpillwayError(thrown)
        ? thrown
        : new SpillwayError('NO_ANSWER', `${asError(thrown).message}.`, { cause: thrown })
      return batch.map(() => ({ kind: 'away', error }))
    }
  }

  #answered(batch: readonly Want[], answers: readonly Answer[]): void {
    for (const want of batch) want.place = 'resting'
    const [first] = answers
    const isAlone = batch.length === 1 && first?.kind === 'away' && first.error.code === 'ANSWER_FAILED'
    if (!isAlone && first?.kind === 'away' && answers.every(({ kind }) => kind === 'away')) {
      for (const want of batch) this.#again(want)
      void this.#waitForOwner(first.error)
      return
    }
    if (!isAlone) {
      this.#failures = 0
      this.#most = Math.min(maxBatch, this.#most * 2)
    }
    batch.forEach((want, index) => {
      this.#settle(want, answers[index]!)
    })
    this.#send()
  }

  #settle(want: Want, answer: Answer): void {
    const now = this.#clock.elapsed()
    if (answer.kind === 'refused') {
      want.end(want.asked(), (waiter) => waiter.reject(answer.error))
    } else if (answer.kind === 'found') {
      const current = { state: 'found' as const, value: answer.value, version: answer.version }
      this.#cache.put(want.key, current, answer.version)
      want.end(want.found(answer.version, now), (waiter) => waiter.resolve(current))
    } else if (answer.kind === 'gone') {
      const current = { state: 'gone' as const, data: answer.data }
      const told = versionOfGone(this.#pointer, answer.data)
      want.end(want.gone(told, now, this.#clock.now()), (waiter) => {
        this.#cache.put(want.key, current, waiter.version)
        waiter.resolve(current)
      })
    }
    if (want.waiters.size === 0) this.#forget(want)
    else if (want.isNew) this.#again(want)
    else this.#rest(want, answer)
  }

  /** Somebody else came, or nothing was heard: it is asked with the next batch. */
  #again(want: Want): void {
    if (want.waiters.size === 0) this.#forget(want)
    else this.#enqueue(want)
  }

  #rest(want: Want, { kind, ...answer }: Answer): void {
    const isBehind = want.isBehind(this.#clock.elapsed())
    if (kind === 'away' && 'error' in answer) this.#sayAway(answer.error)
    else if (isBehind) this.#sayBehind(want)
    const most = kind === 'away' || isBehind ? awayRestMs : lowerRestMs
    want.tries += 1
    const bound = Math.min(most, restMs * 2 ** Math.min(want.tries - 1, 30))
    want.place = 'resting'
    // At least half of it: what is not there yet will not be there at once.
    want.cancelRest = this.#clock.after(bound * (0.5 + 0.5 * this.#random()), () => this.#enqueue(want))
  }

  #forget(want: Want): void {
    want.cancelRest()
    // What is with the owner comes back, and finds nobody.
    if (this.#wants.get(want.key) === want && want.place !== 'out') this.#wants.delete(want.key)
    if (want.place === 'queued') this.#queue = this.#queue.filter((each) => each !== want)
  }

  /** Nothing leaves until the owner may be asked again; then one request does. Never rejects. */
  async #waitForOwner(error: SpillwayError): Promise<void> {
    this.#failures += 1
    this.#most = Math.max(1, Math.floor(this.#most / 2))
    if (this.#isAway) return
    this.#isAway = true
    this.#sayAway(error)
    const { signal } = this.#closing
    try {
      await sleep(this.#clock, pauseAfter(this.#failures), signal)
      await this.#owner.whenAllowed(signal)
    } catch (thrown) {
      if (!signal.aborted) this.#report(asSpillwayError(thrown))
    }
    this.#isAway = false
    this.#send()
  }

  #sayAway(cause: SpillwayError): void {
    const { call } = this.#pointer
    const what = `The payloads of pointer events by ${call.type} cannot be fetched from ${this.#owner.name}: ${cause.message}`
    this.#say(new SpillwayError('OWNER_AWAY', what, { cause }))
  }

  #sayBehind({ key, waiters }: Want): void {
    const version = Math.max(...[...waiters].map((waiter) => waiter.version))
    const { call } = this.#pointer
    const what = `${this.#owner.name} does not have version ${version} of ${key} yet, which it published: ${call.type} answers with an older one.`
    this.#say(new SpillwayError('OWNER_BEHIND', what))
  }

  #say(error: SpillwayError): void {
    const now = this.#clock.elapsed()
    if (now - (this.#said.get(error.code) ?? Number.NEGATIVE_INFINITY) < sayEveryMs) return
    this.#said.set(error.code, now)
    this.#report(error)
  }
}
