// An owner in a few lines: what it holds, a replica that lags behind it, and requests that are answered when a test says so.

import { maxBatch } from '../../src/call/wire.ts'
import type { CallContract } from '../../src/core/call-contract.ts'
import { aborted, type Clock, sleep } from '../../src/core/clock.ts'
import { type ErrorCode, SpillwayError } from '../../src/core/errors.ts'
import type { Owner, Result } from '../../src/pointer/owner.ts'

export interface Row {
  readonly version: number
  readonly isGone: boolean
}

export interface Request {
  readonly keys: readonly string[]
  readonly at: number
  /** `late`: by a replica that has not seen what the other saw last. */
  readonly answer: (late?: boolean) => void
}

export interface Said {
  readonly key: string
  /** Which of the requests. */
  readonly asked: number
  readonly at: number
  /** Undefined: nothing there. */
  readonly row: Row | undefined
}

export class SimulatedOwner implements Owner {
  readonly name = 'orders'
  readonly rows = new Map<string, Row>()
  /** What answers see. */
  replica = new Map<string, Row>()
  #late = new Map<string, Row>()
  isUp = true
  /** Of these keys what answers throws. */
  readonly broken = new Set<string>()
  /** These it refuses as inputs. */
  readonly refused = new Set<string>()
  /** Says with which version something is gone. */
  tellsVersionOfGone = false
  pending: Request[] = []
  /** All that reached it, or were refused at its door. */
  readonly requests: { readonly keys: readonly string[]; readonly at: number; readonly wasUp: boolean }[] = []
  readonly said: Said[] = []
  readonly problems: string[] = []
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  catchUp(): void {
    this.#late = this.replica
    this.replica = new Map(this.rows)
  }

  ask(_call: CallContract, inputs: readonly unknown[], signal: AbortSignal): Promise<readonly Result[]> {
    const keys = inputs.map((input) => (input as { orderId: string }).orderId)
    const at = this.#clock.elapsed()
    const asked = this.requests.length
    this.requests.push({ keys, at, wasUp: this.isUp })
    if (keys.length > maxBatch) this.problems.push(`${keys.length} inputs in one request`)
    const out = new Set(this.pending.flatMap((request) => request.keys))
    for (const key of keys) if (out.has(key)) this.problems.push(`${key} is asked for twice at once`)
    if (new Set(keys).size < keys.length) this.problems.push('a key is asked for twice in a request')
    const { promise, resolve, reject } = Promise.withResolvers<readonly Result[]>()
    signal.addEventListener('abort', () => reject(aborted(signal)), { once: true })
    const request: Request = {
      keys,
      at,
      answer: (late = false) => {
        this.pending = this.pending.filter((each) => each !== request)
        const from = late ? this.#late : this.replica
        resolve(keys.map((key) => (this.isUp ? this.#answer(key, asked, from) : failed('UNREACHABLE'))))
      },
    }
    this.pending.push(request)
    return promise
  }

  async whenAllowed(signal: AbortSignal): Promise<void> {
    await sleep(this.#clock, 0, signal)
  }

  #answer(key: string, asked: number, from: ReadonlyMap<string, Row>): Result {
    if (this.broken.has(key)) return failed('ANSWER_FAILED')
    if (this.refused.has(key)) return failed('INVALID_DATA')
    const row = from.get(key)
    this.said.push({ key, asked, at: this.#clock.elapsed(), row })
    if (row && !row.isGone) {
      const { version } = row
      return { status: 'ok', value: { orderId: key, version, text: `${key} at ${version}` } }
    }
    const data = this.tellsVersionOfGone && row ? { version: row.version } : {}
    const error = new SpillwayError('CALL_FAILED', 'It is gone.')
    return { status: 'failed', reason: 'gone', data, error }
  }
}

function failed(code: ErrorCode): Result {
  const error = new SpillwayError(code, 'As it was told to.')
  return { status: 'failed', reason: 'error', data: undefined, error }
}
