// One append on its way: resolved when all its records are stored, rejected when one of them cannot be.
import type { OutRecord } from './batch-writer.ts'
import type { Fault } from './errors.ts'

export interface QueuedRecord extends OutRecord {
  readonly call: AppendCall
  /** Its place in the call. */
  readonly index: number
}

export class AppendCall {
  readonly positions: number[]
  readonly done: Promise<void>
  /** Nobody waits for it any more: what is left of it need not be sent. */
  settled = false
  /** Why it takes so long. */
  fault: Fault | undefined
  #left: number
  readonly #resolvers = Promise.withResolvers<void>()

  constructor(records: number) {
    this.positions = new Array(records)
    this.#left = records
    this.done = this.#resolvers.promise
  }

  stored(index: number, position: number): void {
    this.positions[index] = position
    if (--this.#left > 0 || this.settled) return
    this.settled = true
    this.#resolvers.resolve()
  }

  fail(error: unknown): void {
    if (this.settled) return
    this.settled = true
    this.#resolvers.reject(error)
  }
}
