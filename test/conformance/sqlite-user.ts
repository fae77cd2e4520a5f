// A user of an SQLite file who has a handle of his own on it.
import type { SqliteHandle } from '../../src/engines/sqlite/handle.ts'
import type { UserConnection } from '../../src/testing/conformance/database-subject.ts'

export function userConnection(handle: SqliteHandle): UserConnection {
  return {
    tx: handle,
    begin: async () => void handle.exec('BEGIN'),
    end: async (how) => void handle.exec(how.toUpperCase()),
    insert: (id) => void handle.prepare('INSERT INTO effect VALUES (?)').run(id),
    [Symbol.asyncDispose]: async () => void handle.close(),
  }
}
