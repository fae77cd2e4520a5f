// Group commit: requests of many callers go together, as many as one script call carries; a few calls are on their way at a time, and what comes meanwhile
// gathers. In a cluster a call carries requests of one slot.
import { type Clock, systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import type { LimitVerdict } from '../../ports/limit.ts'
import { Silence } from './errors.ts'
import type { ScriptRequest } from './pack.ts'

export interface GroupCommitOptions {
  /** Sends them as one call. */
  readonly run: (requests: readonly ScriptRequest[]) => Promise<readonly LimitVerdict[]>
  /** How many calls are on their way at a time. */
  readonly inFlight: number
  /** After this a caller gets no answer any more, whether its request was sent or not. */
  readonly timeoutMs: number
  readonly clock?: Clock
}

/** How many buckets one call asks at most, unless a single request asks more: the server does nothing else meanwhile. */
const mostAsks = 32
/** How many may wait, unless nothing waits. */
const mostWaiting = 65_536

interface Call {
  readonly verdicts: LimitVerdict[]
  left: number
  readonly resolve: (verdicts: LimitVerdict[]) => void
  readonly reject: (reason: unknown) => void
}

interface Entry {
  readonly request: ScriptRequest
  readonly call: Call
  readonly index: number
  readonly deadline: number
}

export class GroupCommit {
  readonly #options: GroupCommitOptions
  readonly #clock: Clock
  /** What waits, by slot, and the slots that have something, in turn. */
  readonly #lanes = new Map<number, Entry[]>()
  #waiting = 0
  #flying = 0
  #scheduled = false
  #late: (() => void) | undefined

  constructor(options: GroupCommitOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Requests with the same slot are answered in their order. Rejects with BACKLOG_FULL when too much waits already, but not for what ends a request (`anyway`). */
  submit(
    requests: readonly ScriptRequest[],
    slots: readonly number[],
    anyway = false,
  ): Promise<LimitVerdict[]> {
    let asked = 0
    for (const { asks } of requests) asked += asks.length
    if (!anyway && this.#waiting > 0 && this.#waiting + asked > mostWaiting)
      return Promise.reject(
        new SpillwayError('BACKLOG_FULL', `${this.#waiting} buckets wait to be asked already.`, {
          engine: 'redis',
        }),
      )
    this.#waiting += asked
    const deadline = this.#clock.elapsed() + this.#options.timeoutMs
    return new Promise((resolve, reject) => {
      const call: Call = { verdicts: [], left: requests.length, resolve, reject }
      for (const [index, request] of requests.entries()) {
        const slot = slots[index]!
        const lane = this.#lanes.get(slot)
        const entry = { request, call, index, deadline }
        if (lane === undefined) this.#lanes.set(slot, [entry])
        else lane.push(entry)
      }
      if (this.#scheduled || this.#flying >= this.#options.inFlight) return
      this.#scheduled = true
      // Whoever else asks in this turn comes along.
      setImmediate(() => {
        this.#scheduled = false
        this.#send()
      })
    })
  }

  #send(): void {
    for (const [slot, lane] of this.#lanes) {
      if (this.#flying >= this.#options.inFlight) break
      this.#lanes.delete(slot)
      const batch = taken(lane)
      // Behind the others.
      if (lane.length > 0) this.#lanes.set(slot, lane)
      void this.#run(batch)
    }
    this.#watch()
  }

  async #run(batch: readonly Entry[]): Promise<void> {
    const requests = batch.map(({ request }) => request)
    for (const { asks } of requests) this.#waiting -= asks.length
    this.#flying += 1
    const cancel = this.#clock.after(batch[0]!.deadline - this.#clock.elapsed(), () =>
      fail(batch, new Silence(`no answer within ${this.#options.timeoutMs} ms`)),
    )
    try {
      const verdicts = await this.#options.run(requests)
      for (const [at, { call, index }] of batch.entries()) {
        call.verdicts[index] = verdicts[at]!
        call.left -= 1
        if (call.left === 0) call.resolve(call.verdicts)
      }
    } catch (thrown) {
      fail(batch, thrown)
    }
    cancel()
    this.#flying -= 1
    this.#send()
  }

  /** While the server is silent nothing more is sent, and nobody waits for longer than he may. */
  #watch(): void {
    if (this.#waiting === 0) {
      this.#late?.()
      this.#late = undefined
      return
    }
    if (this.#late !== undefined) return
    const [first] = this.#lanes.values()
    this.#late = this.#clock.after(Math.max(first![0]!.deadline - this.#clock.elapsed(), 1), () => {
      this.#late = undefined
      this.#giveUp()
      this.#watch()
    })
  }

  #giveUp(): void {
    const now = this.#clock.elapsed()
    for (const [slot, lane] of this.#lanes) {
      const kept = lane.filter(({ deadline }) => deadline > now)
      const late = lane.filter(({ deadline }) => deadline <= now)
      for (const { request } of late) this.#waiting -= request.asks.length
      if (kept.length === 0) this.#lanes.delete(slot)
      else this.#lanes.set(slot, kept)
      fail(late, new Silence(`the server is silent; nothing was sent for ${this.#options.timeoutMs} ms`))
    }
  }
}

function fail(entries: readonly Entry[], reason: unknown): void {
  for (const { call } of entries) call.reject(reason)
}

/** The first of a lane, as many as go together. */
function taken(lane: Entry[]): Entry[] {
  let asked = 0
  let count = 0
  for (const { request } of lane) {
    asked += request.asks.length
    if (count > 0 && asked > mostAsks) break
    count += 1
  }
  return lane.splice(0, count)
}
