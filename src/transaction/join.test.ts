// Transactions that a user of SQLite has open, and every way past a transaction from inside one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import BetterSqlite3 from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'
import { Kysely, SqliteDialect } from 'kysely'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { queue } from '../core/contract.ts'
import { sqliteDatabase } from '../engines/sqlite/database.ts'
import {
  context,
  event,
  open,
  type Running,
  run,
  type Schema,
  service,
  topology,
  unchecked,
} from '../index.ts'
import { memory } from '../testing/memory/engine.ts'

/** A validator that takes its time. */
const slow: Schema<string, string> = {
  '~standard': { version: 1, vendor: 'test', validate: async (value) => ({ value: value as string }) },
}

const orders = context('orders', {
  events: {
    placed: event({ data: unchecked<number>(), key: () => 'one' }),
    checked: event({ data: slow, key: () => 'one' }),
  },
  queues: { receipts: queue({ data: unchecked<number>() }), tasks: queue({ data: unchecked<string>() }) },
})
const bare = context('bare', {})
const waits = { timeout: 10_000 }

let folder: string
let file: string
let running: Running | undefined
let seen: unknown[]
let worked: unknown[]

const setup = (db: DatabaseSync) => db.exec('CREATE TABLE IF NOT EXISTS effect (n INTEGER PRIMARY KEY)')

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-join-'))
  file = join(folder, 'orders.db')
  seen = []
  worked = []
})
afterEach(async () => {
  await running?.stop()
  running = undefined
  rmSync(folder, { recursive: true })
})

const made = () => service(orders, { database: sqliteDatabase(file, { setup }) })
const listening = () => service(bare).on(orders.events.placed, ({ data }) => void seen.push(data))

async function start() {
  const of = made().work(orders.queues.receipts, ({ data }) => void worked.push(data))
  running = await run(topology({ contexts: [of, listening()], engine: 'sqlite:unused' }), {
    engine: memory(),
  })
  return running.service(of)
}

describe.each([
  ['node:sqlite', (path: string) => new DatabaseSync(path)],
  ['better-sqlite3', (path: string) => new BetterSqlite3(path)],
])('%s', (_, handle) => {
  test('a commit publishes and sends, a rollback does neither, and where there is no transaction it is said', async () => {
    const of = await start()
    const db = handle(file)
    db.exec('BEGIN')
    db.exec('INSERT INTO effect VALUES (1)')
    for (const n of [1, 2, 3]) of.join(db).publish(orders.events.placed, n)
    expect(of.join(db).send(orders.queues.receipts, 7, { id: 'receipt' })).toBe('receipt')
    db.exec('COMMIT')
    of.committed()
    await vi.waitFor(() => expect([seen, worked]).toEqual([[1, 2, 3], [7]]), waits)
    db.exec('BEGIN')
    const joined = of.join(db)
    joined.publish(orders.events.placed, 4)
    db.exec('ROLLBACK')
    expect(() => joined.publish(orders.events.placed, 5)).toThrow(
      expect.objectContaining({ code: 'NO_TRANSACTION' }),
    )
    expect(() => of.join(db)).toThrow(expect.objectContaining({ code: 'NO_TRANSACTION' }))
    await running!.drained()
    expect(seen).toEqual([1, 2, 3])
    db.close()
  })
})

test('query builders on SQLite: the handle that they were made with is joined, inside their transaction', async () => {
  const of = await start()
  const handle = new BetterSqlite3(file)
  const kysely = new Kysely<{ effect: { n: number } }>({ dialect: new SqliteDialect({ database: handle }) })
  const builder = drizzle(handle)
  const effect = sqliteTable('effect', { n: integer('n') })
  const changed = new Error('changed my mind')
  const byKysely = (n: number, undone = false) =>
    kysely.transaction().execute(async (trx) => {
      await trx.insertInto('effect').values({ n }).execute()
      of.join(handle).publish(orders.events.placed, n)
      if (undone) throw changed
    })
  const byDrizzle = (n: number, undone = false) =>
    builder.transaction((tx) => {
      tx.insert(effect).values({ n }).run()
      of.join(handle).publish(orders.events.placed, n)
      if (undone) throw changed
    })
  await byKysely(1)
  await expect(byKysely(2, true)).rejects.toBe(changed)
  byDrizzle(3)
  expect(() => byDrizzle(4, true)).toThrow(changed)
  of.committed()
  await vi.waitFor(() => expect(seen).toEqual([1, 3]), waits)
  await running!.drained()
  expect(seen).toEqual([1, 3])
  expect(handle.prepare('SELECT n FROM effect ORDER BY n').all()).toEqual([{ n: 1 }, { n: 3 }])
  await kysely.destroy()
})

test('the service own handle can be joined too, and without committed() the poll finds it', async () => {
  const of = await start()
  const { db } = of.database!
  db.exec('BEGIN IMMEDIATE')
  of.join(db).publish(orders.events.placed, 1)
  db.exec('COMMIT')
  await vi.waitFor(() => expect(seen).toEqual([1]), waits)
})

test('an asynchronous validator is refused, and its message is in no transaction', async () => {
  const of = await start()
  const { db } = of.database!
  db.exec('BEGIN IMMEDIATE')
  expect(() => of.join(db).publish(orders.events.checked, 'a')).toThrow(
    expect.objectContaining({ code: 'COMMIT_ASYNC' }),
  )
  db.exec('COMMIT')
  expect(await of.database!.outbox.count()).toEqual({ waiting: 0, setAside: 0 })
})

test('a service without a database has nothing to join', async () => {
  const of = service(bare)
  running = await run(topology({ contexts: [of], engine: 'sqlite:unused' }), { engine: memory() })
  const db = new DatabaseSync(':memory:')
  expect(() => running!.service(of).join(db)).toThrow(expect.objectContaining({ code: 'NO_DATABASE' }))
  db.close()
})

describe('from inside a handler, and from inside transaction(), nothing goes past the transaction', () => {
  const doors = [
    'queue.send',
    'queue.sendMany',
    'stream.append',
    'stream.appendMany',
    'transaction',
    'transaction of another service',
    'join',
    'a sender that joined before',
  ] as const

  test.each(doors)('%s', async (door) => {
    const other = service(bare, { database: sqliteDatabase(join(folder, 'bare.db')) })
    const tried: unknown[] = []
    let through: () => unknown = () => {}
    const trying = async () => {
      try {
        await through()
        tried.push('went through')
      } catch (thrown) {
        tried.push((thrown as { code?: unknown }).code)
      }
    }
    const of = made().work(orders.queues.tasks, trying)
    const engine = memory()
    running = await run(topology({ contexts: [of, other], engine: 'sqlite:unused' }), { engine })
    const spillway = await open(engine)
    const receipts = running.queue(orders.queues.receipts)
    const stream = await spillway.stream('elsewhere', { data: unchecked<number>() })
    const mine = running.service(of)
    const handle = new DatabaseSync(file)
    handle.exec('BEGIN')
    const joined = mine.join(handle)
    through = {
      'queue.send': () => receipts.send(1),
      'queue.sendMany': () => receipts.sendMany([1]),
      'stream.append': () => stream.append(1),
      'stream.appendMany': () => stream.appendMany([1]),
      transaction: () => mine.transaction((tx) => tx.publish(orders.events.placed, 1)),
      'transaction of another service': () => running!.service(other).transaction(() => {}),
      join: () => mine.join(handle).publish(orders.events.placed, 1),
      'a sender that joined before': () => joined.publish(orders.events.placed, 1),
    }[door]
    await running.queue(orders.queues.tasks).send('go')
    await vi.waitFor(() => expect(tried).toEqual(['DIRECT_SEND']), waits)
    await mine.transaction(() => void trying())
    await vi.waitFor(() => expect(tried).toEqual(['DIRECT_SEND', 'DIRECT_SEND']), waits)
    handle.exec('COMMIT')
    handle.close()
    expect(await mine.database!.outbox.count()).toEqual({ waiting: 0, setAside: 0 })
    await spillway.close()
  })
})
