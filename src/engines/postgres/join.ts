// The outbox in a transaction of the user's. The first statement asks which transaction it is in, and each message says so
// again: outside a transaction every statement is in one of its own, so nothing is stored where nothing was begun, nor after the end.
import { asError, isSpillwayError, SpillwayError } from '../../core/errors.ts'
import type { JoinedOutbox, OutboxMessage } from '../../ports/database.ts'
import { sqlState, translate } from './errors.ts'
import { parted, type QueueHome, written } from './queue-home.ts'
import { checkRow } from './text.ts'
import { type Ask, asking, noTransaction } from './user-transaction.ts'

/** No such schema, table or function, or no right to it. */
const elsewhere: ReadonlySet<string> = new Set(['3F000', '42P01', '42883', '42501'])

export interface JoinOptions {
  /** Quoted. */
  readonly schema: string
  readonly producerId: string
  readonly home: QueueHome | undefined
  /** Told of queues that get messages. */
  readonly noted: (queue: number) => void
}

export function joinOutbox({ schema, producerId, home, noted }: JoinOptions, tx: unknown): JoinedOutbox {
  const ask = guarded(asking(tx))
  const which = `select pg_current_xact_id()::text as transaction, current_setting('transaction_isolation') as isolation,
  producer_id::text as producer from ${schema}.relay`
  const store = `select ${schema}.join_outbox($1, $2) as outcome`
  let joined: Promise<Joined> | undefined
  return {
    driver: 'asynchronous',
    async store(messages) {
      for (const message of messages) checkRow(message, message.id)
      joined ??= ask(which, []).then((rows) => identified(rows, producerId))
      const { transaction, readsNow } = await joined.catch((thrown: unknown) => {
        // The transaction may have been aborted, and gone back to a savepoint by the next message.
        joined = undefined
        throw thrown
      })
      // Else it may not see that a queue has rules by now: what it would store there nobody would find.
      const [straight, rest] = parted(messages, readsNow ? home : undefined)
      for (const { queue } of straight) noted(queue)
      const values = [transaction, rows(rest)]
      const answer =
        straight.length === 0
          ? await ask(store, values)
          : await ask(straightly(schema, home!), [...values, written(straight)])
      const outcome = first(answer)?.outcome
      if (outcome !== 'stored')
        throw new SpillwayError(
          'NO_TRANSACTION',
          'A message was to join a transaction that has ended, or had not begun; nothing of it was stored.',
          { engine: 'postgres' },
        )
    },
  }
}

/** The outcome comes first: nothing is stored in a queue either when the transaction is another one. */
function straightly(schema: string, home: QueueHome): string {
  return `select j.outcome, (case when j.outcome = 'stored' then ${home.call(schema, '$3')} end)::text as straight
from (select ${schema}.join_outbox($1, $2) as outcome offset 0) j`
}

function rows(messages: readonly OutboxMessage[]): string {
  return JSON.stringify(
    messages.map(({ destination: { kind, name }, id, key, body }) => [kind, name, id, key ?? null, body]),
  )
}

interface Joined {
  readonly transaction: string
  /** Each of its statements sees what is committed by then. */
  readonly readsNow: boolean
}

function identified(rows: unknown, producerId: string): Joined {
  const { transaction, producer, isolation } = first(rows) ?? {}
  if (typeof transaction !== 'string' || typeof producer !== 'string')
    throw noTransaction('what answers a query in no way that is known')
  if (producer !== producerId) throw noTransaction('a transaction of another database')
  return { transaction, readsNow: isolation === 'read committed' }
}

interface Answer {
  readonly isolation?: unknown
  readonly transaction?: unknown
  readonly producer?: unknown
  readonly outcome?: unknown
}

function first(rows: unknown): Answer | undefined {
  return Array.isArray(rows) ? (rows[0] as Answer | undefined) : undefined
}

function guarded(ask: Ask): Ask {
  return (text, values) =>
    ask(text, values).catch((thrown: unknown) => {
      if (isSpillwayError(thrown)) throw thrown
      const native = nativeOf(thrown)
      if (elsewhere.has(sqlState(native) ?? ''))
        throw noTransaction(
          "a transaction of another database, or one whose role has no rights in the schema of Spillway's tables",
          thrown,
        )
      // Without the server's own word it is the user's query builder that refused.
      throw sqlState(native) === undefined ? thrown : translate(native)
    })
}

/** Query builders wrap what the driver throws; Prisma only tells the server's code. */
function nativeOf(thrown: unknown): unknown {
  for (let error = thrown, depth = 0; depth < 5; depth++) {
    if (sqlState(error) !== undefined) return error
    const { cause, meta } = (error ?? {}) as { cause?: unknown; meta?: PrismaMeta }
    const code = meta?.code ?? meta?.driverAdapterError?.cause?.originalCode
    if (code !== undefined)
      return Object.assign(new Error(asError(thrown).message, { cause: thrown }), { code })
    error = cause
  }
  return thrown
}

interface PrismaMeta {
  readonly code?: string
  readonly driverAdapterError?: { readonly cause?: { readonly originalCode?: string } }
}
