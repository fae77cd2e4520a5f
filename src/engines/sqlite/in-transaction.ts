// Whether a transaction is open on a handle: the one property that the two drivers name differently.
import type { SqliteHandle } from './handle.ts'

export function inTransaction(handle: SqliteHandle): boolean {
  const { isTransaction, inTransaction } = handle as { isTransaction?: boolean; inTransaction?: boolean }
  return isTransaction ?? inTransaction ?? false
}
