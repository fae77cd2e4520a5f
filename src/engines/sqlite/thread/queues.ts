// The queues of the store: what each operation does to batches, leases and dead letters.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SpillwayError } from '../../../core/errors.ts'
import { maxPriority, type QueueRules } from '../../../ports/queue-rules.ts'
import { idOf } from '../record.ts'
import {
  type Answers,
  type ClaimedBytes,
  type QueueFacts,
  type ReadOperation,
  runWidth,
  settleKind,
  type WriteOperation,
} from '../wire.ts'
import { Cancelled } from './cancelled.ts'
import { Leases, type Run } from './leases.ts'
import { Purges } from './purges.ts'
import { firstSingle, QueueLog, type QueueState } from './queue-log.ts'
import { QueueScan } from './queue-scan.ts'
import { rowBytes } from './spans.ts'
import { TaskLane } from './task-lane.ts'
import { type RuleState, TaskRules } from './task-rules.ts'
import { firstTask, withFailure } from './tasks.ts'
import type { Part, Transaction } from './transaction.ts'

/** A claim stops when it has as many bytes, so that its answer is bounded. */
const claimBytes = 8 * 1024 * 1024
const dueAtOnce = 256
/** How many messages one step of a cancellation looks at. */
const cancelAtOnce = 2_000

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

export class Queues implements Part {
  readonly #leases: Leases
  readonly #log: QueueLog
  readonly #cancelled: Cancelled
  readonly #rules: TaskRules
  readonly #lane: TaskLane
  readonly #scan: QueueScan
  readonly #purges: Purges
  readonly #declare: StatementSync
  readonly #find: StatementSync
  readonly #bury: StatementSync
  readonly #dead: StatementSync
  readonly #unbury: StatementSync
  readonly #deadAfter: StatementSync
  readonly #countDead: StatementSync

  constructor(db: DatabaseSync) {
    this.#leases = new Leases(db)
    this.#log = new QueueLog(db, this.#leases)
    this.#cancelled = new Cancelled(db)
    this.#rules = new TaskRules(db)
    this.#lane = new TaskLane(db)
    this.#scan = new QueueScan(this.#log, this.#leases, this.#cancelled, this.#lane.tasks)
    this.#purges = new Purges(db, this.#log, this.#leases, this.#cancelled, this.#lane.tasks)
    this.#declare = db.prepare('INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING')
    this.#find = db.prepare('SELECT id FROM queue WHERE name = ?')
    this.#bury = db.prepare(
      `INSERT INTO queue_dead (queue, reason, starts, died_at, history, carried, data)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#dead = db.prepare('SELECT data, carried FROM queue_dead WHERE handle = ? AND queue = ?')
    this.#unbury = db.prepare('DELETE FROM queue_dead WHERE handle = ?')
    this.#deadAfter = db.prepare(
      `SELECT handle, reason, starts, died_at AS diedAt, history, data FROM queue_dead
       WHERE queue = ? AND handle > ? ORDER BY handle LIMIT ?`,
    )
    this.#countDead = db.prepare('SELECT count(*) AS n FROM queue_dead WHERE queue = ?')
  }

  declare({ names, rules }: Of<'declareQueues'>, { wakeQueues }: Transaction): QueueFacts[] {
    if (rules !== null) for (const name of names) this.#checkOrder(name, rules)
    return names.map((name) => {
      this.#declare.run(name)
      const id = Number(this.#find.get(name)!.id)
      if (rules !== null && !sameRules(rules, this.#rules.of(id).rules)) {
        this.#lane.tasks.forgetCarried(id, rules)
        this.#rules.set(id, rules)
        wakeQueues.add(id)
      }
      return this.#facts(id)
    })
  }

  /** Messages that were sent without the order of keys cannot be brought into it. */
  #checkOrder(name: string, rules: QueueRules): void {
    const id = this.#find.get(name)?.id as number | undefined
    if (id === undefined) return
    const { rules: former } = this.#rules.of(id)
    if ((former.keyOrder === true) === (rules.keyOrder === true) || !this.#scan.any(this.#log.state(id)))
      return
    throw new SpillwayError(
      'CONFIGURATION',
      `The queue '${name}' holds messages: whether it keeps the order of keys can only be changed while it is empty. Nothing was changed.`,
      { engine: 'sqlite' },
    )
  }

  find(name: string): QueueFacts | null {
    const id = this.#find.get(name)?.id
    return id === undefined ? null : this.#facts(Number(id))
  }

  #facts(id: number): QueueFacts {
    const { rules, version } = this.#rules.of(id)
    return { id, rules, version }
  }

  send(operation: Of<'send'>, transaction: Transaction): Answers['send'] {
    const { queue, version, spans, tasks, extras } = operation
    if (this.#rules.of(queue).version !== version) return 'outdated'
    const state = this.#log.state(queue)
    const { now, slabs } = transaction
    if (spans.length > 0) this.#log.append(state, spans, now, slabs)
    this.#log.addSingles(state, operation.delayed, operation.delaysMs, now, slabs)
    transaction.wakeQueues.add(queue)
    if (extras.length === 0) return []
    return this.#lane.send(queue, tasks, extras, now, slabs)
  }

  claim({ queue, wants }: Of<'claim'>, { now }: Transaction): Answers['claim'] {
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
      if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, taking.due)
      const counts = deal(taking.count, limits)
      claimed.push({ token: taking.token, counts, runs: taking.runs, data: taking.join() })
      served += counts.length
      if (taking.count < wanted) break
    }
    if (rules.tasks) return { claimed, nextDue: finite(this.#nextLook(rules, state, now)) }
    // Who got nothing although there is something looks again at once.
    const more = served < wants.length / 2 && this.#log.head(state) !== undefined
    return { claimed, nextDue: more ? now : finite(this.#nextDue(state)) }
  }

  /** Under rules: what has a higher priority, then what was sent without rules, then the rest. */
  #take(rules: RuleState, state: QueueState, taking: Taking, now: number): void {
    const task = {
      token: taking.token,
      due: taking.due,
      add: (seq: number, starts: number, suspect: boolean, data: Uint8Array) => {
        taking.add(seq, 1, starts, suspect, data)
        return !taking.full
      },
    }
    if (!taking.full) this.#lane.take(rules, 1, maxPriority, taking.left, task)
    if (!taking.full) this.#takePlain(state, taking, now)
    if (!taking.full) this.#lane.take(rules, -maxPriority, 0, taking.left, task)
  }

  #takePlain(state: QueueState, taking: Taking, now: number): void {
    this.#takeDue(state, taking, now)
    this.#takeFresh(state, taking)
  }

  #room(rules: RuleState, now: number): number {
    return this.#lane.room(rules, now, () => this.#leases.leased(rules.queue, now))
  }

  #nextLook(rules: RuleState, state: QueueState, now: number): number {
    return Math.min(this.#nextDue(state), this.#lane.nextLook(rules, now))
  }

  /** Messages whose lease has ended, whose retry is due, or that were given back. */
  #takeDue(state: QueueState, taking: Taking, now: number): void {
    if (this.#nextDue(state) > now) return
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
      this.#drop(state, seq, seq)
    }
  }

  /** Messages without a lease are gone. */
  #drop(state: QueueState, first: number, last: number): void {
    if (this.#cancelled.any(state.id)) this.#cancelled.remove(state.id, first, last)
    if (first >= firstSingle) this.#log.deleteSingles(first, last)
    else this.#log.collect(state, first, last)
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
        this.#cancelled.remove(state.id, stop)
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
    for (const [first, last] of skipped) this.#log.collect(state, first, last)
  }

  #nextDue(state: QueueState): number {
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
    const nextDue = rules.tasks ? this.#nextLook(rules, state, now) : this.#nextDue(state)
    if (nextDue <= now || this.#log.head(state) !== undefined) return undefined
    return { claimed: [], nextDue: finite(nextDue) }
  }

  settle(operation: Of<'settle'>, transaction: Transaction): number[] {
    const { queue, seqs, tokens, arguments: given, reasons } = operation
    const state = this.#log.state(queue)
    const results = new Array<number>(seqs.length).fill(0)
    const kinds = this.#cancelled.any(queue) ? this.#endingCancelled(operation) : operation.kinds
    const freed = new Freed()
    for (const indexes of runsOf(seqs, (a, b) => tokens[a] === tokens[b] && kinds[a] === kinds[b])) {
      const [first, last] = [indexes[0]!, indexes[indexes.length - 1]!]
      if (seqs[first]! >= firstTask) {
        for (const index of indexes) results[index] = this.#settleTask(operation, index, transaction)
        continue
      }
      let next = 0
      for (const run of this.#leases.takeOut(state.id, seqs[first]!, seqs[last]!, tokens[first]!)) {
        while (seqs[indexes[next]!]! < run.first) next++
        const settled = indexes.slice(next, next + run.last - run.first + 1)
        for (const index of settled) results[index] = 1
        const ends = settled.map((index) => ({ argument: given[index]!, reason: reasons[index]! }))
        this.#end(state, run, kinds[first]!, ends, transaction, freed)
      }
    }
    // Only now: until here messages of these batches are read.
    for (const { first, last } of freed.runs) this.#drop(state, first, last)
    // Under rules an ending makes room for others.
    if (this.#rules.of(queue).tasks) transaction.wakeQueues.add(queue)
    return results
  }

  /** Whatever was to become of messages that were cancelled meanwhile, they are gone. */
  #endingCancelled({ seqs, kinds }: Of<'settle'>): readonly number[] {
    return kinds.map((kind, index) => (this.#cancelled.has(seqs[index]!) ? settleKind.done : kind))
  }

  #settleTask(operation: Of<'settle'>, index: number, transaction: Transaction): number {
    const { queue, seqs, tokens, kinds, arguments: given, reasons } = operation
    const ending = { kind: kinds[index]!, argument: given[index]!, reason: reasons[index]! }
    const lease = { queue, seq: seqs[index]!, token: tokens[index]! }
    const settled = this.#lane.settle(lease, ending, transaction, (row, reason, data) => {
      const carried = JSON.stringify({ priority: row.priority, group: row.grp })
      this.#bury.run(queue, reason, row.starts, transaction.now, row.history, carried, data)
    })
    return settled ? 1 : 0
  }

  /** What becomes of messages that were taken out of their leases, one ending for each. */
  #end(
    state: QueueState,
    run: Run,
    kind: number,
    ends: readonly { readonly argument: number | string | null; readonly reason: string | null }[],
    { now, wakeQueues }: Transaction,
    freed: Freed,
  ): void {
    const single = run.first >= firstSingle
    if (kind === settleKind.release) {
      this.#leases.add(state.id, { ...run, token: 0, due: now, starts: run.starts - 1 })
      state.nextDue = Math.min(this.#nextDue(state), now)
      wakeQueues.add(state.id)
      return
    }
    for (let seq = run.first; seq <= run.last && kind !== settleKind.done; seq++) {
      const { argument, reason } = ends[seq - run.first]!
      const before = this.#log.history(seq)
      if (kind === settleKind['dead-letter']) {
        this.#bury.run(state.id, String(argument), run.starts, now, before, null, this.#log.record(seq))
        continue
      }
      const due = now + Number(argument)
      const history = reason === null ? before : withFailure(before, run.starts, now, reason)
      // A message that waits gets a row of its own: a batch is not kept for one that fails again and again.
      if (single) {
        this.#leases.add(state.id, { ...run, first: seq, last: seq, token: 0, due, suspect: 0 })
        if (history !== null && history !== before) this.#log.setHistory(seq, history)
      } else this.#log.addSingle(state, this.#log.record(seq), due, run.starts, history)
      state.nextDue = Math.min(this.#nextDue(state), due)
      wakeQueues.add(state.id)
    }
    if (!single || kind !== settleKind.retry) freed.add(run.first, run.last)
  }

  extend({ queue, seqs, tokens, leasesMs }: Of<'extend'>, { now }: Transaction): number[] {
    const state = this.#log.state(queue)
    const ruled = this.#rules.of(queue).tasks
    const results = new Array<number>(seqs.length).fill(0)
    for (const indexes of runsOf(seqs, (a, b) => tokens[a] === tokens[b] && leasesMs[a] === leasesMs[b])) {
      const [first, last] = [indexes[0]!, indexes[indexes.length - 1]!]
      const due = now + leasesMs[first]!
      if (seqs[first]! >= firstTask) {
        for (const index of indexes)
          results[index] = this.#lane.extend(queue, seqs[index]!, tokens[index]!, due)
        continue
      }
      let next = 0
      for (const run of this.#leases.takeOut(queue, seqs[first]!, seqs[last]!, tokens[first]!)) {
        // Under rules its place may be somebody else's by now.
        const over = ruled && run.due <= now
        this.#leases.add(queue, over ? run : { ...run, due })
        if (over) continue
        state.nextDue = Math.min(this.#nextDue(state), due)
        while (seqs[indexes[next]!]! < run.first) next++
        for (let seq = run.first; seq <= run.last; seq++) results[indexes[next++]!] = 1
      }
    }
    if (this.#cancelled.any(queue))
      for (const [index, result] of results.entries())
        if (result === 1 && this.#cancelled.has(seqs[index]!)) results[index] = 2
    return results
  }

  redrive({ queue, handles }: Of<'redrive'>, transaction: Transaction): number {
    const state = this.#log.state(queue)
    const { rules } = this.#rules.of(queue)
    const asTasks = Object.keys(rules).length > 0
    let count = 0
    let pieces: Uint8Array[] = []
    let bytes = 0
    // At the end of the queue, as if they were sent now.
    const flush = () => {
      if (pieces.length > 0) this.#log.addBatch(state, join(bytes, pieces), pieces.length, transaction.now)
      pieces = []
      bytes = 0
    }
    for (const handle of handles) {
      const row = this.#dead.get(handle, queue)
      if (row === undefined) continue
      const data = row.data as Uint8Array
      if (asTasks) this.#lane.addAgain(queue, rules, row.carried as string | null, data, transaction.now)
      else {
        if (bytes + data.length > rowBytes) flush()
        pieces.push(data)
        bytes += data.length
      }
      this.#unbury.run(handle)
      count++
    }
    flush()
    if (count > 0) transaction.wakeQueues.add(queue)
    return count
  }

  count(queue: number, now: number): Answers['count'] {
    const { ready, delayed, leased } = this.#leases.count(queue, now)
    const { paused, tasks } = this.#rules.of(queue)
    const ruled = tasks ? this.#lane.tasks.count(queue, now) : { ready: 0, delayed: 0, leased: 0 }
    return {
      ready: ready + this.#log.fresh(queue) - this.#cancelled.countFresh(queue) + ruled.ready,
      delayed: delayed + ruled.delayed,
      leased: leased + ruled.leased,
      dead: Number(this.#countDead.get(queue)!.n),
      paused,
    }
  }

  deadLetters(queue: number, limit: number, after: number): Answers['deadLetters'] {
    return this.#deadAfter.all(queue, after, limit) as unknown as Answers['deadLetters']
  }

  pause({ queue, paused }: Of<'pause'>, { wakeQueues }: Transaction): null {
    this.#rules.pause(queue, paused)
    wakeQueues.add(queue)
    return null
  }

  peek({ queue, after, limit }: Extract<ReadOperation, { kind: 'peek' }>, now: number): Answers['peek'] {
    return this.#scan.page(this.#log.state(queue), after, limit, now)
  }

  /** One step of a cancellation. */
  cancel({ queue, ids, after }: Of<'cancel'>, { now, wakeQueues }: Transaction): Answers['cancel'] {
    const state = this.#log.state(queue)
    const wanted = new Map(ids.map((id, index) => [id, index]))
    const page = this.#scan.page(state, after, cancelAtOnce, now)
    const found: [number, number][] = []
    for (const { seq, state: where, data } of page) {
      const index = wanted.get(idOf(data))
      if (index === undefined) continue
      if (seq >= firstTask) {
        const row = this.#lane.tasks.row(seq)!
        found.push([index, this.#lane.tasks.cancel(row, now) === 'removed' ? 1 : 2])
      } else if (where === 'leased') {
        this.#cancelled.add(queue, seq, true)
        found.push([index, 2])
      } else {
        if (this.#leases.at(queue, seq) === undefined) this.#cancelled.add(queue, seq, false)
        else {
          this.#leases.remove(queue, seq)
          this.#drop(state, seq, seq)
        }
        found.push([index, 1])
      }
    }
    if (found.length > 0) wakeQueues.add(queue)
    return { found, next: page.length < cancelAtOnce ? null : page[page.length - 1]!.seq }
  }

  /** One step of emptying a queue. */
  purge({ queue, what, until }: Of<'purge'>, { now, wakeQueues }: Transaction): Answers['purge'] {
    const state = this.#log.state(queue)
    const end = until ?? this.#purges.end(state)
    const removed = what === 'dead' ? this.#purges.dead(queue, end) : this.#purges.waiting(state, end, now)
    state.nextDue = undefined
    wakeQueues.add(queue)
    return { removed, until: removed > 0 ? end : null }
  }

  finish(): void {
    this.#log.finish()
    this.#rules.finish()
  }

  forget(rolledBack: boolean): void {
    this.#log.forget(rolledBack)
    this.#rules.forget()
    this.#cancelled.forget()
    this.#lane.tasks.forget()
  }
}

/** Messages that are being leased together. */
class Taking {
  readonly token: number
  readonly due: number
  readonly #limit: number
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

  add(first: number, count: number, starts: number, suspect: boolean, data: Uint8Array): void {
    this.addRun(first, count, starts, suspect)
    this.pieces.push(data)
    this.bytes += data.length
    this.count += count
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
    this.runs.push(first, count, starts, suspect ? 1 : 0)
  }

  join(): Uint8Array {
    return join(this.bytes, this.pieces)
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

/** All records in one piece of memory of their own, which is handed over to the caller's thread instead of copied. */
function join(bytes: number, pieces: readonly Uint8Array[]): Uint8Array {
  const memory = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    memory.set(piece, at)
    at += piece.length
  }
  return memory
}

/**
 * The indexes of numbers, in the order of the numbers, cut into runs of numbers that follow each other and are alike.
 * The same number twice starts a new run.
 */
function runsOf(seqs: readonly number[], alike: (a: number, b: number) => boolean): number[][] {
  const order = Array.from(seqs.keys()).sort((a, b) => seqs[a]! - seqs[b]! || a - b)
  const runs: number[][] = []
  let run: number[] = []
  for (const index of order) {
    const last = run[run.length - 1]
    if (last === undefined || seqs[index] !== seqs[last]! + 1 || !alike(index, last)) {
      run = []
      runs.push(run)
    }
    run.push(index)
  }
  return runs
}

function sameRules(a: QueueRules, b: QueueRules): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function finite(time: number): number | null {
  return Number.isFinite(time) ? time : null
}

/** Joins runs that follow each other, so that batches of which each frees a part are looked at once. */
class Freed {
  readonly runs: { readonly first: number; last: number }[] = []

  add(first: number, last: number): void {
    const previous = this.runs[this.runs.length - 1]
    if (previous?.last === first - 1) previous.last = last
    else this.runs.push({ first, last })
  }
}
