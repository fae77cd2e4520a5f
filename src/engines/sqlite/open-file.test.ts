import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type FileSchema, openFile, pragma } from './open-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-open-'))
afterAll(() => rmSync(folder, { recursive: true }))

const schema: FileSchema = {
  version: 0x1234,
  migrations: ['CREATE TABLE a (x)', 'ALTER TABLE a ADD COLUMN y; CREATE TABLE b (z)'],
}
const options = { synchronous: 'full', openTimeoutMs: 10_000, busyTimeoutMs: 0 } as const

let path = ''
let files = 0
beforeEach(() => {
  path = join(folder, `${++files}.db`)
})

function refusal(use: FileSchema = schema): { code: string; changed: boolean } {
  const before = readFileSync(path)
  try {
    openFile(path, use, options).close()
  } catch (thrown) {
    return { code: (thrown as { code: string }).code, changed: !before.equals(readFileSync(path)) }
  }
  throw new Error('it was opened')
}

describe('a file of ours', () => {
  test('is created with all migrations, its mark and its version, in WAL mode with full syncing', () => {
    const db = openFile(path, schema, options)
    expect(pragma(db, 'application_id')).toBe(0x1234)
    expect(pragma(db, 'user_version')).toBe(2)
    expect(pragma(db, 'journal_mode')).toBe('wal')
    expect(pragma(db, 'synchronous')).toBe(2)
    db.exec('INSERT INTO a (x, y) VALUES (1, 2)')
    db.close()
  })

  test('is brought from an older version to the newest, keeping what it has', () => {
    const old = openFile(path, { ...schema, migrations: schema.migrations.slice(0, 1) }, options)
    old.exec('INSERT INTO a (x) VALUES (7)')
    old.close()
    const db = openFile(path, schema, options)
    expect({ ...db.prepare('SELECT x, y FROM a').get() }).toEqual({ x: 7, y: null })
    db.close()
  })

  test('stays at the version that it had when a migration fails', () => {
    openFile(path, { ...schema, migrations: schema.migrations.slice(0, 1) }, options).close()
    const broken = { ...schema, migrations: [schema.migrations[0]!, 'CREATE TABLE c (x); SELECT nonsense'] }
    expect(() => openFile(path, broken, options)).toThrow(/ENGINE_FAILED/)
    const db = openFile(path, schema, options)
    expect(pragma(db, 'user_version')).toBe(2)
    expect(db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'c'").get()!.n).toBe(0)
    db.close()
  })

  test('from a newer version is refused unchanged', () => {
    openFile(path, { ...schema, migrations: [...schema.migrations, 'CREATE TABLE c (x)'] }, options).close()
    expect(refusal()).toEqual({ code: 'STORE_FROM_FUTURE', changed: false })
  })
})

describe('a file that is not for us is refused unchanged:', () => {
  test('no database', () => {
    writeFileSync(path, 'a text of some length, which is no database at all')
    expect(refusal()).toEqual({ code: 'STORE_CORRUPT', changed: false })
  })

  test('a database of another program', () => {
    openFile(path, { ...schema, version: 0x9999 }, options).close()
    expect(refusal()).toEqual({ code: 'STORE_CORRUPT', changed: false })
  })

  test('a database without a mark that has tables', () => {
    const db = new DatabaseSync(path)
    db.exec('CREATE TABLE theirs (x)')
    db.close()
    expect(refusal()).toEqual({ code: 'STORE_CORRUPT', changed: false })
  })

  test('a database that was cut short', () => {
    const db = openFile(path, schema, options)
    db.exec('INSERT INTO a (x) VALUES (zeroblob(100000))')
    db.close()
    writeFileSync(path, readFileSync(path).subarray(0, 8192))
    expect(refusal()).toEqual({ code: 'STORE_CORRUPT', changed: false })
  })

  test('a database whose header is intact and whose rest is noise', () => {
    openFile(path, schema, options).close()
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 100)
    writeFileSync(path, bytes)
    expect(refusal()).toEqual({ code: 'STORE_CORRUPT', changed: false })
  })
})

test('in a file of somebody else the version is kept in a table, and other tables stay', () => {
  const theirs = new DatabaseSync(path)
  theirs.exec('CREATE TABLE theirs (x); PRAGMA user_version = 77; PRAGMA application_id = 5')
  theirs.close()
  const guest: FileSchema = { ...schema, version: 'guest_version' }
  openFile(path, guest, options).close()
  const db = openFile(path, guest, options)
  expect(db.prepare('SELECT max(version) AS version FROM guest_version').get()!.version).toBe(2)
  expect(pragma(db, 'user_version')).toBe(77)
  db.close()
  expect(refusal({ ...guest, migrations: guest.migrations.slice(0, 1) })).toEqual({
    code: 'STORE_FROM_FUTURE',
    changed: false,
  })
})

test('several processes open a new folder at once', async () => {
  const shared = join(folder, 'new', 'folder')
  const script = join(import.meta.dirname, 'test-process.mjs')
  const children = Array.from({ length: 4 }, () => fork(script, ['declare', shared], { execArgv: [] }))
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))
  expect(codes).toEqual([0, 0, 0, 0])
  const db = new DatabaseSync(join(shared, 'spillway.db'), { readOnly: true })
  expect(db.prepare('SELECT count(*) AS n FROM queue').get()!.n).toBe(1)
  db.close()
})
