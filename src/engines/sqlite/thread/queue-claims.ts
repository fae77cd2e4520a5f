// Claiming: which messages of a queue are leased next. What was sent without rules comes from the batches, what was sent under
// rules from the tasks.
import { type Answers, type ClaimedBytes, runFlag, runWidth, type WriteOperation } from '../wire.ts'
import type { Cancelled } from './cancelled.ts'
import type { Leases } from './leases.ts'
import type { QueueLog, QueueState } from './queue-log.ts'
import { joined } from './spans.ts'
import type { TaskLane } from './task-lane.ts'
import type { RuleState, TaskRules } from './task-rules.ts'
import type { Transaction } from './transaction.ts'

/** A claim stops when it has as many bytes, so that its answer is bounded. */
const claimBytes = 8 * 1024 * 1024
const dueAtOnce = 256

export class QueueClaims {
  readonly #log: QueueLog
  readonly #leases: Leases
  readonly #cancelled: Cancelled
  readonly #rules: TaskRules
  readonly #lane: TaskLane

  constructor(log: QueueLog, leases: Leases, cancelled: Cancelled, rules: TaskRules, lane: TaskLane) {
    this.#log = log
    this.#leases = leases
    this.#cancelled = cancelled
    this.#rules = rules
    this.#lane = lane
  }

  claim(
    { queue, wants }: Extract<WriteOperation, { kind: 'claim' }>,
    { now }: Transaction,
  ): Answers['claim'] {
    const state = this.#log.state(queue)
    const rules = this.#rules.of(queue)
    if (rules.paused) return { claimed: [], nextDue: null }
    const claimed: ClaimedBytes[] = []
    let room = rules.tasks ? this.#room(rules, now) : Number.POSITIVE_INFINITY
    let served = 0
    for (let i = 0; i < wants.length && room > 0; ) {
      // Callers that ask for the same lease time are served by the same statements, and share a fencing token.
      const leaseMs = wants[i + 1]!
      const limits: number[] = []
      for (; i < wants.length && wants[i + 1] === leaseMs; i += 2) limits.push(wants[i]!)
      const wanted = limits.reduce((sum, each) => sum + each, 0)
      const limit = Math.min(wanted, room)
      const taking = new Taking(state.token + 1, now + leaseMs, limit)
      if (rules.tasks) this.#take(rules, state, taking, now)
      else this.#takePlain(state, taking, now)
      if (taking.count === 0) break
      room -= taking.count
      this.#lane.started(rules, taking.count)
      state.token++
      state.changed = true
      const counts = deal(taking.count, limits)
      claimed.push({ token: taking.token, counts, runs: taking.runs, data: taking.join() })
      served += counts.length
      if (taking.count < wanted) break
    }
    if (rules.tasks) return { claimed, nextDue: finite(this.#nextLook(rules, state, now)) }
    // Who got nothing although there is something looks again at once.
    const more = served < wants.length / 2 && this.#log.head(state) !== undefined
    return { claimed, nextDue: more ? now : finite(this.nextDue(state)) }
  }

  #take(rules: RuleState, state: QueueState, taking: Taking, now: number): void {
    const ruled = {
      token: taking.token,
      due: taking.due,
      add: (seq: number, starts: number, suspect: boolean, orphan: boolean, data: Uint8Array) => {
        taking.add(seq, starts, suspect, orphan, data)
        return !taking.full
      },
    }
    const unruled = {
      any: () => this.#log.head(state) !== undefined || this.#anyDue(state, now),
      leased: () => this.#leases.leased(state.id, now),
      takeOne: () => {
        taking.onlyOne(() => this.#takePlain(state, taking, now))
        return !taking.full
      },
    }
    this.#lane.take(rules, taking.left, ruled, unruled, () => {
      this.#takePlain(state, taking, now)
      return !taking.full
    })
  }

  #takePlain(state: QueueState, taking: Taking, now: number): void {
    const before = taking.count
    this.#takeDue(state, taking, now)
    this.#takeFresh(state, taking)
    if (taking.count > before && state.nextDue !== undefined)
      state.nextDue = Math.min(state.nextDue, taking.due)
  }

  /** Whether one of the batches or the single messages is due: what is known of that may be too early. */
  #anyDue(state: QueueState, now: number): boolean {
    if (this.nextDue(state) > now) return false
    state.nextDue = undefined
    return this.nextDue(state) <= now
  }

  #room(rules: RuleState, now: number): number {
    return this.#lane.room(rules, now, () => this.#leases.leased(rules.queue, now))
  }

  #nextLook(rules: RuleState, state: QueueState, now: number): number {
    return Math.min(this.nextDue(state), this.#lane.nextLook(rules, now))
  }

  /** Messages whose lease has ended, whose retry is due, or that were given back. */
  #takeDue(state: QueueState, taking: Taking, now: number): void {
    if (this.nextDue(state) > now) return
    if (this.#cancelled.any(state.id)) this.#endCancelled(state, now)
    state.nextDue = undefined
    // How large they are is known only when they are read.
    const take = (seq: number): boolean => taking.addPiece(this.#log.record(seq))
    while (!taking.full) {
      const few = Math.min(taking.left, dueAtOnce)
      const runs = this.#leases.claimDue(state.id, few, now, taking, take)
      for (const { first, last, starts, suspect } of runs)
        taking.addRun(first, last - first + 1, starts, suspect === 1)
      if (runs.length === 0) return
    }
  }

  /** Those whose lease has ended. */
  #endCancelled(state: QueueState, now: number): void {
    for (const seq of this.#cancelled.leased(state.id)) {
      const lease = this.#leases.at(state.id, seq)
      if (lease !== undefined && lease.due > now) continue
      this.#leases.remove(state.id, seq)
      this.#cancelled.gone(state.id, seq, seq)
      this.#lane.tasks.progress.gone(state.id, seq, seq)
      this.#log.drop(state, seq, seq)
    }
  }

  /** Messages that were never handed out, from the cursor on. Those that follow each other become one run. */
  #takeFresh(state: QueueState, taking: Taking): void {
    const { token, due, runs } = taking
    const before = runs.length
    const skipped: (readonly [number, number])[] = []
    while (!taking.full) {
      const head = this.#log.head(state)
      if (head === undefined) break
      const stop = this.#cancelled.any(state.id)
        ? this.#cancelled.nextFresh(state.id, state.cursor)
        : Number.POSITIVE_INFINITY
      if (stop === state.cursor) {
        skipped.push(this.#log.skip(state, 1)!)
        this.#cancelled.gone(state.id, stop, stop)
        continue
      }
      const { data, offsets } = this.#log.batch(head)
      const from = state.cursor - head.base
      let to = Math.min(from + taking.left, head.end - head.base, stop - head.base)
      while (to > from + 1 && taking.bytes + offsets[to]! - offsets[from]! > claimBytes) to--
      const last = runs.length - runWidth
      if (last >= before && runs[last]! + runs[last + 1]! === state.cursor) runs[last + 1]! += to - from
      else taking.addRun(state.cursor, to - from, 1, false)
      taking.count += to - from
      taking.pieces.push(data.subarray(offsets[from]!, offsets[to]!))
      taking.bytes += offsets[to]! - offsets[from]!
      state.cursor = head.base + to
      state.changed = true
    }
    for (let i = before; i < runs.length; i += runWidth) {
      const first = runs[i]!
      this.#leases.add(state.id, { first, last: first + runs[i + 1]! - 1, token, due, starts: 1, suspect: 0 })
    }
    for (const [first, last] of skipped) this.#log.drop(state, first, last)
  }

  /** When the first lease or waiting of the batches and the single messages ends. */
  nextDue(state: QueueState): number {
    state.nextDue ??= this.#leases.firstDue(state.id)
    return state.nextDue
  }

  /** Whether there is something to claim as far as is known, which another process may have changed. */
  hasLikely(queue: number, now: number): boolean {
    const state = this.#log.known(queue)
    if (state === undefined || this.#rules.of(queue).tasks) return false
    return state.cursor < state.end || (state.nextDue ?? now) <= now
  }

  /** The answer to a claim that finds nothing; undefined when it would find something. */
  nothingToClaim(queue: number, now: number): Answers['claim'] | undefined {
    const rules = this.#rules.of(queue)
    if (rules.paused) return { claimed: [], nextDue: null }
    if (rules.tasks && this.#lane.tasks.anyReady(queue)) return undefined
    const state = this.#log.state(queue)
    const nextDue = rules.tasks ? this.#nextLook(rules, state, now) : this.nextDue(state)
    if (nextDue <= now || this.#log.head(state) !== undefined) return undefined
    return { claimed: [], nextDue: finite(nextDue) }
  }
}

/** Messages that are being leased together. */
class Taking {
  readonly token: number
  readonly due: number
  #limit: number
  count = 0
  bytes = 0
  #bytesFull = false
  /** As in the answer. */
  readonly runs: number[] = []
  /** Their records, one or many in a piece, in the same order. */
  readonly pieces: Uint8Array[] = []

  constructor(token: number, due: number, limit: number) {
    this.token = token
    this.due = due
    this.#limit = limit
  }

  get left(): number {
    return this.#limit - this.count
  }

  get full(): boolean {
    return this.#bytesFull || this.count >= this.#limit || this.bytes >= claimBytes
  }

  /** While `take` runs, one message is all that fits. */
  onlyOne(take: () => void): void {
    const limit = this.#limit
    this.#limit = this.count + 1
    take()
    this.#limit = limit
  }

  add(seq: number, starts: number, suspect: boolean, orphan: boolean, data: Uint8Array): void {
    this.runs.push(seq, 1, starts, (suspect ? runFlag.suspect : 0) | (orphan ? runFlag.orphan : 0))
    this.pieces.push(data)
    this.bytes += data.length
    this.count++
  }

  /** The record of a message whose run follows; false when there is no room for it. */
  addPiece(data: Uint8Array): boolean {
    if (this.count > 0 && this.bytes + data.length > claimBytes) {
      this.#bytesFull = true
      return false
    }
    this.pieces.push(data)
    this.bytes += data.length
    this.count++
    return true
  }

  addRun(first: number, count: number, starts: number, suspect: boolean): void {
    this.runs.push(first, count, starts, suspect ? runFlag.suspect : 0)
  }

  join(): Uint8Array {
    return joined(this.bytes, this.pieces)
  }
}

/** How many each caller gets: the first ones what they asked for. */
function deal(count: number, limits: readonly number[]): number[] {
  const counts: number[] = []
  for (let i = 0, left = count; left > 0; i++) {
    const share = Math.min(left, limits[i]!)
    counts.push(share)
    left -= share
  }
  return counts
}

function finite(time: number): number | null {
  return Number.isFinite(time) ? time : null
}
