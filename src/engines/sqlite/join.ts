// The outbox in a transaction of the user's, on the handle that it is open on: synchronous, as the handle is.
import { describe, SpillwayError } from '../../core/errors.ts'
import type { JoinedOutbox } from '../../ports/database.ts'
import { sqliteKinds } from '../../ports/user-transaction.ts'
import { prepareSend, type SendStatements, storeMessages } from './database-unit.ts'
import type { SqliteHandle } from './handle.ts'
import { inTransaction } from './in-transaction.ts'
import { isNative, translate } from './native-error.ts'

/** What was prepared on a handle lives as long as the handle. */
const prepared = new WeakMap<SqliteHandle, Map<string, SendStatements>>()

export function joinOutbox(prefix: string, producerId: string, name: string, tx: unknown): JoinedOutbox {
  const { prepare, exec } = (tx ?? {}) as Partial<SqliteHandle>
  if (typeof prepare !== 'function' || typeof exec !== 'function') throw noTransaction(describe(tx))
  const handle = tx as SqliteHandle
  const checkOpen = (): void => {
    if (!inTransaction(handle)) throw noTransaction('a handle without an open transaction')
  }
  checkOpen()
  const statements = statementsOn(handle, prefix)
  const { producer } = statements.producer.get() as { producer: string }
  if (producer !== producerId) throw noTransaction('a handle of another database')
  return {
    driver: 'synchronous',
    store(messages) {
      checkOpen()
      try {
        storeMessages(statements, messages)
      } catch (thrown) {
        throw isNative(thrown) ? translate(thrown, name) : thrown
      }
    },
  }
}

function statementsOn(handle: SqliteHandle, prefix: string): SendStatements {
  const known = prepared.get(handle) ?? new Map<string, SendStatements>()
  prepared.set(handle, known)
  let statements = known.get(prefix)
  try {
    statements ??= prepareSend(handle, prefix)
    known.set(prefix, statements)
  } catch (thrown) {
    throw noTransaction('a handle of another database', thrown)
  }
  return statements
}

function noTransaction(what: string, cause?: unknown): SpillwayError {
  return new SpillwayError('NO_TRANSACTION', `join() was given ${what}; it takes ${sqliteKinds}.`, {
    engine: 'sqlite',
    cause,
  })
}
