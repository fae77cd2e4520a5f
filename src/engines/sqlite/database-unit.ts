// One unit of work inside a transaction: fence, inbox, effects, outbox. And the statements that it takes.
import { SpillwayError } from '../../core/errors.ts'
import { isThenable } from '../../core/thenable.ts'
import type {
  CommitOutcome,
  CommitUnit,
  Destination,
  OutboxMessage,
  Progress,
  Rewind,
} from '../../ports/database.ts'
import type { ParkedEvent, PartitionOfGroup } from '../../ports/parking.ts'
import type { SagaWrite } from '../../ports/saga.ts'
import type { SqliteHandle, SqliteStatement } from './handle.ts'

const names = [
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'release',
  'rollbackTo',
  'standing',
  'advance',
  'remember',
  'forget',
  'raise',
  'finishedOf',
  'enter',
  'seen',
  'enterAnswered',
  'answer',
  'prune',
  'pruned',
  'prunedUpTo',
  'ahead',
  'send',
  'destination',
  'addDestination',
  'park',
  'unpark',
  'parked',
  'parkedOf',
  'parkedCount',
  'parkedKeys',
  'goBack',
  'unfinish',
  'unparkFrom',
  'startSaga',
  'moveSaga',
  'saga',
  'sagas',
  'pruneSagas',
] as const

export type UnitStatements = Readonly<Record<(typeof names)[number], SqliteStatement>>

/** How many entries of the inbox are looked at in one transaction, when old ones are removed. */
const prunedAtOnce = 1_000

const partitionIs = 'stream = ? AND consumer_group = ? AND partition = ?'

const sagaColumns = 'saga, id, version, body, changed_at AS changedAt'

const parkedColumns = 'position, key, body, appended_at AS appendedAt, reason, attempts'

const sqlOf = (prefix: string): Record<keyof UnitStatements, string> => ({
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  savepoint: 'SAVEPOINT spillway_unit',
  release: 'RELEASE spillway_unit',
  rollbackTo: 'ROLLBACK TO spillway_unit',
  standing: `SELECT position,
      EXISTS (SELECT 1 FROM "${prefix}finished" WHERE ${partitionIs} AND position = ?) AS finished
    FROM "${prefix}progress" WHERE ${partitionIs} AND generation = ?`,
  advance: `UPDATE "${prefix}progress"
    SET sequences = CASE WHEN coalesce(position, -1) < ? THEN ? ELSE sequences END,
        position = max(coalesce(position, -1), ?)
    WHERE ${partitionIs}
    RETURNING position`,
  remember: `INSERT OR IGNORE INTO "${prefix}finished" (stream, consumer_group, partition, position) VALUES (?, ?, ?, ?)`,
  forget: `DELETE FROM "${prefix}finished" WHERE ${partitionIs} AND position < ?`,
  raise: `INSERT INTO "${prefix}progress" (stream, consumer_group, partition, generation) VALUES (?, ?, ?, 1)
    ON CONFLICT DO UPDATE SET generation = generation + 1
    RETURNING generation, position, sequences`,
  finishedOf: `SELECT position FROM "${prefix}finished" WHERE ${partitionIs} AND position >= ? ORDER BY position`,
  enter: `INSERT OR IGNORE INTO "${prefix}inbox" (consumer, id, handled_at) VALUES (?, ?, ?)`,
  seen: `SELECT 1 FROM "${prefix}inbox" WHERE consumer = ? AND id = ?`,
  enterAnswered: `INSERT INTO "${prefix}inbox" (consumer, id, handled_at, answer) VALUES (?, ?, ?, ?)`,
  answer: `SELECT answer FROM "${prefix}inbox" WHERE consumer = ? AND id = ?`,
  prune: `DELETE FROM "${prefix}inbox" WHERE entry IN
    (SELECT entry FROM "${prefix}inbox" WHERE entry > ? ORDER BY entry LIMIT ${prunedAtOnce}) AND handled_at < ?
    RETURNING handled_at AS handledAt`,
  pruned: `UPDATE "${prefix}inbox_pruned" SET up_to = max(coalesce(up_to, ?), ?)`,
  prunedUpTo: `SELECT up_to AS upTo FROM "${prefix}inbox_pruned"`,
  ahead: `SELECT max(entry) AS last, min(handled_at) AS earliest FROM
    (SELECT entry, handled_at FROM "${prefix}inbox" WHERE entry > ? ORDER BY entry LIMIT ${prunedAtOnce})`,
  // Past what a newer copy of this file could have given: see docs/decisions/0004.
  send: `INSERT INTO "${prefix}outbox" (sequence, destination, id, key, body) VALUES (
    max(?, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = '${prefix}outbox'), 0)), ?, ?, ?, ?)`,
  destination: `SELECT destination FROM "${prefix}destination" WHERE kind = ? AND name = ?`,
  addDestination: `INSERT INTO "${prefix}destination" (kind, name) VALUES (?, ?)`,
  park: `INSERT INTO "${prefix}parked"
      (stream, consumer_group, partition, position, key, body, appended_at, reason, attempts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts`,
  unpark: `DELETE FROM "${prefix}parked" WHERE ${partitionIs} AND position = ?`,
  parked: `SELECT ${parkedColumns} FROM "${prefix}parked" WHERE ${partitionIs} AND position > ? ORDER BY position LIMIT ?`,
  parkedOf: `SELECT ${parkedColumns} FROM "${prefix}parked" WHERE ${partitionIs} AND key IS ? AND position > ? ORDER BY position LIMIT ?`,
  parkedCount: `SELECT count(*) AS count FROM "${prefix}parked" WHERE ${partitionIs}`,
  parkedKeys: `SELECT DISTINCT key FROM "${prefix}parked" WHERE ${partitionIs} AND key IS NOT NULL`,
  goBack: `UPDATE "${prefix}progress"
    SET generation = generation + 1,
        sequences = CASE WHEN ? < coalesce(position, ?) THEN '{}' ELSE sequences END,
        position = min(?, coalesce(position, ?))
    WHERE ${partitionIs}`,
  unfinish: `DELETE FROM "${prefix}finished" WHERE ${partitionIs} AND position >= ?`,
  startSaga: `INSERT OR IGNORE INTO "${prefix}saga" (saga, id, version, body, changed_at) VALUES (?, ?, 1, ?, ?)`,
  moveSaga: `UPDATE "${prefix}saga" SET version = version + 1, body = ?, changed_at = ?
    WHERE saga = ? AND id = ? AND version = ? AND body IS NOT NULL`,
  saga: `SELECT ${sagaColumns} FROM "${prefix}saga" WHERE saga = ? AND id = ?`,
  sagas: `SELECT ${sagaColumns} FROM "${prefix}saga" WHERE saga = ? AND id > ? ORDER BY id LIMIT ?`,
  pruneSagas: `DELETE FROM "${prefix}saga" WHERE (saga, id) IN
    (SELECT saga, id FROM "${prefix}saga" WHERE body IS NULL AND changed_at < ? ORDER BY changed_at LIMIT 1000)`,
  unparkFrom: `DELETE FROM "${prefix}parked" WHERE ${partitionIs} AND position >= ?`,
})

export function prepareUnit(db: SqliteHandle, prefix: string): UnitStatements {
  const sql = sqlOf(prefix)
  return Object.fromEntries(names.map((name) => [name, db.prepare(sql[name])])) as UnitStatements
}

/** What storing messages takes, on whatever handle it is done. */
export type SendStatements = Pick<UnitStatements, 'send' | 'destination' | 'addDestination'> & {
  readonly producer: SqliteStatement
}

export function prepareSend(db: SqliteHandle, prefix: string): SendStatements {
  const sql = sqlOf(prefix)
  return {
    send: db.prepare(sql.send),
    destination: db.prepare(sql.destination),
    addDestination: db.prepare(sql.addDestination),
    producer: db.prepare(`SELECT producer_id AS producer FROM "${prefix}relay"`),
  }
}

/** Stores messages inside the open transaction, in their order. */
export function storeMessages(
  statements: Pick<UnitStatements, 'send' | 'destination' | 'addDestination'>,
  messages: readonly OutboxMessage[],
): void {
  for (const { destination, id, key, body } of messages)
    statements.send.run(Date.now() * 1_000, destinationId(statements, destination), id, key ?? null, body)
}

/** Applies the unit inside the open transaction. The caller undoes it when the outcome is not 'committed'. */
export function applyUnit(
  db: SqliteHandle,
  statements: UnitStatements,
  unit: CommitUnit<SqliteHandle>,
): CommitOutcome {
  if (unit.progress) {
    const refused = refusedProgress(statements, unit.progress)
    if (refused) return refused
    advance(statements, unit.progress)
    if (unit.unpark !== undefined && !unpark(statements, unit.progress, unit.unpark)) return 'duplicate'
    if (unit.park) park(statements, unit.progress, unit.park)
  }
  const { inbox } = unit
  const entered = (id: string) =>
    inbox?.answer
      ? statements.seen.get(inbox.consumer, id) !== undefined
      : Number(statements.enter.run(inbox!.consumer, id, Date.now()).changes) === 0
  if (inbox?.ids.some(entered)) return 'duplicate'
  if (unit.saga && !writeSaga(statements, unit.saga)) return 'conflict'
  if (unit.effects) refuseAsynchronous(unit.effects(db))
  // Writers are serial: nobody entered it in the meantime.
  if (inbox?.answer) statements.enterAnswered.run(inbox.consumer, inbox.ids[0]!, Date.now(), inbox.answer())
  storeMessages(statements, unit.outbox)
  return 'committed'
}

/** False when the instance has another version. */
function writeSaga(
  { startSaga, moveSaga }: UnitStatements,
  { saga, id, expected, body }: SagaWrite,
): boolean {
  const { changes } =
    expected === 0
      ? startSaga.run(saga, id, body, Date.now())
      : moveSaga.run(body, Date.now(), saga, id, expected)
  return Number(changes) > 0
}

/** Takes a partition back inside the open transaction. Nothing was changed when the outcome is not 'committed'. */
export function applyRewind(statements: UnitStatements, order: Progress, to: Rewind): CommitOutcome {
  const { stream, group, partition, generation, position, low } = to
  const address = [stream, group, partition] as const
  const refused = refusedProgress(statements, order)
  if (refused === 'stale' || !statements.standing.get(...address, null, ...address, generation))
    return 'stale'
  if (refused) return refused
  statements.goBack.run(position, low, position, low, ...address)
  statements.unfinish.run(...address, position)
  statements.unparkFrom.run(...address, position)
  advance(statements, order)
  return 'committed'
}

function park(statements: UnitStatements, of: PartitionOfGroup, event: ParkedEvent): void {
  const { position, key, body, appendedAt, reason, attempts } = event
  const { stream, group, partition } = of
  statements.park.run(stream, group, partition, position, key ?? null, body, appendedAt, reason, attempts)
}

/** False when it was not parked. */
function unpark(statements: UnitStatements, of: PartitionOfGroup, position: number): boolean {
  const { stream, group, partition } = of
  return Number(statements.unpark.run(stream, group, partition, position).changes) > 0
}

function refusedProgress(statements: UnitStatements, progress: Progress): 'stale' | 'duplicate' | undefined {
  const { stream, group, partition, generation, finished } = progress
  const address = [stream, group, partition] as const
  const row = statements.standing.get(...address, finished ?? null, ...address, generation) as
    | { position: number | null; finished: number }
    | undefined
  if (!row) return 'stale'
  if (finished === undefined) return undefined
  return row.finished === 1 || finished < (row.position ?? 0) ? 'duplicate' : undefined
}

function advance(statements: UnitStatements, progress: Progress): void {
  const { stream, group, partition, finished, low, sequences } = progress
  const row = statements.advance.get(low, JSON.stringify(sequences), low, stream, group, partition) as {
    position: number
  }
  if (finished !== undefined && finished >= row.position)
    statements.remember.run(stream, group, partition, finished)
  else statements.forget.run(stream, group, partition, row.position)
}

function destinationId(
  statements: Pick<UnitStatements, 'destination' | 'addDestination'>,
  { kind, name }: Destination,
): number {
  const known = statements.destination.get(kind, name) as { destination: number } | undefined
  return known?.destination ?? Number(statements.addDestination.run(kind, name).lastInsertRowid)
}

function refuseAsynchronous(returned: unknown): void {
  if (!isThenable(returned)) return
  // Only a promise is under way already: another thenable would begin when it is waited for.
  if (returned instanceof Promise) returned.catch(() => {})
  throw new SpillwayError(
    'COMMIT_ASYNC',
    'The function given to commit() returned a promise, but an SQLite transaction is synchronous.',
    { engine: 'sqlite' },
  )
}
