// Group commit: while one statement is in flight, further calls gather and go together as the next one, so that many
// awaiting callers share a round trip and a flush of the log.
import { type ErrorCode, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import { closed } from './errors.ts'

export interface GroupCommitOptions<In, Out> {
  /** Runs the calls as one statement, all or nothing, and gives their results in the same order. */
  readonly run: (calls: readonly In[]) => Promise<readonly Out[]>
  /** About how many bytes a call takes up. */
  readonly weigh: (call: In) => number
}

interface Entry<In, Out> {
  readonly call: In
  readonly weight: number
  readonly resolve: (result: Out) => void
  readonly reject: (reason: unknown) => void
}

/** What one statement carries at most, unless it is a single call. */
const maxStatementBytes = 4 * 2 ** 20
/** What a single call may carry. A UTF-16 unit makes up to three bytes, and the server ends connections that send 1 GB at once. */
const maxCallBytes = 256 * 2 ** 20
/** What may wait at most, unless nothing waits. */
const maxWaitingBytes = 64 * 2 ** 20

/** After these the statement is known to have stored nothing: its calls can be tried one by one. */
const refused: ReadonlySet<ErrorCode> = new Set(['ENGINE_FAILED'])

export class GroupCommit<In, Out> {
  readonly #options: GroupCommitOptions<In, Out>
  #waiting: Entry<In, Out>[] = []
  #bytes = 0
  #running: Promise<void> | undefined
  #closed = false

  constructor(options: GroupCommitOptions<In, Out>) {
    this.#options = options
  }

  /** Rejects with BACKLOG_FULL when too much waits already, with TOO_LARGE when one statement cannot carry the call. */
  submit(call: In): Promise<Out> {
    if (this.#closed) return Promise.reject(closed())
    const weight = this.#options.weigh(call)
    if (weight > maxCallBytes)
      return Promise.reject(
        new SpillwayError(
          'TOO_LARGE',
          `One call carries ${weight} bytes; PostgreSQL is given up to ${maxCallBytes} at once: make several calls.`,
          { engine: 'postgres', details: { limit: maxCallBytes } },
        ),
      )
    if (this.#bytes > 0 && this.#bytes + weight > maxWaitingBytes)
      return Promise.reject(
        new SpillwayError(
          'BACKLOG_FULL',
          `${this.#waiting.length} calls with ${this.#bytes} bytes already wait for PostgreSQL.`,
          { engine: 'postgres' },
        ),
      )
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, weight, resolve, reject })
      this.#bytes += weight
      this.#running ??= this.#work()
    })
  }

  /** Refuses further calls; resolves when the accepted ones are done. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      // One turn of the event loop: whoever is woken by the last statement's results joins this one.
      await new Promise((resolve) => setImmediate(resolve))
      await this.#flush(this.#next())
    }
    this.#running = undefined
  }

  #next(): Entry<In, Out>[] {
    let bytes = 0
    let count = 0
    while (count < this.#waiting.length) {
      const { weight } = this.#waiting[count]!
      if (count > 0 && bytes + weight > maxStatementBytes) break
      bytes += weight
      count += 1
    }
    this.#bytes -= bytes
    if (count < this.#waiting.length) return this.#waiting.splice(0, count)
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  async #flush(entries: readonly Entry<In, Out>[]): Promise<void> {
    try {
      const results = await this.#options.run(entries.map((entry) => entry.call))
      for (let i = 0; i < entries.length; i++) entries[i]!.resolve(results[i]!)
    } catch (thrown) {
      if (entries.length === 1 || !isSpillwayError(thrown) || !refused.has(thrown.code)) {
        for (const entry of entries) entry.reject(thrown)
        return
      }
      // One of them is to blame: the others must not fail with it.
      for (const entry of entries) await this.#flush([entry])
    }
  }
}
