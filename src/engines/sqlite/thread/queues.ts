// The queues of the store: what each operation does to batches, leases and dead letters.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SpillwayError } from '../../../core/errors.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import type { WhichSchedules } from '../../../ports/queue-schedules.ts'
import { idOf, redriven } from '../record.ts'
import {
  type Answers,
  type DeadBytes,
  type QueueFacts,
  type ReadOperation,
  settleKind,
  type WriteOperation,
} from '../wire.ts'
import { Cancelled } from './cancelled.ts'
import { Leases, type Run } from './leases.ts'
import { Purges } from './purges.ts'
import { QueueClaims } from './queue-claims.ts'
import { firstSingle, QueueLog, type QueueState } from './queue-log.ts'
import { pageBytes, QueueScan } from './queue-scan.ts'
import { Schedules } from './schedules.ts'
import { joined, rowBytes } from './spans.ts'
import { TaskLane } from './task-lane.ts'
import { TaskRules } from './task-rules.ts'
import { firstTask, withFailure } from './tasks.ts'
import type { Part, Transaction } from './transaction.ts'

/** Counting goes over the rows: of so many it is remembered for as long as it took, and more, at most for a second. */
const manyMessages = 50_000
const rest = 20
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
  readonly claims: QueueClaims
  readonly #purges: Purges
  readonly #schedules: Schedules
  readonly #declare: StatementSync
  readonly #find: StatementSync
  readonly #bury: StatementSync
  readonly #dead: StatementSync
  readonly #unbury: StatementSync
  readonly #deadAfter: StatementSync
  readonly #countDead: StatementSync
  /** The last count of large queues, and until when it is good enough. */
  readonly #counted = new Map<number, { readonly until: number; readonly counts: Answers['count'] }>()

  constructor(db: DatabaseSync) {
    this.#leases = new Leases(db)
    this.#log = new QueueLog(db, this.#leases)
    this.#cancelled = new Cancelled(db)
    this.#rules = new TaskRules(db)
    this.#lane = new TaskLane(db)
    this.claims = new QueueClaims(this.#log, this.#leases, this.#cancelled, this.#rules, this.#lane)
    this.#scan = new QueueScan(this.#log, this.#leases, this.#cancelled, this.#lane.tasks)
    this.#purges = new Purges(db, this.#log, this.#leases, this.#cancelled, this.#lane.tasks)
    this.#schedules = new Schedules(db)
    this.#declare = db.prepare('INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING')
    this.#find = db.prepare('SELECT id FROM queue WHERE name = ?')
    this.#bury = db.prepare(
      `INSERT INTO queue_dead (queue, reason, starts, died_at, history, carried, flow, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#dead = db.prepare('SELECT data, carried, flow FROM queue_dead WHERE handle = ? AND queue = ?')
    this.#unbury = db.prepare('DELETE FROM queue_dead WHERE handle = ?')
    this.#deadAfter = db.prepare(
      `SELECT handle, reason, starts, died_at AS diedAt, history, data FROM queue_dead
       WHERE queue = ? AND handle > ? ORDER BY handle LIMIT ?`,
    )
    this.#countDead = db.prepare('SELECT count(*) AS n FROM queue_dead WHERE queue = ?')
  }

  declare({ names, rules }: Of<'declareQueues'>, { now, wakeQueues }: Transaction): QueueFacts[] {
    if (rules !== null) for (const name of names) this.#checkOrder(name, rules)
    return names.map((name) => {
      this.#declare.run(name)
      const id = Number(this.#find.get(name)!.id)
      if (rules !== null && !sameRules(rules, this.#rules.of(id).rules)) {
        this.#lane.tasks.forgetCarried(id, rules, now)
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
    return this.#lane.send(this.#rules.of(queue), tasks, extras, now, slabs)
  }

  putSchedule(operation: Of<'putSchedule'>, transaction: Transaction): Answers['putSchedule'] {
    return this.#schedules.put(operation, () => this.send(operation.send, transaction))
  }

  removeSchedule({ queue, name }: Of<'removeSchedule'>): boolean {
    return this.#schedules.remove(queue, name)
  }

  schedules(queue: number, which: WhichSchedules, now: number): Answers['schedules'] {
    return this.#schedules.list(queue, which, now, this.#rules.of(queue).paused)
  }

  settle(operation: Of<'settle'>, transaction: Transaction): number[] {
    const { queue, seqs, tokens } = operation
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
        this.#end(state, run, kinds[first]!, operation, settled, transaction, freed)
      }
    }
    // Only now: until here messages of these batches are read.
    for (const { first, last } of freed.runs) this.#gone(state, first, last)
    // Under rules an ending makes room for others.
    if (this.#rules.of(queue).tasks) transaction.wakeQueues.add(queue)
    return results
  }

  /** Messages without a lease are gone. */
  #gone(state: QueueState, first: number, last: number): void {
    this.#cancelled.gone(state.id, first, last)
    this.#lane.tasks.progress.gone(state.id, first, last)
    this.#log.drop(state, first, last)
  }

  /** Whatever was to become of messages that were cancelled meanwhile, they are gone. */
  #endingCancelled({ seqs, kinds }: Of<'settle'>): readonly number[] {
    return kinds.map((kind, index) => (this.#cancelled.has(seqs[index]!) ? settleKind.done : kind))
  }

  #settleTask(operation: Of<'settle'>, index: number, transaction: Transaction): number {
    const { queue, seqs, tokens, kinds, arguments: given, reasons } = operation
    const ending = { kind: kinds[index]!, argument: given[index]!, reason: reasons[index]! }
    const lease = { queue, seq: seqs[index]!, token: tokens[index]! }
    const settled = this.#lane.settle(
      this.#rules.of(queue),
      lease,
      ending,
      transaction,
      (row, reason, data) => {
        const carried = JSON.stringify({ priority: row.priority, group: row.grp })
        this.#bury.run(queue, reason, row.starts, transaction.now, row.history, carried, row.flow, data)
      },
    )
    return settled ? 1 : 0
  }

  /** What becomes of messages that were taken out of their leases: `settled` are their indexes in the operation. */
  #end(
    state: QueueState,
    run: Run,
    kind: number,
    { arguments: given, reasons }: Of<'settle'>,
    settled: readonly number[],
    { now, wakeQueues }: Transaction,
    freed: Freed,
  ): void {
    const single = run.first >= firstSingle
    if (kind === settleKind.release) {
      this.#leases.add(state.id, { ...run, token: 0, due: now, starts: run.starts - 1 })
      state.nextDue = Math.min(this.claims.nextDue(state), now)
      wakeQueues.add(state.id)
      return
    }
    if (kind === settleKind.done && this.#rules.of(state.id).rules.finished !== undefined)
      for (let seq = run.first; seq <= run.last; seq++)
        if (!this.#cancelled.any(state.id) || !this.#cancelled.has(seq))
          this.#lane.finished.add(state.id, run.starts, now, this.#log.record(seq))
    for (let seq = run.first; seq <= run.last && kind !== settleKind.done; seq++) {
      const index = settled[seq - run.first]!
      const [argument, reason] = [given[index]!, reasons[index]!]
      const before = this.#log.history(seq)
      if (kind === settleKind['dead-letter']) {
        this.#bury.run(state.id, String(argument), run.starts, now, before, null, null, this.#log.record(seq))
        continue
      }
      const due = now + Number(argument)
      const history = reason === null ? before : withFailure(before, run.starts, now, reason)
      // A message that waits gets a row of its own: a batch is not kept for one that fails again and again.
      if (single) {
        this.#leases.add(state.id, { ...run, first: seq, last: seq, token: 0, due, suspect: 0 })
        if (history !== null && history !== before) this.#log.setHistory(seq, history)
      } else this.#log.addSingle(state, this.#log.record(seq), due, run.starts, history)
      state.nextDue = Math.min(this.claims.nextDue(state), due)
      wakeQueues.add(state.id)
    }
    if (!single || kind !== settleKind.retry) freed.add(run.first, run.last)
  }

  extend({ queue, seqs, tokens, leasesMs, progress }: Of<'extend'>, { now }: Transaction): number[] {
    const state = this.#log.state(queue)
    const ruled = this.#rules.of(queue).tasks
    const results = new Array<number>(seqs.length).fill(0)
    for (const indexes of runsOf(seqs, (a, b) => tokens[a] === tokens[b] && leasesMs[a] === leasesMs[b])) {
      const [first, last] = [indexes[0]!, indexes[indexes.length - 1]!]
      const due = now + leasesMs[first]!
      if (seqs[first]! >= firstTask) {
        for (const index of indexes)
          results[index] = this.#lane.extend(queue, seqs[index]!, tokens[index]!, due, now)
        continue
      }
      let next = 0
      for (const run of this.#leases.takeOut(queue, seqs[first]!, seqs[last]!, tokens[first]!)) {
        // Under rules its place may be somebody else's by now; and what was cancelled is gone with its lease.
        const over = run.due <= now && (ruled || this.#cancelled.anyIn(run.first, run.last))
        this.#leases.add(queue, over ? run : { ...run, due })
        if (over) continue
        state.nextDue = Math.min(this.claims.nextDue(state), due)
        while (seqs[indexes[next]!]! < run.first) next++
        for (let seq = run.first; seq <= run.last; seq++) results[indexes[next++]!] = 1
      }
    }
    for (const [index, value] of progress)
      if (results[index]! > 0) this.#lane.tasks.progress.set(queue, seqs[index]!, tokens[index]!, value)
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
      if (pieces.length > 0) this.#log.addBatch(state, joined(bytes, pieces), pieces.length, transaction.now)
      pieces = []
      bytes = 0
    }
    for (const handle of handles) {
      const row = this.#dead.get(handle, queue)
      if (row === undefined) continue
      const data = redriven(row.data as Uint8Array, transaction.now)
      const { carried, flow } = row as { carried: string | null; flow: string | null }
      if (asTasks || flow !== null)
        this.#lane.addAgain(queue, rules, { carried, flow }, data, transaction.now)
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
    const { paused } = this.#rules.of(queue)
    const begun = performance.now()
    const known = this.#counted.get(queue)
    if (known !== undefined && begun < known.until) return { ...known.counts, paused }
    const counts = this.#count(queue, now)
    const ended = performance.now()
    const { ready, delayed, waiting, leased, dead } = counts
    if (ready + delayed + waiting + leased + dead < manyMessages) this.#counted.delete(queue)
    else this.#counted.set(queue, { until: ended + Math.min(1_000, (ended - begun) * rest), counts })
    return counts
  }

  #count(queue: number, now: number): Answers['count'] {
    const { ready, delayed, leased } = this.#leases.count(queue, now)
    const { paused, tasks } = this.#rules.of(queue)
    const ruled = tasks ? this.#lane.tasks.count(queue, now) : { ready: 0, delayed: 0, waiting: 0, leased: 0 }
    return {
      ready:
        ready +
        this.#log.fresh(queue) -
        this.#cancelled.countFresh(queue) -
        this.#cancelledAndOver(queue, now) +
        ruled.ready,
      delayed: delayed + ruled.delayed,
      waiting: ruled.waiting,
      leased: leased + ruled.leased,
      dead: Number(this.#countDead.get(queue)!.n),
      paused,
    }
  }

  /** Cancelled while they were held: gone with their lease, though nobody may have looked since. */
  #cancelledAndOver(queue: number, now: number): number {
    if (!this.#cancelled.any(queue)) return 0
    return this.#cancelled
      .leased(queue)
      .filter((seq) => (this.#leases.at(queue, seq)?.due ?? Number.POSITIVE_INFINITY) <= now).length
  }

  deadLetters(queue: number, limit: number, after: number): Answers['deadLetters'] {
    const page: DeadBytes[] = []
    let bytes = 0
    for (const row of this.#deadAfter.iterate(
      queue,
      after,
      limit,
    ) as Iterable<unknown> as Iterable<DeadBytes>) {
      page.push(row)
      bytes += row.data.length
      if (bytes >= pageBytes) break
    }
    return page
  }

  pause({ queue, paused }: Of<'pause'>, { wakeQueues }: Transaction): null {
    this.#rules.pause(queue, paused)
    wakeQueues.add(queue)
    return null
  }

  peek({ queue, after, limit }: Extract<ReadOperation, { kind: 'peek' }>, now: number): Answers['peek'] {
    return this.#scan.page(this.#log.state(queue), after, limit, now).messages
  }

  /** One step of a cancellation. */
  cancel({ queue, ids, after }: Of<'cancel'>, { now, wakeQueues }: Transaction): Answers['cancel'] {
    const state = this.#log.state(queue)
    const wanted = new Map(ids.map((id, index) => [id, index]))
    const { messages, next } = this.#scan.page(state, after, cancelAtOnce, now)
    const found: [number, number][] = []
    for (const { seq, state: where, data } of messages) {
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
          this.#gone(state, seq, seq)
        }
        found.push([index, 1])
      }
    }
    if (found.length > 0) wakeQueues.add(queue)
    return { found, next }
  }

  /** One step of emptying a queue. */
  purge({ queue, what, until }: Of<'purge'>, { now, wakeQueues }: Transaction): Answers['purge'] {
    const state = this.#log.state(queue)
    const end = until ?? this.#purges.begin(state)
    const { removed, more } =
      what === 'dead' ? this.#purges.dead(queue, end, now) : this.#purges.waiting(state, end, now)
    state.nextDue = undefined
    wakeQueues.add(queue)
    return { removed, until: more ? end : null }
  }

  finished(
    { queue, before, limit }: Extract<ReadOperation, { kind: 'finished' }>,
    now: number,
  ): Answers['finished'] {
    return this.#lane.finished.page(queue, this.#rules.of(queue).rules.finished, { before, limit }, now)
  }

  trimFinished({ queue }: Of<'trimFinished'>, { now }: Transaction): number {
    return this.#lane.finished.trim(queue, this.#rules.of(queue).rules.finished, now)
  }

  finish({ wakeQueues }: Transaction): void {
    for (const queue of this.#lane.tasks.flows.woken) wakeQueues.add(queue)
    this.#lane.tasks.flows.woken.clear()
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

/** Joins runs that follow each other, so that batches of which each frees a part are looked at once. */
class Freed {
  readonly runs: { readonly first: number; last: number }[] = []

  add(first: number, last: number): void {
    const previous = this.runs[this.runs.length - 1]
    if (previous?.last === first - 1) previous.last = last
    else this.runs.push({ first, last })
  }
}
