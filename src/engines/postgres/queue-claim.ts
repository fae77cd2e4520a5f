// Claiming from one queue. Concurrent claims of this process go together as one statement; who finds nothing waits
// for a wake-up, the next due time, or the poll, and one look serves all.
import type { ClaimedMessage, ClaimOptions } from '../../ports/queue.ts'
import type { Wake } from './wake.ts'

/** What one statement found. */
export interface Look {
  readonly messages: ClaimedMessage[]
  /** When there was nothing: the milliseconds until there may be something; undefined when only somebody's act can help. */
  readonly dueMs: number | undefined
  /** There was nothing for a reason that is gone: it is worth to look at once. */
  readonly again?: boolean
}

interface Request {
  readonly limit: number
  readonly leaseMs: number
  /** By the monotonic clock. */
  readonly deadline: number
  readonly resolve: (messages: ClaimedMessage[]) => void
  readonly reject: (reason: unknown) => void
  looked: boolean
  over: boolean
}

/** What one statement claims at most, whoever asks. */
const maxClaim = 2_000
/** A message that is due but being claimed by another process would else be asked for without a pause. */
const minSleepMs = 10

export interface ClaimsOptions {
  readonly look: (limit: number, leaseMs: number) => Promise<Look>
  readonly wake: Wake
  readonly topic: string
  /** Gives back what was leased for nobody. */
  readonly release: (leases: readonly string[]) => Promise<void>
}

export class Claims {
  readonly #options: ClaimsOptions
  #requests: Request[] = []
  #working: Promise<void> | undefined
  #sleep: AbortController | undefined
  #closed = false

  constructor(options: ClaimsOptions) {
    this.#options = options
  }

  claim(options: ClaimOptions): Promise<ClaimedMessage[]> {
    const { signal } = options
    if (this.#closed || signal?.aborted) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        request.over = true
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => request.resolve([])
      const request: Request = {
        limit: options.limit,
        leaseMs: options.leaseMs,
        deadline: performance.now() + options.waitMs,
        resolve: (messages) => {
          settle()
          resolve(messages)
        },
        reject: (reason) => {
          settle()
          reject(reason)
        },
        looked: false,
        over: false,
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#requests.push(request)
      this.#sleep?.abort()
      this.#working ??= this.#work()
    })
  }

  /** Ends the waits; what a statement under way leases is still delivered. */
  async close(): Promise<void> {
    this.#closed = true
    this.#sleep?.abort()
    await this.#working
  }

  async #work(): Promise<void> {
    for (;;) {
      // One turn of the event loop, for the claims that follow from the last results.
      await new Promise((resolve) => setImmediate(resolve))
      const turn = this.#options.wake.turn(this.#options.topic)
      const dueMs = await this.#look()
      this.#end()
      if (this.#requests.length === 0) break
      if (dueMs !== undefined && this.#requests.every((request) => request.looked))
        await this.#wait(turn, dueMs)
    }
    this.#working = undefined
  }

  /** Claims for everyone who asks; gives the time until more may be due when something was left wanting. */
  async #look(): Promise<number | undefined> {
    let dueMs: number | undefined
    for (const leaseMs of new Set(this.#requests.map((request) => request.leaseMs))) {
      const asking = this.#requests.filter((request) => !request.over && request.leaseMs === leaseMs)
      const wanted = asking.reduce((sum, request) => sum + request.limit, 0)
      if (wanted === 0 || this.#closed) continue
      try {
        let look = await this.#options.look(Math.min(wanted, maxClaim), leaseMs)
        while (look.again && !this.#closed)
          look = await this.#options.look(Math.min(wanted, maxClaim), leaseMs)
        if (look.messages.length === 0)
          dueMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, look.dueMs ?? Number.POSITIVE_INFINITY)
        await this.#deliver(asking, look.messages)
      } catch (thrown) {
        for (const request of asking) request.reject(thrown)
      }
    }
    return dueMs
  }

  async #deliver(asking: readonly Request[], messages: readonly ClaimedMessage[]): Promise<void> {
    let at = 0
    for (const request of asking) {
      request.looked = true
      if (request.over || at === messages.length) continue
      request.resolve(messages.slice(at, at + request.limit))
      at += request.limit
    }
    // Somebody went away while the statement ran.
    const left = messages.slice(at)
    if (left.length > 0) await this.#options.release(left.map((message) => message.lease))
  }

  #end(): void {
    const now = performance.now()
    for (const request of this.#requests)
      if (!request.over && (this.#closed || (request.looked && request.deadline <= now))) request.resolve([])
    this.#requests = this.#requests.filter((request) => !request.over)
  }

  async #wait(turn: number, dueMs: number): Promise<void> {
    this.#sleep = new AbortController()
    const deadline = Math.min(...this.#requests.map((request) => request.deadline)) - performance.now()
    const ms = Math.max(Math.min(deadline, dueMs), minSleepMs)
    await this.#options.wake.wait(this.#options.topic, turn, ms, this.#sleep.signal)
    this.#sleep = undefined
  }
}
