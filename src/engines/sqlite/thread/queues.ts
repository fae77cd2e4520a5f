// The queues of the store: what each operation does to batches, leases and dead letters.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { offsetsOf } from '../record.ts'
import { type Answers, type ClaimedBytes, settleKind, type WriteOperation } from '../wire.ts'
import { firstSingle, QueueLog, type QueueState } from './queue-log.ts'
import type { Part, Transaction } from './transaction.ts'

/** A claim stops when it has as many bytes, so that its answer is bounded. */
const claimBytes = 8 * 1024 * 1024

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

export class Queues implements Part {
  readonly #log: QueueLog
  readonly #declare: StatementSync
  readonly #find: StatementSync
  readonly #due: StatementSync
  readonly #firstDue: StatementSync
  readonly #leaseRange: StatementSync
  readonly #lease: StatementSync
  readonly #heldInRange: StatementSync
  readonly #endRange: StatementSync
  readonly #held: StatementSync
  readonly #end: StatementSync
  readonly #wait: StatementSync
  readonly #extend: StatementSync
  readonly #bury: StatementSync
  readonly #dead: StatementSync
  readonly #unbury: StatementSync
  readonly #deadAfter: StatementSync
  readonly #countLeases: StatementSync
  readonly #countDead: StatementSync

  constructor(db: DatabaseSync) {
    this.#log = new QueueLog(db)
    this.#declare = db.prepare('INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING')
    this.#find = db.prepare('SELECT id FROM queue WHERE name = ?')
    this.#due = db.prepare('SELECT seq, starts FROM lease WHERE queue = ? AND due <= ? ORDER BY due LIMIT ?')
    this.#firstDue = db.prepare('SELECT min(due) AS due FROM lease WHERE queue = ?')
    this.#leaseRange = db.prepare(
      `WITH RECURSIVE run (seq) AS (VALUES (?1) UNION ALL SELECT seq + 1 FROM run WHERE seq < ?2)
       INSERT INTO lease (seq, queue, token, due, starts) SELECT seq, ?3, ?4, ?5, 1 FROM run`,
    )
    this.#lease = db.prepare('UPDATE lease SET token = ?, due = ?, starts = starts + 1 WHERE seq = ?')
    this.#heldInRange = db.prepare(
      'SELECT count(*) AS n FROM lease WHERE seq BETWEEN ? AND ? AND token = ? AND queue = ?',
    )
    this.#endRange = db.prepare('DELETE FROM lease WHERE seq BETWEEN ? AND ?')
    this.#held = db.prepare('SELECT starts FROM lease WHERE seq = ? AND token = ? AND queue = ?')
    this.#end = db.prepare('DELETE FROM lease WHERE seq = ? AND token = ? AND queue = ?')
    this.#wait = db.prepare('UPDATE lease SET token = 0, due = ?, starts = ? WHERE seq = ?')
    this.#extend = db.prepare('UPDATE lease SET due = ? WHERE seq = ? AND token = ? AND queue = ?')
    this.#bury = db.prepare(
      'INSERT INTO queue_dead (queue, reason, starts, died_at, data) VALUES (?, ?, ?, ?, ?)',
    )
    this.#dead = db.prepare('SELECT data FROM queue_dead WHERE handle = ? AND queue = ?')
    this.#unbury = db.prepare('DELETE FROM queue_dead WHERE handle = ?')
    this.#deadAfter = db.prepare(
      `SELECT handle, reason, starts, died_at AS diedAt, data FROM queue_dead
       WHERE queue = ? AND handle > ? ORDER BY handle LIMIT ?`,
    )
    this.#countLeases = db.prepare(
      `SELECT coalesce(sum(token = 0 AND due > ?1), 0) AS delayed, coalesce(sum(token > 0 AND due > ?1), 0) AS leased,
              coalesce(sum(due <= ?1), 0) AS ready FROM lease WHERE queue = ?2`,
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
    const grants: ClaimedBytes[] = []
    for (let i = 0; i < wants.length; ) {
      // Callers that ask for the same lease time are served by the same statements, and share a fencing token.
      const leaseMs = wants[i + 1]!
      const limits: number[] = []
      for (; i < wants.length && wants[i + 1] === leaseMs; i += 2) limits.push(wants[i]!)
      const limit = limits.reduce((sum, each) => sum + each, 0)
      const taking: Taking = {
        token: state.token + 1,
        due: now + leaseMs,
        seqs: [],
        starts: [],
        pieces: [],
        bytes: 0,
      }
      this.#takeDue(state, taking, limit, now)
      this.#takeFresh(state, taking, limit)
      if (taking.seqs.length === 0) break
      state.token++
      state.changed = true
      if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, taking.due)
      share(taking, limits, grants)
      if (taking.seqs.length < limit) break
    }
    // Who got nothing although there was something looks again at once.
    const more = grants.length > 0 && grants.length < wants.length / 2 && this.#log.head(state) !== undefined
    const nextDue = more ? now : this.#nextDue(state)
    return { grants, nextDue: Number.isFinite(nextDue) ? nextDue : null }
  }

  /** Messages whose lease has ended, whose retry is due, or that were given back. */
  #takeDue(state: QueueState, taking: Taking, limit: number, now: number): void {
    if (this.#nextDue(state) > now) return
    for (const row of this.#due.all(state.id, now, limit)) {
      const seq = Number(row.seq)
      const data = this.#log.record(seq)
      if (taking.bytes > 0 && taking.bytes + data.length > claimBytes) break
      this.#lease.run(taking.token, taking.due, seq)
      taking.seqs.push(seq)
      taking.starts.push(Number(row.starts) + 1)
      taking.pieces.push(data)
      taking.bytes += data.length
    }
    state.nextDue = undefined
  }

  /** Messages that were never handed out, from the cursor on. */
  #takeFresh(state: QueueState, taking: Taking, limit: number): void {
    while (taking.seqs.length < limit && taking.bytes < claimBytes) {
      const head = this.#log.head(state)
      if (head === undefined) return
      const { data, offsets } = this.#log.batch(head)
      const first = state.cursor
      const from = first - head.base
      let to = Math.min(from + limit - taking.seqs.length, head.end - head.base)
      while (to > from + 1 && taking.bytes + offsets[to]! - offsets[from]! > claimBytes) to--
      this.#leaseRange.run(first, head.base + to - 1, state.id, taking.token, taking.due)
      for (let seq = first; seq < head.base + to; seq++) {
        taking.seqs.push(seq)
        taking.starts.push(1)
      }
      taking.pieces.push(data.subarray(offsets[from]!, offsets[to]!))
      taking.bytes += offsets[to]! - offsets[from]!
      state.cursor = head.base + to
      state.changed = true
    }
  }

  #nextDue(state: QueueState): number {
    state.nextDue ??= (this.#firstDue.get(state.id)!.due as number | null) ?? Number.POSITIVE_INFINITY
    return state.nextDue
  }

  settle(operation: Of<'settle'>, transaction: Transaction): number[] {
    const { seqs, tokens, kinds } = operation
    const state = this.#log.state(operation.queue)
    const results = new Array<number>(seqs.length).fill(0)
    const order = Array.from(seqs.keys()).sort((a, b) => seqs[a]! - seqs[b]! || a - b)
    const freed: number[] = []
    for (let i = 0; i < order.length; ) {
      const first = order[i]!
      let next = i + 1
      // Messages that were claimed together are mostly done together: one statement ends a run of them.
      if (kinds[first] === settleKind.done && seqs[first]! < firstSingle && tokens[first]! > 0)
        while (
          next < order.length &&
          seqs[order[next]!] === seqs[order[next - 1]!]! + 1 &&
          tokens[order[next]!] === tokens[first] &&
          kinds[order[next]!] === settleKind.done
        )
          next++
      const last = order[next - 1]!
      if (next - i > 1 && this.#holdsAll(state, seqs[first]!, seqs[last]!, tokens[first]!)) {
        this.#endRange.run(seqs[first]!, seqs[last]!)
        for (; i < next; i++) results[order[i]!] = 1
        freed.push(seqs[first]!, seqs[last]!)
        continue
      }
      for (; i < next; i++)
        results[order[i]!] = this.#settleOne(state, operation, order[i]!, freed, transaction)
    }
    this.#log.collect(state, freed)
    return results
  }

  #holdsAll(state: QueueState, first: number, last: number, token: number): boolean {
    return Number(this.#heldInRange.get(first, last, token, state.id)!.n) === last - first + 1
  }

  #settleOne(
    state: QueueState,
    operation: Of<'settle'>,
    index: number,
    freed: number[],
    transaction: Transaction,
  ): number {
    const seq = operation.seqs[index]!
    const token = operation.tokens[index]!
    const kind = operation.kinds[index]!
    const argument = operation.arguments[index]
    const single = seq >= firstSingle
    if (token <= 0) return 0
    if (kind === settleKind.done) {
      if (Number(this.#end.run(seq, token, state.id).changes) === 0) return 0
      if (single) this.#log.deleteSingle(seq)
      else freed.push(seq, seq)
      return 1
    }
    const held = this.#held.get(seq, token, state.id)
    if (held === undefined) return 0
    const starts = Number(held.starts)
    if (kind === settleKind.release || (kind === settleKind.retry && single)) {
      const due = kind === settleKind.release ? transaction.now : transaction.now + Number(argument)
      this.#wait.run(due, kind === settleKind.release ? starts - 1 : starts, seq)
      if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, due)
      transaction.wakeQueues.add(state.id)
      return 1
    }
    const data = this.#log.record(seq)
    // A message that waits gets a row of its own: a batch is not kept for one that fails again and again.
    if (kind === settleKind.retry) {
      this.#log.addSingle(state, data, transaction.now + Number(argument), starts)
      transaction.wakeQueues.add(state.id)
    } else this.#bury.run(state.id, String(argument), starts, transaction.now, data)
    this.#end.run(seq, token, state.id)
    if (single) this.#log.deleteSingle(seq)
    else freed.push(seq, seq)
    return 1
  }

  extend({ queue, seqs, tokens, leasesMs }: Of<'extend'>, { now }: Transaction): number[] {
    const state = this.#log.state(queue)
    return seqs.map((seq, index) => {
      const due = now + leasesMs[index]!
      const token = tokens[index]!
      if (token <= 0 || Number(this.#extend.run(due, seq, token, queue).changes) === 0) return 0
      if (state.nextDue !== undefined) state.nextDue = Math.min(state.nextDue, due)
      return 1
    })
  }

  redrive({ queue, handles }: Of<'redrive'>, transaction: Transaction): number {
    const state = this.#log.state(queue)
    let count = 0
    for (const handle of handles) {
      const row = this.#dead.get(handle, queue)
      if (row === undefined) continue
      this.#log.addSingle(state, row.data as Uint8Array, transaction.now, 0)
      this.#unbury.run(handle)
      count++
    }
    if (count > 0) transaction.wakeQueues.add(queue)
    return count
  }

  count(queue: number, now: number): Answers['count'] {
    const leases = this.#countLeases.get(now, queue)!
    return {
      ready: Number(leases.ready) + this.#log.fresh(queue),
      delayed: Number(leases.delayed),
      leased: Number(leases.leased),
      dead: Number(this.#countDead.get(queue)!.n),
    }
  }

  deadLetters(queue: number, limit: number, after: number): Answers['deadLetters'] {
    return this.#deadAfter.all(queue, after, limit) as unknown as Answers['deadLetters']
  }

  finish(): void {
    this.#log.finish()
  }

  forget(): void {
    this.#log.forget()
  }
}

/** Messages that are being leased together. */
interface Taking {
  readonly token: number
  readonly due: number
  readonly seqs: number[]
  readonly starts: number[]
  /** Their records, one or many in a piece, in the same order. */
  readonly pieces: Uint8Array[]
  bytes: number
}

/** Deals the messages out to the callers, in one piece of memory, which is handed over instead of copied. */
function share(taking: Taking, limits: readonly number[], grants: ClaimedBytes[]): void {
  const { token, seqs, starts, pieces, bytes } = taking
  const memory = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    memory.set(piece, at)
    at += piece.length
  }
  const offsets = limits.length === 1 ? undefined : offsetsOf(memory, seqs.length)
  let from = 0
  for (const limit of limits) {
    const to = Math.min(from + limit, seqs.length)
    if (to === from) return
    grants.push({
      token,
      seqs: seqs.slice(from, to),
      starts: starts.slice(from, to),
      data: offsets === undefined ? memory : memory.subarray(offsets[from]!, offsets[to]!),
    })
    from = to
  }
}
