// What is particular to units on an asynchronous driver: who may end the transaction, what happens to slow queries, and
// that nothing stays open on the server.
import { expect, test } from 'vitest'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import type { CommitUnit, Database } from '../../src/ports/database.ts'
import { freePort } from '../servers/free-port.ts'
import { looking, onServers } from './on-servers.ts'

/** Nobody listens there. */
const nowhere = `http://127.0.0.1:${await freePort()}`

type Parts = Partial<CommitUnit<PgQueryable>>

await onServers('units', {}, (server) => {
  /** A database of the test's own, with a table. */
  async function open(name: string) {
    const { url } = server()
    const admin = looking(url, 2)
    await admin.query(`drop schema if exists "${name}" cascade; create schema "${name}"`)
    await admin.query(`create table "${name}".effect (id text primary key)`)
    const database: Database<PgQueryable> = await postgresDatabase({ url, schema: name, poolSize: 3 }).open(
      'shop',
    )
    const commit = (parts: Parts) => database.commit({ outbox: [], timeoutMs: 5_000, ...parts })
    return {
      database,
      admin,
      commit,
      insert: (db: PgQueryable, id: string) => db.query(`insert into "${name}".effect values ($1)`, [id]),
      rows: async () =>
        (await admin.query(`select id from "${name}".effect order by id`)).rows.map(({ id }) => id),
      close: () => Promise.all([database.close(), admin.end()]),
    }
  }

  test('effects cannot end their transaction, openly or hidden among other statements', async () => {
    const { commit, insert, rows, close } = await open('ends')
    for (const text of [
      'commit',
      'select 1; commit; begin',
      'select 1; rollback; begin',
      'select 1; commit',
    ]) {
      const effects = async (db: PgQueryable) => {
        await db.query(text).catch(() => {})
        await insert(db, text).catch(() => {})
      }
      await expect(commit({ effects, inbox: { consumer: 'c', ids: [text] } })).rejects.toMatchObject({
        code: 'COMMIT_TWICE',
      })
    }
    expect(await rows()).not.toContain('commit')
    // The connections are of use again.
    for (let index = 0; index < 5; index++)
      expect(await commit({ effects: (db) => insert(db, `after${index}`) })).toBe('committed')
    await close()
  })

  test('a commit hidden in the effects stores nothing, and the unit can be tried again; nor does what follows a rollback', async () => {
    const { commit, insert, rows, close } = await open('hidden')
    const inbox = { consumer: 'c', ids: ['i'] }
    for (const text of [
      'select 1; commit',
      'select 1; commit; begin',
      'select 1; rollback',
      'select 1; rollback; begin',
      '-- odd\rcommit',
      '-- odd\rrollback',
    ]) {
      const effects = async (db: PgQueryable) => {
        await insert(db, 'before')
        await db.query(text).catch(() => {})
        await insert(db, 'after').catch(() => {})
      }
      await expect(commit({ effects, inbox }), text).rejects.toMatchObject({ code: 'COMMIT_TWICE' })
      expect(await rows(), text).toEqual([])
    }
    expect(await commit({ effects: (db) => insert(db, 'at last'), inbox })).toBe('committed')
    expect(await rows()).toEqual(['at last'])
    await close()
  })

  test('savepoints are free: a failure that was rolled back to one does not spoil the unit', async () => {
    const { commit, insert, rows, close } = await open('savepoints')
    const effects = async (db: PgQueryable) => {
      await insert(db, 'one')
      await db.query('savepoint a')
      await expect(insert(db, 'one')).rejects.toMatchObject({ code: '23505' })
      await db.query('rollback to savepoint a')
      await insert(db, 'two')
    }
    expect(await commit({ effects })).toBe('committed')
    expect(await rows()).toEqual(['one', 'two'])
    await close()
  })

  test('a native failure that the effects keep to themselves is what commit rejects with', async () => {
    const { commit, insert, close } = await open('swallowed')
    const effects = async (db: PgQueryable) => {
      await insert(db, 'one')
      await insert(db, 'one').catch(() => {})
    }
    await expect(commit({ effects })).rejects.toMatchObject({ code: '23505' })
    await close()
  })

  test('a constraint that is checked at the commit fails the unit as the driver fails', async () => {
    const { admin, commit, database, close } = await open('deferred')
    await admin.query(
      'create table deferred.child (parent text references deferred.effect deferrable initially deferred)',
    )
    const effects = (db: PgQueryable) => db.query(`insert into deferred.child values ('nobody')`)
    const outbox = [
      { destination: { kind: 'queue', name: 'q' }, id: 'o', key: undefined, body: '{}' },
    ] as const
    await expect(commit({ effects, outbox })).rejects.toMatchObject({ code: '23503' })
    expect(await database.outbox.count()).toEqual({ waiting: 0, setAside: 0 })
    await close()
  })

  test('the handle is of no use after its unit', async () => {
    const { commit, insert, close, rows } = await open('after')
    let kept: PgQueryable | undefined
    const effects = async (db: PgQueryable) => {
      kept = db
      await insert(db, 'in')
    }
    expect(await commit({ effects })).toBe('committed')
    await expect(insert(kept!, 'late')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await rows()).toEqual(['in'])
    await close()
  })

  test('what the effects did not await belongs to the unit', async () => {
    const { commit, insert, close, rows } = await open('unawaited')
    const effects = async (db: PgQueryable) => {
      void insert(db, 'a')
      void insert(db, 'b')
    }
    expect(await commit({ effects })).toBe('committed')
    expect(await rows()).toEqual(['a', 'b'])
    await close()
  })

  test('a query that takes too long is cancelled on the server, and its locks are gone', async () => {
    const { admin, commit, insert, close, rows } = await open('slow')
    const startedAt = performance.now()
    const effects = async (db: PgQueryable) => {
      await insert(db, 'a')
      await db.query('select pg_sleep(30)')
    }
    await expect(commit({ effects, timeoutMs: 300 })).rejects.toMatchObject({ code: 'TRANSACTION_TIMEOUT' })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    const running = async () =>
      (
        await admin.query(`select from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()
        and state <> 'idle'`)
      ).rowCount
    await expect.poll(running).toBe(0)
    expect(await commit({ effects: (db) => insert(db, 'a') })).toBe('committed')
    expect(await rows()).toEqual(['a'])
    await close()
  })

  test('waiting for an open unit with the same inbox entry is bounded too', async () => {
    const { commit, close } = await open('waiting')
    const gate = Promise.withResolvers<void>()
    const inbox = { consumer: 'c', ids: ['i'] }
    const begun = Promise.withResolvers<void>()
    const effects = () => {
      begun.resolve()
      return gate.promise
    }
    const first = commit({ inbox, effects, timeoutMs: 10_000 })
    await begun.promise
    const second = commit({ inbox, effects: async () => {}, timeoutMs: 300 })
    await expect(second).rejects.toMatchObject({ code: 'TRANSACTION_TIMEOUT' })
    gate.resolve()
    expect(await first).toBe('committed')
    expect(await commit({ inbox, effects: async () => {} })).toBe('duplicate')
    await close()
  })

  test('the own pool of the database may grow inside a unit: that is no outside I/O; a request is', async () => {
    const { commit, insert, close, rows } = await open('inside')
    const gate = Promise.withResolvers<void>()
    const grow = Array.from({ length: 3 }, (_, index) =>
      commit({
        effects: async (db) => {
          await insert(db, `${index}`)
          if (index < 2) await gate.promise
          else gate.resolve()
        },
      }),
    )
    expect(await Promise.all(grow)).toEqual(['committed', 'committed', 'committed'])
    expect(await rows()).toEqual(['0', '1', '2'])
    const call = commit({ effects: async () => fetch(`${nowhere}/?token=secret`).catch(() => {}) })
    const error = await call.catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({
      code: 'OUTSIDE_IO',
      details: { started: `the request GET ${nowhere}/` },
    })
    await close()
  })

  test('names and ids with quotes and backslashes are kept as they are', async () => {
    const { commit, database, close } = await open('quotes')
    const odd = `it's \\ "odd" \\' ; -- $1 %s \u{1f5dd}`
    const inbox = { consumer: odd, ids: [odd] }
    const { generation } = await database.acquire(odd, odd, 3)
    const progress = (finished: number) => ({
      stream: odd,
      group: odd,
      partition: 3,
      generation,
      finished,
      low: 5,
      sequences: { [odd]: 4 },
    })
    const outbox = [{ destination: { kind: 'stream', name: odd }, id: odd, key: odd, body: odd }] as const
    for (const effects of [async () => {}, undefined]) {
      const consumer = `${odd}${effects === undefined}`
      const unit = { inbox: { ...inbox, consumer }, progress: progress(effects ? 7 : 8), outbox, effects }
      expect(await commit(unit)).toBe('committed')
      expect(await commit({ ...unit, inbox: undefined })).toBe('duplicate')
      expect((await database.handled(consumer, [odd, 'other'])).ids).toEqual(new Set([odd]))
    }
    const held = await database.acquire(odd, odd, 3)
    expect(held).toEqual({
      generation: generation + 1,
      position: 5,
      finished: [7, 8],
      sequences: { [odd]: 4 },
    })
    expect(await database.outbox.lock('h', 10_000)).toBe(true)
    const rows = await database.outbox.take('h', { kind: 'stream', name: odd }, 10)
    expect(rows.map(({ id, key, body }) => [id, key, body])).toEqual([
      [odd, odd, odd],
      [odd, odd, odd],
    ])
    await close()
  })

  test('rows of the outbox are taken as far as a relay can hold them, and at least one', async () => {
    const { commit, database, close } = await open('large')
    const destination = { kind: 'queue', name: 'q' } as const
    const sizes = [15, 15, 15, 1, 1].map((mb) => mb * 1_000_000)
    for (const [index, size] of sizes.entries())
      await commit({ outbox: [{ destination, id: `${index}`, key: undefined, body: 'x'.repeat(size) }] })
    await database.outbox.lock('h', 10_000)
    const taken: string[] = []
    for (const expected of [2, 3]) {
      const rows = await database.outbox.take('h', destination, 500)
      expect(rows).toHaveLength(expected)
      taken.push(...rows.map(({ id }) => id))
      await database.outbox.remove(rows)
    }
    expect(taken).toEqual(['0', '1', '2', '3', '4'])
    await close()
  })

  test('no transaction stays open, whatever became of the units', async () => {
    const { admin, commit, insert, close } = await open('nothing')
    const ends = await Promise.allSettled([
      commit({ effects: (db) => insert(db, 'a') }),
      commit({ effects: () => Promise.reject(new Error('no')) }),
      commit({ effects: () => new Promise(() => {}), timeoutMs: 100 }),
      commit({ effects: async () => fetch(nowhere).catch(() => {}) }),
      commit({ effects: (db) => db.query('commit') }),
      commit({
        effects: async () => {},
        progress: {
          stream: 's',
          group: 'g',
          partition: 0,
          generation: 5,
          finished: 1,
          low: 2,
          sequences: {},
        },
      }),
    ])
    expect(ends.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
    ])
    const open_ = await admin.query(`select from pg_stat_activity where state like 'idle in transaction%'`)
    expect(open_.rowCount).toBe(0)
    await close()
  })
})
