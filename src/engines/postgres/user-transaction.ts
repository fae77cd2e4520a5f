// Which kind of transaction a user gave, and how it runs a statement of ours.
import { describe, SpillwayError } from '../../core/errors.ts'
import {
  type DrizzleTransaction,
  type KnexTransaction,
  type PgTransaction,
  type PrismaTransaction,
  postgresKinds,
} from '../../ports/user-transaction.ts'
import { literal } from './literal.ts'

/** Runs one statement; parameters are texts. Resolves with the rows as the kind gives them. */
export type Ask = (text: string, values: readonly string[]) => Promise<unknown>

interface Methods {
  readonly isTransaction?: unknown
  readonly totalCount?: unknown
  readonly [name: string]: unknown
}

/** Throws NO_TRANSACTION for what is none, and for a connection, pool or builder outside a transaction where that can be seen. */
export function asking(tx: unknown): Ask {
  const given = (typeof tx === 'object' || typeof tx === 'function') && tx !== null ? (tx as Methods) : {}
  const { isTransaction, totalCount } = given
  const has = (name: string): boolean => typeof given[name] === 'function'
  if (has('$queryRawUnsafe')) return withPrisma(tx as PrismaTransaction)
  if (has('executeQuery')) {
    if (isTransaction !== true) throw noTransaction('an instance of Kysely outside a transaction')
    return withKysely(tx as Kysely)
  }
  if (has('raw') && typeof tx === 'function') {
    if (isTransaction !== true) throw noTransaction('an instance of Knex outside a transaction')
    return withKnex(tx as unknown as KnexTransaction)
  }
  if (has('execute') && has('transaction')) {
    if (!has('rollback')) throw noTransaction('a database of Drizzle outside a transaction')
    return withDrizzle(tx as DrizzleTransaction)
  }
  if (has('query') && has('connect') && typeof totalCount === 'number')
    throw noTransaction('a pool, whose every query may run on another connection')
  if (has('query')) return withPg(tx as PgTransaction)
  throw noTransaction(describe(tx))
}

export function noTransaction(what: string, cause?: unknown): SpillwayError {
  return new SpillwayError('NO_TRANSACTION', `join() was given ${what}; it takes ${postgresKinds}.`, {
    engine: 'postgres',
    cause,
  })
}

function withPg(tx: PgTransaction): Ask {
  return async (text, values) => rowsOf(await tx.query(text, [...values]))
}

interface Kysely {
  executeQuery(query: unknown): Promise<unknown>
}

function withKysely(tx: Kysely): Ask {
  return async (text, values) => {
    const query = { kind: 'RawNode', sqlFragments: [text], parameters: [] }
    const queryId = { queryId: 'spillway' }
    return rowsOf(await tx.executeQuery({ sql: text, parameters: values, query, queryId }))
  }
}

/** It takes no parameters with a plain text, and otherwise only objects of its own. */
function withDrizzle(tx: DrizzleTransaction): Ask {
  return async (text, values) =>
    rowsOf(await tx.execute(text.replace(/\$(\d+)/g, (_, number) => literal(values[Number(number) - 1]))))
}

function withPrisma(tx: PrismaTransaction): Ask {
  return async (text, values) => rowsOf(await tx.$queryRawUnsafe(text, ...(values as never[])))
}

/** It names values by their places in the text. */
function withKnex(tx: KnexTransaction): Ask {
  return async (text, values) => {
    const placed: string[] = []
    const marked = text.replace(/\$(\d+)/g, (_, number) => {
      placed.push(values[Number(number) - 1]!)
      return '?'
    })
    return rowsOf(await tx.raw(marked, placed))
  }
}

function rowsOf(answer: unknown): unknown {
  return Array.isArray(answer) ? answer : (answer as { rows?: unknown } | undefined)?.rows
}
