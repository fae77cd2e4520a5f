// Keeps a transaction from being committed by those who work in it: with a cursor whose rows are to be kept beyond the
// commit, and are only fetched at the commit, by a function that fails. Nothing is written for it, and it costs no round trip.

/** The SQLSTATE of a commit that the guard refused. */
export const refusedByGuard = 'SW003'
/** That of closing a guard which a rollback has taken away. */
export const guardGone = '34000'

const name = 'spillway_guard'

/** `schema` is quoted. */
export function raiseGuard(schema: string): string {
  return `declare ${name} cursor with hold for select ${schema}.refuse_commit()`
}

/** Fails when the transaction is not the one that the guard was raised in. */
export const closeGuard: string = `close ${name}`

/** One row while the guard is there. */
export const findGuard: string = `select from pg_catalog.pg_cursors where name = '${name}'`
