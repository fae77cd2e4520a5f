// Faults of joining a transaction of the user's, planted in front of SQLite: in memory there is no such transaction.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteDatabase } from '../../../src/engines/sqlite/database.ts'
import type { Database, JoinedOutbox, OutboxMessage } from '../../../src/ports/database.ts'
import { type DatabaseSubject, databaseSubject } from '../../../src/testing/conformance/index.ts'
import { userConnection } from '../sqlite-user.ts'
import { type Fault, override } from './fault.ts'

type FileDatabase = Database<DatabaseSync>
type Store = (messages: readonly OutboxMessage[]) => void
type Join = (database: FileDatabase, tx: unknown) => JoinedOutbox

const synchronous = (store: Store): JoinedOutbox => ({ driver: 'synchronous', store })
const storing = (joined: JoinedOutbox): Store => joined.store as Store

const fault = (what: string, fails: readonly string[], joined: Join): Fault<FileDatabase> => ({
  what,
  fails,
  plant: () => (database) => override(database, { join: (tx) => joined(database, tx) }),
})

/** Past the transaction: as a unit of Spillway's own, at once or soon. */
const past = (database: FileDatabase, messages: readonly OutboxMessage[]) =>
  void database.commit({ outbox: messages, timeoutMs: 1_000 }).catch(() => {})

export const joinFaults: readonly Fault<FileDatabase>[] = [
  fault(
    'messages are stored past the transaction',
    ['database.join.rollback', 'database.join.kinds'],
    (database) => synchronous((messages) => past(database, messages)),
  ),
  fault('one message is lost', ['database.join.commit'], (database, tx) => {
    const joined = database.join(tx)
    return synchronous((messages) => storing(joined)(messages.slice(1)))
  }),
  fault('messages are stored the last first', ['database.join.commit'], (database, tx) => {
    const joined = database.join(tx)
    return synchronous((messages) => storing(joined)(messages.toReversed()))
  }),
  fault('what joined is stored after the end too', ['database.join.ended'], (database, tx) => {
    let joined: JoinedOutbox | undefined
    try {
      joined = database.join(tx)
    } catch {}
    return synchronous((messages) => {
      try {
        storing(joined!)(messages)
      } catch {
        past(database, messages)
      }
    })
  }),
  fault('no transaction that was not begun is refused', ['database.join.ended'], (database, tx) => {
    const handle = tx as DatabaseSync
    if (!handle.isTransaction) return synchronous((messages) => past(database, messages))
    return database.join(tx)
  }),
  fault('whatever handle is given is taken for the right one', ['database.join.elsewhere'], (database, tx) =>
    synchronous((messages) => {
      void tx
      past(database, messages)
    }),
  ),
]

export function onFiles() {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-faults-'))
  let files = 0
  const open = (fault: Pick<Fault<FileDatabase>, 'plant'>): Promise<DatabaseSubject> => {
    const plant = fault.plant()
    return databaseSubject({
      driver: 'synchronous',
      async create() {
        const path = join(folder, `${++files}.db`)
        const setup = (db: DatabaseSync) => db.exec('CREATE TABLE IF NOT EXISTS effect (id TEXT PRIMARY KEY)')
        return {
          open: async (service) => plant(await sqliteDatabase(path, { setup }).open(service)),
          insert: (db: DatabaseSync, id) => void db.prepare('INSERT INTO effect VALUES (?)').run(id),
          count: async (db: DatabaseSync, prefix) =>
            (
              db.prepare("SELECT count(*) AS n FROM effect WHERE id LIKE ? || '%'").get(prefix) as {
                n: number
              }
            ).n,
          connect: async () => userConnection(new DatabaseSync(path)),
          async remove() {},
        }
      },
    })
  }
  return {
    open,
    sound: () => open({ plant: () => (database) => override(database, {}) }),
    end: () => rmSync(folder, { recursive: true }),
  }
}
