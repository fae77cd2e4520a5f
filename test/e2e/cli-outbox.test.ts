// Looking after outboxes from the command line: the real command, on SQLite.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import type { Database } from '../../src/ports/database.ts'
import { command } from './spillway-process.ts'

const config = `
  import { context, event, service, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
  import { sqliteDatabase } from ${JSON.stringify(resolve('src/engines/sqlite/index.ts'))}
  const orders = context('orders', { events: { placed: event({ data: unchecked() }) } })
  const mail = context('mail', {})
  export default topology({
    contexts: [service(orders, { database: sqliteDatabase('./orders.db') }), service(mail)], engine: 'sqlite:./data',
  })
`
let folder: string
let database: Database<unknown>
const on = (...args: readonly string[]) => command(folder, ...args)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-outbox-'))
  await writeFile(join(folder, 'spillway.config.ts'), config)
  database = await sqliteDatabase(join(folder, 'orders.db')).open('orders')
  const outbox = ['a', 'b', 'c', 'd'].map((id) => ({
    destination: { kind: 'queue', name: id === 'd' ? 'other' : 'receipts' } as const,
    id,
    key: undefined,
    body: `{"data":"of ${id}"}`,
  }))
  await database.commit({ outbox, timeoutMs: 1_000 })
  await database.outbox.lock('test', 60_000)
  const rows = await database.outbox.take('test', { kind: 'queue', name: 'receipts' }, 10)
  for (const row of rows) await database.outbox.setAside(row, `TOO_LARGE: ${row.id} is`)
})
afterAll(async () => {
  await database?.close()
  await rm(folder, { recursive: true })
})

test('ls, aside, retry and drop, of a topology and of a file', async () => {
  const listed = await on('outbox', 'ls')
  expect({ code: listed.code, err: listed.err }).toEqual({ code: 0, err: '' })
  expect(listed.out).toMatch(/orders +1 +3 +queue other/)
  const shown = await on('outbox', 'aside', 'orders')
  expect(shown.out).toMatch(/queue receipts {2}a\n {2}TOO_LARGE: a is\n {2}.*of a/)
  const { setAside } = JSON.parse((await on('outbox', 'aside', 'orders', '--json')).out)
  const [a, b] = setAside.map(({ sequence }: { sequence: number }) => String(sequence)) as [string, string]
  const put = await on('outbox', 'retry', 'orders', a, '--database', './orders.db')
  expect(put).toMatchObject({ code: 0, out: '1 message put back.\n' })
  expect(await on('outbox', 'retry', 'orders', a)).toMatchObject({ code: 1, out: '0 messages put back.\n' })
  expect(await on('outbox', 'drop', 'orders', b)).toMatchObject({ code: 0, out: '1 message dropped.\n' })
  expect(await on('outbox', 'drop', 'orders', '--all', '--yes')).toMatchObject({
    code: 0,
    out: '1 message dropped.\n',
  })
  expect(await database.outbox.count()).toEqual({ waiting: 2, setAside: 0 })
  const rest = JSON.parse((await on('outbox', 'ls', '--json')).out)
  expect(rest.outboxes).toMatchObject([
    { service: 'orders', waiting: 2, setAside: 0, destinations: ['queue other', 'queue receipts'] },
  ])
}, 60_000)

test('wrong usage is told, and makes nothing', async () => {
  for (const wrong of [
    ['retry', 'orders'],
    ['drop', 'orders', '1', '--all'],
    ['aside', 'nobody'],
    ['ls', '--database', './orders.db'],
    ['ls', 'orders', '--database', './absent.db'],
    ['drop', 'orders', '--all'],
    ['ls', 'ordres', '--database', './orders.db'],
  ])
    expect(await on('outbox', ...wrong), wrong.join(' ')).toMatchObject({ code: 2, out: '' })
  const mistyped = await on('outbox', 'aside', 'ordres', '--database', './orders.db')
  expect(mistyped.err).toContain('no service ordres in that database; nothing was made. It has orders')
  const tables = (database.db as DatabaseSync)
    .prepare("SELECT name FROM sqlite_master WHERE name LIKE '%ordres%'")
    .all()
  expect(tables).toEqual([])
  expect(await readdir(folder)).not.toContain('absent.db')
}, 60_000)

test('a service that has not run yet has nothing to send, and looking makes nothing', async () => {
  await mkdir(join(folder, 'new'))
  await writeFile(join(folder, 'new/spillway.config.ts'), config)
  const looked = await command(join(folder, 'new'), 'outbox', 'ls')
  expect(looked).toMatchObject({ code: 0, out: expect.stringMatching(/orders +0 +0/), err: '' })
  expect(await readdir(join(folder, 'new'))).toEqual(['spillway.config.ts'])
}, 60_000)
