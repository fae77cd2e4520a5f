// A unit with effects: one transaction on one connection, two round trips besides those of the effects.
import { systemClock } from '../../core/clock.ts'
import { SpillwayError } from '../../core/errors.ts'
import { watchOutsideIo } from '../../core/outside-io.ts'
import type { CommitOutcome, CommitUnit, OutboxMessage } from '../../ports/database.ts'
import type { SagaWrite } from '../../ports/saga.ts'
import { type PgQueryable, type PgResult, type PgSession, queryTimeoutMs } from './client.ts'
import { aborted, sqlState, translate } from './errors.ts'
import { literal } from './literal.ts'
import { parks, unparks } from './parking.ts'
import { parted, type QueueHome, written } from './queue-home.ts'
import { writeSaga } from './sagas.ts'
import { checkRow } from './text.ts'
import { closeGuard, guardGone, raiseGuard, refusedByGuard } from './transaction-guard.ts'
import { endedByEffects, UnitHandle } from './unit-handle.ts'

type Unit = CommitUnit<PgQueryable>

const state = {
  stale: 'SW002',
  canceled: '57014',
} as const
/** The class of violated constraints. */
const constraints = '23'

/** The server's own bounds are a little longer, so that who hears of it first is the one who waits. */
const graceMs = 250
/** How long a rollback may take before its connection is given up. */
const rollbackMs = 2_000

export interface UnitOptions {
  readonly client: PgSession
  readonly schema: string
  readonly home: QueueHome | undefined
  readonly unit: Unit
  /** Ends what another connection, of that process id, is doing. */
  readonly cancel: (pid: number) => Promise<unknown>
  /** Refuses messages that cannot be stored. */
  readonly check: (outbox: readonly OutboxMessage[]) => void
}

/** Commits the unit and releases the client. */
export async function commitWithEffects(options: UnitOptions): Promise<CommitOutcome> {
  const { client, schema, unit } = options
  const handle = new UnitHandle(client)
  const deadline = performance.now() + unit.timeoutMs
  let pid = 0
  try {
    const begun = await begin(client, schema, unit)
    pid = begun.pid
    if (begun.outcome !== 'ok') {
      await rollBack(options, handle, pid)
      return begun.outcome
    }
    if (unit.saga !== undefined && !(await write(client, schema, unit.saga))) {
      await rollBack(options, handle, pid)
      return 'conflict'
    }
    await runEffects(unit, handle, deadline)
    options.check(unit.outbox)
    handle.refuse(ended)
    await end(client, endOf(schema, unit, options.home), handle)
  } catch (thrown) {
    handle.refuse(ended)
    await rollBack(options, handle, pid)
    if (sqlState(thrown) === state.stale) return 'stale'
    throw thrown
  }
  client.release()
  return 'committed'
}

interface Begun {
  readonly outcome: 'ok' | 'duplicate' | 'stale'
  /** Known where effects may run. */
  readonly pid: number
}

async function begin(client: PgSession, schema: string, unit: Unit): Promise<Begun> {
  const bound = Math.min(Math.ceil(unit.timeoutMs) + graceMs, 2 ** 31 - 1)
  const text = `begin isolation level read committed;
set local statement_timeout = ${bound};
set local idle_in_transaction_session_timeout = ${bound};
${raiseGuard(schema)};
${claimOf(schema, unit)}`
  try {
    const results = (await client.query({
      text,
      query_timeout: Math.min(bound + queryTimeoutMs, 2 ** 31 - 1),
    })) as readonly PgResult[]
    const found = results.at(-1)!.rows[0] as Begun | undefined
    return found ?? { outcome: 'duplicate', pid: 0 }
  } catch (thrown) {
    if (sqlState(thrown) === state.canceled) throw timedOut(unit)
    throw translate(thrown)
  }
}

/** Whether the unit is worth its effects. It waits for an open unit with the same entry, or position. No row: a duplicate. */
function claimOf(schema: string, { inbox, progress, unpark }: Unit): string {
  // What the function does too, in less time: a call waits for it.
  if (inbox?.ids.length === 1 && progress === undefined)
    return `insert into ${schema}.inbox (consumer, id) values (${literal(inbox.consumer)}, ${literal(inbox.ids[0])})
on conflict do nothing returning pg_backend_pid() as pid, 'ok' as outcome`
  const fence = [
    progress?.stream,
    progress?.group,
    progress?.partition,
    progress?.generation,
    progress?.finished,
  ]
  const [outcome, at] = [fence, fence.slice(0, 3)].map((values) => values.map(literal).join(', '))
  const entered = inbox === undefined ? 'null' : `array[${inbox.ids.map(literal).join(', ')}]::text[]`
  const begins = `${schema}.begin_unit(${literal(inbox?.consumer)}, ${entered}, ${outcome})`
  const unparking =
    unpark === undefined ? begins : `${schema}.begin_unparking(${begins}, ${at}, ${literal(unpark)})`
  return `select pg_backend_pid() as pid, ${unparking} as outcome`
}

async function runEffects(unit: Unit, handle: UnitHandle, deadline: number): Promise<void> {
  const interrupted = Promise.withResolvers<never>()
  const interrupt = (error: SpillwayError): void => {
    handle.refuse(() => error)
    interrupted.reject(error)
  }
  const cancel = systemClock.after(deadline - performance.now(), () => interrupt(timedOut(unit)))
  try {
    const effects = watchOutsideIo(
      (what) => interrupt(outsideIo(what)),
      async () => {
        await unit.effects?.(handle)
        // What they did not await belongs to the unit too.
        await handle.idle()
      },
    )
    await Promise.race([effects, interrupted.promise])
  } catch (thrown) {
    throw handle.refusal ?? thrown
  } finally {
    cancel()
  }
  // Refused, and the effects kept it to themselves.
  if (handle.refusal !== undefined) throw handle.refusal
}

async function write(client: PgSession, schema: string, saga: SagaWrite): Promise<boolean> {
  try {
    return await writeSaga(
      async (text) => (await client.query({ text, query_timeout: queryTimeoutMs })) as PgResult,
      schema,
      saga,
    )
  } catch (thrown) {
    throw translate(thrown)
  }
}

/** One message: what is left to store, and the commit. A failing statement ends it before the commit. */
function endOf(schema: string, unit: Unit, home: QueueHome | undefined): string {
  const statements = [closeGuard]
  const [straight, rest] = parted(unit.outbox, home)
  if (straight.length > 0) statements.push(`select ${home!.call(schema, literal(written(straight)))}`)
  if (rest.length > 0) {
    const rows = rest.map(({ destination: { kind, name }, id, key, body }) =>
      [kind, name, id, key, body].map(literal).join(', '),
    )
    statements.push(
      `insert into ${schema}.outbox (kind, name, message_id, key, body) values (${rows.join('), (')})`,
    )
  }
  const { inbox } = unit
  if (inbox?.answer) {
    const answer = inbox.answer()
    checkRow({ body: answer })
    const values = [inbox.consumer, inbox.ids[0], answer].map(literal).join(', ')
    statements.push(`select ${schema}.store_answer(${values})`)
  }
  if (unit.progress !== undefined) {
    const { stream, group, partition, generation, finished, low, sequences } = unit.progress
    const values = [stream, group, partition, generation, finished, low, JSON.stringify(sequences)]
    if (unit.park) statements.push(parks(schema, unit.progress, unit.park))
    if (unit.unpark !== undefined) statements.push(unparks(schema, unit.progress, unit.unpark))
    statements.push(`select ${schema}.finish_or_fail(${values.map(literal).join(', ')})`)
  }
  return [...statements, 'commit'].join(';\n')
}

/** Throws what effects caused as it is, a stale fence too, and everything else translated. */
async function end(client: PgSession, text: string, handle: UnitHandle): Promise<void> {
  try {
    await client.query({ text, query_timeout: queryTimeoutMs })
  } catch (thrown) {
    const found = sqlState(thrown)
    if (found === guardGone || found === refusedByGuard) throw endedByEffects('a statement of theirs did')
    // The failure that aborted the transaction was kept to themselves by the effects.
    if (found === aborted && handle.failure !== undefined) throw handle.failure
    // A constraint that they deferred.
    if (found === state.stale || found?.startsWith(constraints)) throw thrown
    throw translate(thrown)
  }
}

/** Ends the transaction and gives the connection back, or gives it up. */
async function rollBack({ client, cancel }: UnitOptions, handle: UnitHandle, pid: number): Promise<void> {
  const late = Promise.withResolvers<boolean>()
  const stop = systemClock.after(rollbackMs, () => late.resolve(false))
  // Waited for as well: late, it would hit who has the connection next.
  const cancelled = handle.busy ? cancel(pid).catch(() => {}) : undefined
  const done = Promise.all([cancelled, handle.idle().then(() => client.query('rollback'))]).then(
    () => true,
    () => false,
  )
  const clean = await Promise.race([done, late.promise])
  stop()
  client.release(!clean)
}

function ended(): SpillwayError {
  return new SpillwayError('CLOSED', 'The transaction of this unit has ended.', { engine: 'postgres' })
}

function timedOut(unit: Unit): SpillwayError {
  return new SpillwayError(
    'TRANSACTION_TIMEOUT',
    `The transaction was open for more than ${unit.timeoutMs} ms.`,
    { engine: 'postgres' },
  )
}

function outsideIo(what: string): SpillwayError {
  return new SpillwayError('OUTSIDE_IO', `The effects of a transaction started ${what}.`, {
    engine: 'postgres',
    details: { started: what },
  })
}
