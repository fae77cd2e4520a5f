// What is the SQLite database's own: services in one file, whose context effects run in, what is refused, and restored copies.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, test } from 'vitest'
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
  const both = unit({ inbox: { consumer: 'c', id: 'm' }, outbox: [message('m')] })
  assert.equal(await lower.commit(both), 'committed')
  assert.equal(await upper.commit(both), 'committed')
  assert.equal((await lower.outbox.count()).waiting, 1)
  assert.notEqual(lower.outbox.producerId, upper.outbox.producerId)
  await Promise.all([lower.close(), upper.close()])
})

test('a name that no context can have is refused before the file is made', async () => {
  await assert.rejects(open(newPath(), 'a"; DROP TABLE effect; --'), { code: 'INVALID_NAME' })
})
