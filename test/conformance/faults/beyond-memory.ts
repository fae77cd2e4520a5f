// Faults that need more than memory: another process or retention (SQLite), and an asynchronous driver (PostgreSQL).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PgQueryable } from '../../../src/engines/postgres/client.ts'
import type { CommitUnit, Database, OutboxPort } from '../../../src/ports/database.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import {
  type DatabaseSubject,
  type DistantMember,
  type EngineSubject,
  engineSubject,
} from '../../../src/testing/conformance/index.ts'
import { embeddedPostgres, type RunningServer } from '../../servers/index.ts'
import { distantMembers } from '../distant-member.ts'
import { openAt } from '../engines.ts'
import { postgresSubject } from '../postgres-subject.ts'
import { type Fault, override } from './fault.ts'

interface Opening<S> {
  readonly what: string
  readonly fails: readonly string[]
  readonly open: () => Promise<S>
}

/** A distant member that differs from a real one. */
type Distance = (member: DistantMember) => Partial<DistantMember>

export function onSqlite() {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-faults-'))
  const address = { engine: 'sqlite', path: join(folder, 'engine') } as const
  const subject = (
    fault: Pick<Fault<Engine>, 'plant'>,
    distance: Distance = () => ({}),
  ): Promise<EngineSubject> => {
    const plant = fault.plant()
    const start = distantMembers(address)
    return engineSubject({
      openEngine: async (options) => plant(await openAt(address, options)),
      async startMember(...args) {
        const member = await start(...args)
        return { ...member, ...distance(member) }
      },
    })
  }
  const nothing = { plant: () => (engine: Engine) => override(engine, {}) }
  const faults: readonly Opening<EngineSubject>[] = [
    {
      what: 'the partitions of a dead member stay with it',
      fails: ['groups.died'],
      // As if its heart went on beating.
      open: () => subject(nothing, () => ({ kill: async () => {} })),
    },
    {
      what: 'a commit of a member that had stalled is accepted',
      fails: ['groups.stalled'],
      open: () =>
        subject(nothing, (member) => ({
          async commit(positions) {
            await member.commit(positions)
            return positions.map(() => 'committed')
          },
        })),
    },
  ]
  return {
    faults,
    sound: () => subject(nothing),
    async end() {
      rmSync(folder, { recursive: true })
    },
  }
}

type PgDatabase = Database<PgQueryable>
type PgUnit = CommitUnit<PgQueryable>
type Move = NonNullable<OutboxPort['move']>

/** Rows of a unit that began before others, and ended after they were taken, are skipped. */
function numberedEarly() {
  const numbers = new Map<string, number>()
  let highest = -1
  const number = (messages: readonly { readonly id: string }[]) => {
    for (const { id } of messages) numbers.set(id, numbers.size)
  }
  return (database: PgDatabase): Partial<PgDatabase> => ({
    commit(unit) {
      number(unit.outbox)
      return database.commit(unit)
    },
    join(tx) {
      const joined = database.join(tx)
      return {
        driver: 'asynchronous',
        async store(messages) {
          number(messages)
          await joined.store(messages)
        },
      }
    },
    outbox: override(database.outbox, {
      async take(...args) {
        const rows = await database.outbox.take(...args)
        const above = rows.filter(({ id }) => numbers.get(id)! > highest)
        for (const { id } of above) highest = Math.max(highest, numbers.get(id)!)
        return above
      },
    }),
  })
}

/** A move that does something before, or something else afterwards. */
function moving(
  change: (database: PgDatabase, move: Move) => Move,
): (database: PgDatabase) => Partial<PgDatabase> {
  return (database) => ({
    outbox: override(database.outbox, {
      move: change(database, (...args) => database.outbox.move!(...args)),
    }),
  })
}

/** What was there before a move is there again after it, once. */
function movedTwice(database: PgDatabase, move: Move): Move {
  const again = new Set<string>()
  return async (holder, destination, ...args) => {
    await database.outbox.lock(holder, 5_000)
    const rows = await database.outbox.take(holder, destination, 1)
    await database.outbox.unlock(holder)
    const moved = await move(holder, destination, ...args)
    const outbox = moved === undefined ? [] : rows.filter(({ id }) => !again.has(id))
    for (const { id } of outbox) again.add(id)
    await database.commit({ outbox, timeoutMs: 5_000 })
    return moved
  }
}

/** What is still open when others are moved is thrown away when it comes. */
function movedInTime(database: PgDatabase, move: Move): Move {
  let moves = 0
  return async (holder, destination, ...args) => {
    if (moves++ > 0) {
      await database.outbox.lock(holder, 5_000)
      await database.outbox.remove(await database.outbox.take(holder, destination, 1))
    }
    return move(holder, destination, ...args)
  }
}

export async function onPostgres() {
  let server: RunningServer | undefined
  const subject = (change: (database: PgDatabase) => Partial<PgDatabase>): Promise<DatabaseSubject> =>
    postgresSubject(server!.url, (database) => override(database, change(database)))
  const fault = (
    what: string,
    fails: readonly string[],
    change: (database: PgDatabase) => Partial<PgDatabase>,
  ): Opening<DatabaseSubject> => ({ what, fails, open: () => subject(change) })
  const committing = (change: (unit: PgUnit) => PgUnit) => (database: PgDatabase) => ({
    commit: (unit: PgUnit) => database.commit(change(unit)),
  })
  const faults = [
    fault(
      'finished positions are not asked for',
      ['database.repeated.waits'],
      committing((unit) => ({
        ...unit,
        progress: unit.progress && { ...unit.progress, finished: undefined },
      })),
    ),
    fault(
      'the inbox is not asked',
      ['database.duplicate.waits'],
      committing(({ inbox: _, ...unit }) => unit),
    ),
    fault(
      'an open unit does not see that its generation was raised',
      ['database.stale.race.open'],
      (database) => ({
        async commit(unit) {
          const outcome = await database.commit(unit)
          return outcome === 'stale' ? 'committed' : outcome
        },
        acquire: async (stream, group, partition) => ({
          ...(await database.acquire(stream, group, partition)),
          position: null,
        }),
      }),
    ),
    fault(
      'transactions are not bounded',
      ['database.asynchronous.timeout', 'database.asynchronous.timeout.late'],
      committing((unit) => ({ ...unit, timeoutMs: 7_000 })),
    ),
    fault('one transaction at a time', ['database.asynchronous.timeout.others'], (database) => {
      let last: Promise<unknown> = Promise.resolve()
      return {
        commit(unit) {
          const outcome = last.then(() => database.commit(unit))
          last = outcome.catch(() => {})
          return outcome
        },
      }
    }),
    fault(
      'rows are numbered when they are written, and read above the last number',
      ['database.outbox.late', 'database.join.late'],
      numberedEarly(),
    ),
    fault(
      'outside I/O is passed over',
      ['database.asynchronous.outside-io'],
      // The effects run before the transaction that they are in.
      (database) => ({
        async commit(unit) {
          await unit.effects?.(database.db)
          return database.commit({ ...unit, effects: undefined })
        },
      }),
    ),
    fault(
      'what joined a transaction is stored in whichever is open, or in none',
      ['database.join.next'],
      (database) => ({
        join(tx) {
          database.join(tx)
          // It joins anew each time.
          return { driver: 'asynchronous', store: async (messages) => database.join(tx).store(messages) }
        },
      }),
    ),
    fault('what is moved stays', ['database.move.as-sent', 'database.move.relays'], moving(movedTwice)),
    fault(
      'the limit of a move is passed over',
      ['database.move.limit'],
      moving((_, move) => (holder, destination, _limit, to) => move(holder, destination, 1_000, to)),
    ),
    fault(
      'a move does not ask for the lock',
      ['database.move.lock'],
      moving((database, move) => async (holder, ...args) => {
        await database.outbox.unlock('relay-2')
        return move(holder, ...args)
      }),
    ),
    fault(
      'a move takes the lock, and keeps it',
      ['database.move.lock'],
      moving((database, move) => async (holder, ...args) => {
        await database.outbox.lock(holder, 60_000)
        return move(holder, ...args)
      }),
    ),
    fault(
      'a move counts partitions otherwise',
      ['database.move.partitions'],
      moving(
        (_, move) =>
          (holder, destination, limit, { home, partitions }) =>
            move(holder, destination, limit, { home, partitions: Math.max(1, partitions - 1) }),
      ),
    ),
    fault(
      'what stands before a row that cannot be moved is forgotten',
      ['database.move.whole'],
      moving((database, move) => async (holder, destination, limit, to) => {
        const moved = await move(holder, destination, limit, to)
        if (moved === undefined && (await database.outbox.lock(holder, 5_000)))
          await database.outbox.remove(await database.outbox.take(holder, destination, 1))
        return moved
      }),
    ),
    fault('any streams are adopted', ['database.move.elsewhere'], () => ({ adopt: async () => true })),
    fault('rows are skipped that come after later ones', ['database.move.late'], moving(movedInTime)),
    fault('any wait is taken for outside I/O', ['database.asynchronous.inside-is-fine'], (database) => ({
      async commit(unit) {
        const effects =
          unit.effects &&
          ((db: PgQueryable) => fetch('http://127.0.0.1:45999/').catch(() => unit.effects!(db)))
        return database.commit({ ...unit, effects })
      },
    })),
  ]
  return {
    missing: await embeddedPostgres.missing(),
    faults,
    sound: () => subject(() => ({})),
    async start() {
      server = await embeddedPostgres.start({ settings: { max_connections: '200', fsync: 'off' } })
    },
    end: () => server?.stop(),
  }
}
