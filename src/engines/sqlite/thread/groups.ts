// Consumer groups: who is a member, which partition is whose, how far the group is. All state is in the file; a member's
// heartbeat comes from this thread, whatever its handlers do. Whoever notices a change shares the partitions out anew.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { MemberNotice, WriteOperation } from '../wire.ts'
import { type PartitionState, shareOut } from './share-out.ts'
import type { Part, Transaction } from './transaction.ts'

type Of<Kind extends WriteOperation['kind']> = Extract<WriteOperation, { kind: Kind }>

/** A member that lives in this process. */
interface Member {
  readonly name: number
  readonly group: number
  readonly sessionMs: number
  /** Its row. A member that was declared dead comes back with a new one. */
  id: number
  beatAt: number
  /** Its owner is gone; its row may still be there, if it could not be deleted. */
  left: boolean
  /** What its owner was told that it has. */
  readonly told: Map<number, { readonly generation: number; revoking: boolean }>
}

type Row = ReturnType<StatementSync['all']>[number]

export class Groups implements Part {
  readonly #members = new Map<number, Member>()
  /** Makes of what the transaction under way changed here what it was, if that comes to nothing. */
  #undo: (() => void)[] = []
  /**
   * When something is due in one of our groups: a heartbeat, somebody's death, the end of a revocation. A time of
   * `performance`: the clock of the system, which the file goes by, may be put back.
   */
  nextTick: number = Number.POSITIVE_INFINITY
  readonly #declare: StatementSync
  readonly #find: StatementSync
  readonly #addPartition: StatementSync
  readonly #addMember: StatementSync
  readonly #beat: StatementSync
  readonly #removeMember: StatementSync
  readonly #removeDead: StatementSync
  readonly #notBeyond: StatementSync
  readonly #memberRows: StatementSync
  readonly #partitionRows: StatementSync
  readonly #free: StatementSync
  readonly #revoke: StatementSync
  readonly #give: StatementSync
  readonly #ofMember: StatementSync
  readonly #freeOf: StatementSync
  readonly #freeAll: StatementSync
  readonly #commit: StatementSync
  readonly #committed: StatementSync
  readonly #nextEvent: StatementSync

  constructor(db: DatabaseSync) {
    this.#declare = db.prepare('INSERT INTO stream_group (stream, name) VALUES (?, ?) ON CONFLICT DO NOTHING')
    this.#find = db.prepare('SELECT id FROM stream_group WHERE stream = ? AND name = ?')
    this.#addPartition = db.prepare(
      `INSERT INTO group_partition (grp, partition, member, generation, revoke_by, committed)
       VALUES (?, ?, NULL, 0, NULL, NULL) ON CONFLICT DO NOTHING`,
    )
    this.#addMember = db.prepare('INSERT INTO group_member (grp, expires, session_ms) VALUES (?, ?, ?)')
    this.#beat = db.prepare('UPDATE group_member SET expires = ? WHERE id = ?')
    this.#removeMember = db.prepare('DELETE FROM group_member WHERE id = ?')
    this.#removeDead = db.prepare('DELETE FROM group_member WHERE grp = ? AND expires <= ?')
    this.#notBeyond = db.prepare(
      'UPDATE group_member SET expires = ?1 + session_ms WHERE grp = ?2 AND expires > ?1 + session_ms',
    )
    this.#memberRows = db.prepare('SELECT id, session_ms FROM group_member WHERE grp = ? ORDER BY id')
    this.#partitionRows = db.prepare(
      'SELECT partition, member, revoke_by AS revokeBy FROM group_partition WHERE grp = ? ORDER BY partition',
    )
    this.#free = db.prepare(
      'UPDATE group_partition SET member = NULL, revoke_by = NULL WHERE grp = ? AND partition = ?',
    )
    this.#revoke = db.prepare('UPDATE group_partition SET revoke_by = ? WHERE grp = ? AND partition = ?')
    this.#give = db.prepare(
      `UPDATE group_partition SET member = ?, generation = generation + 1, revoke_by = NULL
       WHERE grp = ? AND partition = ?`,
    )
    this.#ofMember = db.prepare(
      `SELECT partition, generation, revoke_by AS revokeBy, committed FROM group_partition
       WHERE grp = ? AND member = ? ORDER BY partition`,
    )
    this.#freeOf = db.prepare(
      `UPDATE group_partition SET member = NULL, revoke_by = NULL
       WHERE grp = ? AND partition = ? AND member = ? AND generation = ?`,
    )
    this.#freeAll = db.prepare(
      'UPDATE group_partition SET member = NULL, revoke_by = NULL WHERE grp = ? AND member = ?',
    )
    this.#commit = db.prepare(
      `UPDATE group_partition SET committed = ? WHERE grp = ? AND partition = ? AND member = ? AND generation = ?`,
    )
    this.#committed = db.prepare(
      'SELECT partition, committed FROM group_partition WHERE grp = ? ORDER BY partition',
    )
    this.#nextEvent = db.prepare(
      `SELECT min(coalesce((SELECT min(expires) FROM group_member WHERE grp = ?1), 9e15),
                  coalesce((SELECT min(revoke_by) FROM group_partition WHERE grp = ?1), 9e15)) AS at`,
    )
  }

  get hasMembers(): boolean {
    return this.#members.size > 0
  }

  join(operation: Of<'join'>, partitions: number, transaction: Transaction): null {
    const { stream, group, sessionMs } = operation
    const { now } = transaction
    this.#declare.run(stream, group)
    const id = Number(this.#find.get(stream, group)!.id)
    for (let partition = 0; partition < partitions; partition++) this.#addPartition.run(id, partition)
    const member: Member = {
      name: operation.member,
      group: id,
      sessionMs,
      id: this.#enter(id, sessionMs, now),
      beatAt: now,
      left: false,
      told: new Map(),
    }
    this.#members.set(member.name, member)
    this.#undo.push(() => this.#members.delete(member.name))
    this.#share(id, transaction)
    return null
  }

  #enter(group: number, sessionMs: number, now: number): number {
    return Number(this.#addMember.run(group, now + sessionMs, sessionMs).lastInsertRowid)
  }

  leave({ member: name }: Of<'leave'>, transaction: Transaction): null {
    const member = this.#members.get(name)
    if (member === undefined) return null
    member.left = true
    this.#remove(member)
    this.#share(member.group, transaction)
    return null
  }

  #remove(member: Member): void {
    this.#removeMember.run(member.id)
    this.#freeAll.run(member.group, member.id)
    this.#members.delete(member.name)
    this.#undo.push(() => this.#members.set(member.name, member))
  }

  givenUp({ member: name, partitions, generations }: Of<'givenUp'>, transaction: Transaction): null {
    const member = this.#members.get(name)
    if (member === undefined) return null
    for (const [index, partition] of partitions.entries()) {
      const told = member.told.get(partition)
      if (told === undefined || told.generation !== generations[index] || !told.revoking) continue
      member.told.delete(partition)
      this.#undo.push(() => member.told.set(partition, told))
      this.#freeOf.run(member.group, partition, member.id, told.generation)
    }
    this.#share(member.group, transaction)
    return null
  }

  commit({ member: name, positions }: Of<'commit'>): number[] {
    const member = this.#members.get(name)
    const results: number[] = []
    for (let i = 0; i < positions.length; i += 3) {
      const [partition, generation, position] = [positions[i]!, positions[i + 1]!, positions[i + 2]!]
      results.push(
        member === undefined
          ? 0
          : Number(this.#commit.run(position, member.group, partition, member.id, generation).changes),
      )
    }
    return results
  }

  committed(stream: number, group: string, partitions: number): (number | null)[] {
    const positions = new Array<number | null>(partitions).fill(null)
    const row = this.#find.get(stream, group)
    if (row === undefined) return positions
    for (const { partition, committed } of this.#committed.all(Number(row.id)))
      positions[Number(partition)] = committed as number | null
    return positions
  }

  /** Heartbeats that are due, and a look at every group of ours. */
  tick(transaction: Transaction): void {
    const { now } = transaction
    const groups = new Set<number>()
    for (const member of [...this.#members.values()]) {
      groups.add(member.group)
      if (member.left) this.#remove(member)
      // Not yet. Or the clock was put back, and then at once.
      else if (now < member.beatAt || now >= member.beatAt + member.sessionMs / 3) this.#keepUp(member, now)
    }
    for (const group of groups) this.#share(group, transaction)
  }

  /** Whoever was declared dead is told first what it lost, and then lets it come back. */
  #keepUp(member: Member, now: number): void {
    if (!this.#isAlive(member, now) && member.told.size === 0) this.#comeBack(member, now)
  }

  rejoin({ member: name }: Of<'rejoin'>, transaction: Transaction): null {
    const member = this.#members.get(name)
    if (member === undefined) return null
    if (!this.#isAlive(member, transaction.now)) this.#comeBack(member, transaction.now)
    this.#share(member.group, transaction)
    return null
  }

  /** Sends a heartbeat. False when others have declared the member dead, because they did not hear from this process. */
  #isAlive(member: Member, now: number): boolean {
    const { beatAt } = member
    this.#undo.push(() => {
      member.beatAt = beatAt
    })
    member.beatAt = now
    return Number(this.#beat.run(now + member.sessionMs, member.id).changes) > 0
  }

  /** The number of a row that was rolled back will be that of somebody else. */
  #comeBack(member: Member, now: number): void {
    const { id } = member
    this.#undo.push(() => {
      member.id = id
    })
    member.id = this.#enter(member.group, member.sessionMs, now)
  }

  /** Shares a group's partitions out; our members are told after the commit. */
  #share(group: number, transaction: Transaction): void {
    const { now } = transaction
    // Where the clock was put back: nobody's session lasts longer than a session from now.
    this.#notBeyond.run(now, group)
    const removed = Number(this.#removeDead.run(group, now).changes)
    const members = this.#memberRows.all(group)
    const sessions = new Map(members.map((row) => [Number(row.id), Number(row.session_ms)]))
    const partitions = (this.#partitionRows.all(group) as unknown as PartitionState[]).map((row) => {
      const latest = now + (sessions.get(row.member ?? 0) ?? 0)
      return row.revokeBy !== null && row.revokeBy > latest ? { ...row, revokeBy: latest } : row
    })
    const changes = shareOut(partitions, [...sessions.keys()], now)
    let untold = false
    for (const { partition, act, member } of changes) {
      // Nobody has begun with it who could give it up: two of our members came in one transaction.
      const unheard = act === 'revoke' && this.#isUnheardOf(group, member!, partition)
      untold ||= unheard
      if (act === 'free' || unheard) this.#free.run(group, partition)
      else if (act === 'give') this.#give.run(member, group, partition)
      else this.#revoke.run(now + sessions.get(member!)!, group, partition)
    }
    if (changes.length > 0 || removed > 0) transaction.wakeMembers = true
    transaction.tellGroups = true
    if (untold) this.#share(group, transaction)
    else this.#plan(now)
  }

  /** True for a partition of one of our members that was not told yet that it has it. */
  #isUnheardOf(group: number, id: number, partition: number): boolean {
    const member = [...this.#members.values()].find((each) => each.group === group && each.id === id)
    return member !== undefined && !member.told.has(partition)
  }

  #plan(now: number): void {
    let next = Number.POSITIVE_INFINITY
    const groups = new Set<number>()
    for (const member of this.#members.values()) {
      next = Math.min(next, member.beatAt + member.sessionMs / 3)
      groups.add(member.group)
    }
    for (const group of groups) next = Math.min(next, Number(this.#nextEvent.get(group)!.at))
    this.nextTick = performance.now() + Math.max(next - now, 1)
  }

  /** What changed for our members since their owners were told. Reads what is committed. */
  tell(): MemberNotice[] {
    const notices: MemberNotice[] = []
    // All is read before anything is noted as told: reading may fail.
    const all = [...this.#members.values()].map(
      (member) => [member, this.#ofMember.all(member.group, member.id)] as const,
    )
    for (const [member, rows] of all) if (!member.left) this.#compare(member, rows, notices)
    return notices
  }

  #compare(member: Member, found: readonly Row[], notices: MemberNotice[]): void {
    const rows = new Map(found.map((row) => [Number(row.partition), row] as const))
    const lost: number[] = []
    for (const [partition, told] of member.told) {
      if (Number(rows.get(partition)?.generation ?? -1) === told.generation) continue
      member.told.delete(partition)
      lost.push(partition)
    }
    if (lost.length > 0)
      notices.push({ change: 'revoked', member: member.name, partitions: lost, lost: true })
    const asked: number[] = []
    const fresh: { partition: number; generation: number; committed: number | null }[] = []
    for (const [partition, row] of rows) {
      const told = member.told.get(partition)
      const revoking = row.revokeBy !== null
      if (told === undefined) {
        // It was given up, or is about to be taken away: not worth beginning with.
        if (revoking) continue
        const generation = Number(row.generation)
        member.told.set(partition, { generation, revoking: false })
        fresh.push({ partition, generation, committed: row.committed as number | null })
      } else if (revoking && !told.revoking) {
        told.revoking = true
        asked.push(partition)
      }
    }
    if (asked.length > 0)
      notices.push({ change: 'revoked', member: member.name, partitions: asked, lost: false })
    if (fresh.length > 0)
      notices.push({
        change: 'assigned',
        member: member.name,
        partitions: fresh.map(({ partition }) => partition),
        generations: fresh.map(({ generation }) => generation),
        committed: fresh.map(({ committed }) => committed),
      })
  }

  finish(): void {}

  confirm(): void {
    this.#undo = []
  }

  /** What owners were told is no copy of the file, and stays. */
  forget(rolledBack: boolean): void {
    for (const undo of this.#undo.reverse()) undo()
    this.#undo = []
    // A heartbeat may have been among it.
    if (rolledBack) this.nextTick = 0
  }
}
