// What is the SQLite database's own: services in one file, whose context effects run in, what is refused, and restored copies.
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import fs, { symlinkSync } from 'node:fs'
import { mkdtemp, open as openFile, rm } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import BetterSqlite3 from 'better-sqlite3'
import { afterAll, onTestFinished, test, vi } from 'vitest'
import type { CommitUnit, Database, OutboxMessage } from '../../ports/database.ts'
import { sqliteDatabase } from './database.ts'

type Unit = CommitUnit<DatabaseSync>

const folder = await mkdtemp(join(tmpdir(), 'spillway-database-'))
afterAll(() => rm(folder, { recursive: true }))
let files = 0
const newPath = () => join(folder, `${++files}.db`)

const setup = (db: DatabaseSync) => db.exec('CREATE TABLE IF NOT EXISTS effect (id TEXT)')
const open = (path: string, service = 'orders') => sqliteDatabase(path, { setup }).open(service)
const unit = (parts: Partial<Unit>): Unit => ({ outbox: [], timeoutMs: 5_000, ...parts })
const inserting = (id: string) => (db: DatabaseSync) => db.prepare('INSERT INTO effect VALUES (?)').run(id)
const queue = { kind: 'queue', name: 'orders.receipts' } as const
const message = (id: string): OutboxMessage => ({ destination: queue, id, key: undefined, body: '{}' })

function effects({ db }: Database<DatabaseSync>): unknown[] {
  return db
    .prepare('SELECT id FROM effect ORDER BY rowid')
    .all()
    .map(({ id }) => id)
}

test('services in one file whose names differ in case only have tables of their own', async () => {
  const path = newPath()
  const lower = await open(path, 'orders')
  const upper = await open(path, 'Orders')
  const both = unit({ inbox: { consumer: 'c', ids: ['m'] }, outbox: [message('m')] })
  assert.equal(await lower.commit(both), 'committed')
  assert.equal(await upper.commit(both), 'committed')
  assert.equal((await lower.outbox.count()).waiting, 1)
  assert.notEqual(lower.outbox.producerId, upper.outbox.producerId)
  await Promise.all([lower.close(), upper.close()])
})

test('entries that a clock ahead has dated do not keep the old ones behind them', async () => {
  const database = await open(newPath())
  const add = database.db.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
     INSERT INTO spillway_orders_inbox (consumer, id, handled_at) SELECT 'c', ?1 || i, ?3 FROM n`,
  )
  const now = Date.now()
  add.run('ahead', 12_500, now + 3_600_000)
  add.run('old', 1_500, now - 3_600_000)
  add.run('young', 10, now)
  const removed: number[] = []
  for (let call = 0; call < 5; call++) removed.push(await database.prune(now - 60_000))
  // The first call looks at 10,000 entries, and the next goes on where it stopped.
  assert.deepEqual(removed, [0, 500, 500, 500, 0])
  const known = await database.handled('c', ['ahead1', 'old1', 'old1500', 'young1'])
  assert.deepEqual([...known.ids], ['ahead1', 'young1'])
  assert.equal(known.prunedUpTo, now - 3_600_000)
  // Those are removed when they are old.
  const all: number[] = []
  for (let count = -1; count !== 0; all.push(count)) count = await database.prune(now + 7_200_000)
  assert.equal(
    all.reduce((sum, count) => sum + count, 0),
    12_510,
  )
  await database.close()
})

test('a name that no context can have is refused before the file is made', async () => {
  await assert.rejects(open(newPath(), 'a"; DROP TABLE effect; --'), { code: 'INVALID_NAME' })
})

test('effects run in the asynchronous context of their caller, also when they share a transaction', async () => {
  const database = await open(newPath())
  const tenant = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const names = ['a', 'b', 'c']
  await Promise.all(
    names.map((name) =>
      tenant.run(name, () => database.commit(unit({ effects: () => seen.push(tenant.getStore()) }))),
    ),
  )
  assert.deepEqual(seen, names)
  await database.close()
})

test('more units than may wait are refused, and the others are committed', async () => {
  const database = await open(newPath())
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10_002 }, (_, index) => database.commit(unit({ effects: inserting(`${index}`) }))),
  )
  const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
  assert.deepEqual(
    refused.map(({ reason }) => reason.code),
    ['BACKLOG_FULL', 'BACKLOG_FULL'],
  )
  assert.equal(effects(database).length, 10_000)
  assert.equal(await database.commit(unit({ effects: inserting('after') })), 'committed')
  await database.close()
})

/** Puts other syncs in the place of the system's, on either thread, until `work` has ended. */
async function withSyncs(
  syncs: { here: () => void; there: () => Promise<void> },
  work: () => Promise<void>,
): Promise<void> {
  const file = await openFile(join(folder, 'any'), 'a')
  const handles = Object.getPrototypeOf(file) as Record<'sync' | 'datasync', () => Promise<void>>
  await file.close()
  const { sync, datasync } = handles
  const { fsyncSync, fdatasyncSync } = fs
  handles.sync = handles.datasync = () => syncs.there()
  fs.fsyncSync = fs.fdatasyncSync = () => syncs.here()
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    Object.assign(handles, { sync, datasync })
    Object.assign(fs, { fsyncSync, fdatasyncSync })
    syncBuiltinESMExports()
  }
}

test('where units come one by one they are synced in place before they resolve; several, and the first ones after, on another thread', async () => {
  // By a clock on which every sync is quick.
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
  onTestFinished(() => clock.mockRestore())
  const database = await open(newPath())
  const synced: string[] = []
  const there = async () => void synced.push('there')
  await withSyncs({ here: () => void synced.push('here'), there }, async () => {
    const commit = (id: string) => database.commit(unit({ effects: inserting(id) }))
    for (const id of 'abcdefghij') await commit(id)
    assert.deepEqual(synced, [...Array<string>(8).fill('there'), 'here', 'here'])
    synced.length = 0
    await Promise.all([commit('k'), commit('l')])
    for (const id of 'mnopqrstu') await commit(id)
    assert.deepEqual(synced, [...Array<string>(9).fill('there'), 'here'])
  })
  await database.close()
})

test('who commits again as soon as it is answered keeps nobody else from their turn', async () => {
  const database = await open(newPath())
  let turns = 0
  const count = () => {
    turns += 1
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await withSyncs({ here: () => {}, there: async () => {} }, async () => {
    for (let index = 0; index < 500; index++) await database.commit(unit({}))
  })
  clearImmediate(timer)
  assert.ok(turns > 400, `${turns} turns`)
  await database.close()
})

test('a database that is given as a URI is not said to be missing', async () => {
  const path = newPath()
  const source = sqliteDatabase(`file:${path}?cache=private`)
  await (await source.open('shop')).close()
  assert.equal(await source.find!('shop'), undefined)
})

test.each(['here', 'there'] as const)(
  'after a sync failed %s nothing more is stored until the database is opened again',
  async (where) => {
    const path = newPath()
    const database = await open(path)
    const syncs = { here: () => {}, there: async () => {} }
    const fail = () => {
      throw new Error('EIO')
    }
    await withSyncs(syncs, async () => {
      assert.equal(await database.commit(unit({ effects: inserting('before') })), 'committed')
      let known = false
      syncs.here = () => {
        known = true
      }
      for (let count = 0; !known && count < 100; count++) await database.commit(unit({}))
      syncs.here = where === 'here' ? fail : () => {}
      syncs.there = where === 'there' ? async () => fail() : async () => {}
      const unknown = unit({ effects: inserting('unknown') })
      const units = where === 'here' ? [unknown] : [unknown, unit({})]
      for (const { status, reason } of (await Promise.allSettled(
        units.map((one) => database.commit(one)),
      )) as PromiseRejectedResult[])
        assert.deepEqual([status, reason?.code], ['rejected', 'ENGINE_FAILED'])
    })
    let ran = 0
    const late = unit({ effects: () => ran++ })
    await assert.rejects(database.commit(late), { code: 'ENGINE_FAILED' })
    await assert.rejects(database.acquire('s', 'g', 0), { code: 'ENGINE_FAILED' })
    assert.equal(ran, 0)
    assert.deepEqual(effects(database), ['before', 'unknown'])
    await database.close()
    const again = await open(path)
    assert.equal(await again.commit(late), 'committed')
    await again.close()
  },
)

test('a handle that was opened by a link is synced where its file is', async () => {
  const path = newPath()
  await (await open(path)).close()
  const link = newPath()
  symlinkSync(path, link)
  const handle = new BetterSqlite3(link)
  handle.pragma('journal_mode = WAL')
  const database = await sqliteDatabase(handle).open('orders')
  const effects = (db: typeof handle) => db.prepare("INSERT INTO effect VALUES ('linked')").run()
  assert.equal(await database.commit({ effects, outbox: [], timeoutMs: 5_000 }), 'committed')
  await database.close()
  handle.close()
})

test('after a restore from a backup sequences go on above those that were given since', async () => {
  const path = newPath()
  const backup = newPath()
  const database = await open(path)
  const send = (on: Database<DatabaseSync>, count: number) =>
    on.commit(unit({ outbox: Array.from({ length: count }, (_, index) => message(`m${index}`)) }))
  const taken = async (on: Database<DatabaseSync>) => {
    assert.equal(await on.outbox.lock('relay', 10_000), true)
    return (await on.outbox.take('relay', queue, 1_000)).map(({ sequence }) => sequence)
  }
  await send(database, 2)
  const inBackup = await taken(database)
  database.db.exec(`VACUUM INTO '${backup}'`)
  await send(database, 500)
  const highest = (await taken(database)).at(-1)!
  await database.close()
  await new Promise((resolve) => setTimeout(resolve, 5))
  const restored = await open(backup)
  await restored.outbox.unlock('relay')
  assert.deepEqual(await taken(restored), inBackup, 'what was there keeps its sequences')
  await send(restored, 3)
  const [first, second, third] = (await taken(restored)).slice(inBackup.length)
  assert.ok(first! > highest, `${first} is above ${highest}`)
  assert.deepEqual([second, third], [first! + 1, first! + 2], 'a unit takes as many as it needs')
  assert.ok(Number.isSafeInteger(third))
  await restored.close()
})

test('a lock that a dead relay took before the clock was set back is free', async () => {
  const database = await open(newPath())
  assert.equal(await database.outbox.lock('dead', 3_000), true)
  assert.equal(await database.outbox.lock('next', 3_000), false)
  database.db.exec('UPDATE spillway_orders_relay SET locked_until = locked_until + 3600000')
  assert.equal(await database.outbox.lock('next', 3_000), true)
  await database.close()
})

test('no more long rows are taken at once than a relay can hold, and none is passed over', async () => {
  const database = await open(newPath())
  const body = `{"text":"${'x'.repeat(5 * 2 ** 20)}"}`
  const outbox = Array.from({ length: 8 }, (_, index) => ({ ...message(`m${index}`), body }))
  await database.commit(unit({ outbox }))
  assert.equal(await database.outbox.lock('relay', 10_000), true)
  const taken: string[] = []
  for (let rows = await database.outbox.take('relay', queue, 1_000); rows.length > 0; ) {
    assert.ok(rows.length <= 4, `${rows.length} of 5 MiB at once`)
    taken.push(...rows.map(({ id }) => id))
    await database.outbox.remove(rows)
    rows = await database.outbox.take('relay', queue, 1_000)
  }
  assert.deepEqual(
    taken,
    outbox.map(({ id }) => id),
  )
  await database.close()
})

const drivers = {
  'node:sqlite': (path: string) => new DatabaseSync(path, { timeout: 7_000 }),
  'better-sqlite3': (path: string) => new BetterSqlite3(path, { timeout: 7_000 }) as unknown as DatabaseSync,
}

for (const [driver, opened] of Object.entries(drivers)) {
  test(`${driver}: neither locks nor syncs stop the event loop, and the handle stays as it was`, async () => {
    const path = newPath()
    const handle = opened(path)
    handle.exec('PRAGMA journal_mode = WAL')
    const database = await sqliteDatabase(handle, { setup }).open('orders')
    const settings = () =>
      ['synchronous', 'busy_timeout'].map((name) => Object.values(handle.prepare(`PRAGMA ${name}`).get()!)[0])
    let inside: unknown[] = []
    await database.commit(unit({ effects: () => (inside = settings()) }))
    assert.deepEqual(inside, [1, 0], 'the log is synced elsewhere, and the lock is asked for again and again')
    assert.deepEqual(settings(), [2, 7_000])
    // By the same driver: locks do not keep two copies of SQLite in one process apart.
    const other = opened(path)
    other.exec('BEGIN IMMEDIATE')
    let ended = false
    const committing = database.commit(unit({ effects: inserting('late') })).then((outcome) => {
      ended = true
      return outcome
    })
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.equal(ended, false)
    other.exec('COMMIT')
    other.close()
    assert.equal(await committing, 'committed')
    assert.deepEqual(effects(database), ['late'])
    await database.close()
    handle.close()
  })
}

test("a unit does not end a transaction of the service's own, and says so", async () => {
  const database = await open(newPath())
  database.db.exec("BEGIN; INSERT INTO effect VALUES ('own')")
  const refused = { code: 'CONFIGURATION', message: /transaction of the service's own/ }
  await assert.rejects(database.commit(unit({ effects: inserting('no') })), refused)
  await assert.rejects(database.acquire('s', 'g', 0), refused)
  database.db.exec('COMMIT')
  assert.equal(await database.commit(unit({ effects: inserting('yes') })), 'committed')
  assert.deepEqual(effects(database), ['own', 'yes'])
  await database.close()
})

test('whoever closes second waits for the first', async () => {
  const database = await open(newPath())
  let committed = false
  void database.commit(unit({ effects: inserting('a') })).then(() => {
    committed = true
  })
  void database.close()
  await database.close()
  assert.ok(committed)
})

test('a unit that violates a deferred foreign key takes none of its neighbours along', async () => {
  const tables = (db: DatabaseSync) =>
    db.exec(
      'CREATE TABLE owner (id TEXT PRIMARY KEY); CREATE TABLE effect (id TEXT REFERENCES owner DEFERRABLE INITIALLY DEFERRED)',
    )
  const database = await sqliteDatabase(newPath(), { setup: tables }).open('orders')
  const insert = (sql: string) => database.commit(unit({ effects: (db) => db.exec(sql) }))
  const outcomes = await Promise.allSettled([
    insert("INSERT INTO effect VALUES ('a'); INSERT INTO owner VALUES ('a')"),
    insert("INSERT INTO effect VALUES ('nobody')"),
    insert("INSERT INTO effect VALUES ('b'); INSERT INTO owner VALUES ('b')"),
  ])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(effects(database), ['a', 'b'])
  await database.close()
})

const canAuthorize = 'setAuthorizer' in DatabaseSync.prototype

test.skipIf(!canAuthorize)(
  'effects that try to end the transaction fail alone, and stored nothing',
  async () => {
    const database = await open(newPath())
    for (const end of ['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN', 'BEGIN']) {
      const rogue = unit({
        effects(db) {
          inserting('rogue')(db)
          db.exec(end)
        },
      })
      const [before, , after] = await Promise.all([
        database.commit(unit({ effects: inserting(`before ${end}`) })),
        assert.rejects(database.commit(rogue), {
          code: 'CONFIGURATION',
          message: /BEGIN, COMMIT or ROLLBACK/,
        }),
        database.commit(unit({ effects: inserting(`after ${end}`) })),
      ])
      assert.deepEqual([before, after], ['committed', 'committed'])
      assert.deepEqual(effects(database).slice(-2), [`before ${end}`, `after ${end}`])
    }
    database.db.exec("BEGIN; INSERT INTO effect VALUES ('own'); COMMIT")
    await database.close()
  },
)
