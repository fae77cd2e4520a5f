// The queues of the store: what each operation does to batches, leases and dead letters.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Answers, type ClaimedBytes, settleKind, type WriteOperation } from '../wire.ts'
import { Leases, type Run } from './leases.ts'
import { firstSingle, QueueLog, type QueueState } from './queue-log.ts'
import { rowBytes } from './spans.ts'
import type { Part, Transaction } from './transaction.ts'

/** A claim stops when it has as many bytes, so that its answer is bounded. */
const claimBytes = 8 * 1024 * 1024
const dueAtOnce = 256

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

export class Queues implements Part {
  readonly #leases: Leases
  readonly #log: QueueLog
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
    this.#declare = db.prepare('INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING')
    this.#find = db.prepare('SELECT id FROM queue WHERE name = ?')
    this.#bury = db.prepare(
      'INSERT INTO queue_dead (queue, reason, starts, died_at, data) VALUES (?, ?, ?, ?, ?)',
    )
    this.#dead = db.prepare('SELECT data FROM queue_dead WHERE handle = ? AND queue = ?')
    this.#unbury = db.prepare('DELETE FROM queue_dead WHERE handle = ?')
    this.#deadAfter = db.prepare(
      `SELECT handle, reason, starts, died_at AS diedAt, data FROM queue_dead
       WHERE queue = ? AND handle > ? ORDER BY handle LIMIT ?`,
    )
    this.#countDead = db.prepare('SELECT count(*) AS n FROM queue_dead WHERE queue = ?')
  }

  declare(names: readonly string[]): number[] {
    return names.map((name) => {
      this.#declare.run(name)
      return Number(this.#find.get(name)!.id)
    })
  }

  find(name: string): number | null {
    return (this.#find.get(name)?.id as number | undefined) ?? null
  }

  send(operation: Of<'send'>, transaction: Transaction): null {
    const state = this.#log.state(operation.queue)
    const { now, slabs } = transaction
    if (operation.spans.length > 0) this.#log.append(state, operation.spans, now, slabs)
    this.#log.addSingles(state, operation.delayed, operation.delaysMs, now, slabs)
    transaction.wakeQueues.add(operation.queue)
    return null
  }

  claim({ queue, wants }: Of<'claim'>, { now }: Transaction): Answers['claim'] {
    const state = this.#log.state(queue)
    const claimed: ClaimedBytes[] = []
    let served = 0
    for (let i = 0; i < wants.length; ) {
      // Callers that ask for the same lease time are served by the same statements, and share a fencing token.
      const leaseMs = wants[i + 1]!
      const limits: number[] = []
      for (; i < wants.length && wants[i + 1] === leaseMs; i += 2) limits.push(wants[i]!)
      const limit = limits.reduce((sum, each) => sum + each, 0)
      const taking: Taking = {
        token: state.token + 1,
        due: now + leaseMs,
        count: 0,
        bytes: 0,
        runs: [],
        pieces: [],
      }
      this.#takeDue(state, taking, limit, now)
      this.#takeFresh(state, taking, limit)
      if (taking.count === 0) break
      state.token++
      state.changed = true
      if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, taking.due)
      const counts = deal(taking.count, limits)
      claimed.push({ token: taking.token, counts, runs: taking.runs, data: join(taking) })
      served += counts.length
      if (taking.count < limit) break
    }
    // Who got nothing although there is something looks again at once.
    const more = served < wants.length / 2 && this.#log.head(state) !== undefined
    const nextDue = more ? now : this.#nextDue(state)
    return { claimed, nextDue: Number.isFinite(nextDue) ? nextDue : null }
  }

  /** Messages whose lease has ended, whose retry is due, or that were given back. */
  #takeDue(state: QueueState, taking: Taking, limit: number, now: number): void {
    if (this.#nextDue(state) > now) return
    state.nextDue = undefined
    // How large they are is known only when they are read.
    const take = (seq: number): boolean => {
      const data = this.#log.record(seq)
      if (taking.count > 0 && taking.bytes + data.length > claimBytes) return false
      taking.pieces.push(data)
      taking.bytes += data.length
      taking.count++
      return true
    }
    while (taking.count < limit) {
      const few = Math.min(limit - taking.count, dueAtOnce)
      const runs = this.#leases.claimDue(state.id, few, now, taking, take)
      for (const { first, last, starts } of runs) taking.runs.push(first, last - first + 1, starts)
      if (runs.length === 0) return
    }
  }

  /** Messages that were never handed out, from the cursor on. Those that follow each other become one run. */
  #takeFresh(state: QueueState, taking: Taking, limit: number): void {
    const { token, due, runs } = taking
    const before = runs.length
    while (taking.count < limit && taking.bytes < claimBytes) {
      const head = this.#log.head(state)
      if (head === undefined) break
      const { data, offsets } = this.#log.batch(head)
      const from = state.cursor - head.base
      let to = Math.min(from + limit - taking.count, head.end - head.base)
      while (to > from + 1 && taking.bytes + offsets[to]! - offsets[from]! > claimBytes) to--
      const last = runs.length - 3
      if (last >= before && runs[last]! + runs[last + 1]! === state.cursor) runs[last + 1]! += to - from
      else runs.push(state.cursor, to - from, 1)
      taking.count += to - from
      taking.pieces.push(data.subarray(offsets[from]!, offsets[to]!))
      taking.bytes += offsets[to]! - offsets[from]!
      state.cursor = head.base + to
      state.changed = true
    }
    for (let i = before; i < runs.length; i += 3) {
      const first = runs[i]!
      this.#leases.add(state.id, { first, last: first + runs[i + 1]! - 1, token, due, starts: 1 })
    }
  }

  #nextDue(state: QueueState): number {
    state.nextDue ??= this.#leases.firstDue(state.id)
    return state.nextDue
  }

  /** Whether there is something to claim as far as is known, which another process may have changed. */
  hasLikely(queue: number, now: number): boolean {
    const state = this.#log.known(queue)
    return state !== undefined && (state.cursor < state.end || (state.nextDue ?? now) <= now)
  }

  /** The answer to a claim that finds nothing; undefined when it would find something. */
  nothingToClaim(queue: number, now: number): Answers['claim'] | undefined {
    const state = this.#log.state(queue)
    const nextDue = this.#nextDue(state)
    if (nextDue <= now || this.#log.head(state) !== undefined) return undefined
    return { claimed: [], nextDue: Number.isFinite(nextDue) ? nextDue : null }
  }

  settle(operation: Of<'settle'>, transaction: Transaction): number[] {
    const { seqs, tokens, kinds } = operation
    const state = this.#log.state(operation.queue)
    const results = new Array<number>(seqs.length).fill(0)
    const freed = new Freed()
    for (const indexes of runsOf(seqs, (a, b) => tokens[a] === tokens[b] && kinds[a] === kinds[b])) {
      const [first, last] = [indexes[0]!, indexes[indexes.length - 1]!]
      let next = 0
      for (const run of this.#leases.takeOut(state.id, seqs[first]!, seqs[last]!, tokens[first]!)) {
        while (seqs[indexes[next]!]! < run.first) next++
        const settled = indexes.slice(next, next + run.last - run.first + 1)
        for (const index of settled) results[index] = 1
        this.#end(
          state,
          run,
          kinds[first]!,
          settled.map((index) => operation.arguments[index]!),
          transaction,
          freed,
        )
      }
    }
    // Only now: until here messages of these batches are read.
    for (const { first, last } of freed.runs) this.#log.collect(state, first, last)
    return results
  }

  /** What becomes of messages that were taken out of their leases, one argument for each. */
  #end(
    state: QueueState,
    run: Run,
    kind: number,
    given: readonly (number | string | null)[],
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
      const argument = given[seq - run.first]
      if (kind === settleKind['dead-letter']) {
        this.#bury.run(state.id, String(argument), run.starts, now, this.#log.record(seq))
        continue
      }
      const due = now + Number(argument)
      // A message that waits gets a row of its own: a batch is not kept for one that fails again and again.
      if (single) this.#leases.add(state.id, { ...run, first: seq, last: seq, token: 0, due })
      else this.#log.addSingle(state, this.#log.record(seq), due, run.starts)
      state.nextDue = Math.min(this.#nextDue(state), due)
      wakeQueues.add(state.id)
    }
    if (!single) freed.add(run.first, run.last)
    else if (kind !== settleKind.retry) this.#log.deleteSingles(run.first, run.last)
  }

  extend({ queue, seqs, tokens, leasesMs }: Of<'extend'>, { now }: Transaction): number[] {
    const state = this.#log.state(queue)
    const results = new Array<number>(seqs.length).fill(0)
    for (const indexes of runsOf(seqs, (a, b) => tokens[a] === tokens[b] && leasesMs[a] === leasesMs[b])) {
      const [first, last] = [indexes[0]!, indexes[indexes.length - 1]!]
      const due = now + leasesMs[first]!
      let next = 0
      for (const run of this.#leases.takeOut(queue, seqs[first]!, seqs[last]!, tokens[first]!)) {
        this.#leases.add(queue, { ...run, due })
        state.nextDue = Math.min(this.#nextDue(state), due)
        while (seqs[indexes[next]!]! < run.first) next++
        for (let seq = run.first; seq <= run.last; seq++) results[indexes[next++]!] = 1
      }
    }
    return results
  }

  redrive({ queue, handles }: Of<'redrive'>, transaction: Transaction): number {
    const state = this.#log.state(queue)
    let count = 0
    let pieces: Uint8Array[] = []
    let bytes = 0
    // At the end of the queue, as if they were sent now.
    const flush = () => {
      if (pieces.length > 0)
        this.#log.addBatch(state, join({ bytes, pieces }), pieces.length, transaction.now)
      pieces = []
      bytes = 0
    }
    for (const handle of handles) {
      const row = this.#dead.get(handle, queue)
      if (row === undefined) continue
      const data = row.data as Uint8Array
      if (bytes + data.length > rowBytes) flush()
      pieces.push(data)
      bytes += data.length
      this.#unbury.run(handle)
      count++
    }
    flush()
    if (count > 0) transaction.wakeQueues.add(queue)
    return count
  }

  count(queue: number, now: number): Answers['count'] {
    const { ready, delayed, leased } = this.#leases.count(queue, now)
    return {
      ready: ready + this.#log.fresh(queue),
      delayed,
      leased,
      dead: Number(this.#countDead.get(queue)!.n),
    }
  }

  deadLetters(queue: number, limit: number, after: number): Answers['deadLetters'] {
    return this.#deadAfter.all(queue, after, limit) as unknown as Answers['deadLetters']
  }

  finish(): void {
    this.#log.finish()
  }

  forget(rolledBack: boolean): void {
    this.#log.forget(rolledBack)
  }
}

/** Messages that are being leased together. */
interface Taking {
  readonly token: number
  readonly due: number
  count: number
  bytes: number
  /** As in the answer. */
  readonly runs: number[]
  /** Their records, one or many in a piece, in the same order. */
  readonly pieces: Uint8Array[]
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
function join({ bytes, pieces }: Pick<Taking, 'bytes' | 'pieces'>): Uint8Array {
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

/** Joins runs that follow each other, so that batches of which each frees a part are looked at once. */
class Freed {
  readonly runs: { readonly first: number; last: number }[] = []

  add(first: number, last: number): void {
    const previous = this.runs[this.runs.length - 1]
    if (previous?.last === first - 1) previous.last = last
    else this.runs.push({ first, last })
  }
}
