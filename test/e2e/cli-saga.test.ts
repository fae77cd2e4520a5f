// Sagas from the command line: the real command, on the databases that the topology names.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { command } from './spillway-process.ts'

const config = `
  import { context, event, saga, service, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
  import { sqliteDatabase } from ${JSON.stringify(resolve('src/engines/sqlite/index.ts'))}
  const orders = context('orders', { events: { placed: event({ data: unchecked() }) } })
  const order = saga('order', { state: unchecked() }).startedBy(orders.events.placed, { by: ({ id }) => id }, (data) => data)
  const shop = service(context('shop', {}), { database: sqliteDatabase('shop.db') }).saga(order)
  export default topology({ contexts: [orders, shop], engine: 'sqlite:./data' })
`
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-saga-'))
  await writeFile(join(folder, 'spillway.config.ts'), config)
})
afterAll(() => rm(folder, { recursive: true }))

test('looking at a database that nobody has used makes nothing', { timeout: 60_000 }, async () => {
  expect((await command(folder, 'saga', 'ls')).out).toMatch(/\norder +shop +0 +0 *\n/)
  expect((await command(folder, 'saga', 'show', 'order')).out).toBe('The saga order has no instances.\n')
  expect(await readdir(folder)).toEqual(['spillway.config.ts'])
})

test('ls counts instances, show shows them', { timeout: 60_000 }, async () => {
  const database = await sqliteDatabase(join(folder, 'shop.db')).open('shop')
  const envelope = {
    specversion: '1.0',
    id: 'A',
    source: '/',
    type: 'order',
    dataschema: 'urn:spillway:order:1',
    data: { cents: 5 },
  }
  const compensations = [{ name: 'reserved', queue: 'stock.release', id: 'x', body: '{}' }]
  const body = JSON.stringify({ state: JSON.stringify(envelope), timeouts: { payment: 't' }, compensations })
  for (const [id, text] of [
    ['A', body],
    ['B', null],
    ['C', body.replace(':1\\"', ':9\\"')],
    ['D', '{"state":'],
  ] as const)
    await database.commit({
      outbox: [],
      timeoutMs: 5_000,
      saga: { saga: 'order', id, expected: 0, body: text },
    })
  await database.close()
  const { out, code, err } = await command(folder, 'saga', 'ls')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/SAGA +CONTEXT +RUNNING +ENDED +WAITS LONGEST\norder +shop +3 +1 +A, /)
  const shown = await command(folder, 'saga', 'show', 'order', '--json')
  expect(JSON.parse(shown.out).instances).toMatchObject([
    {
      id: 'A',
      state: { cents: 5 },
      ended: false,
      steps: 1,
      timeouts: ['payment'],
      compensations: ['reserved'],
    },
    { id: 'B', ended: true },
    { id: 'C', ended: false, timeouts: ['payment'], unreadable: { code: 'UNKNOWN_VERSION' } },
    { id: 'D', ended: false, timeouts: [], unreadable: { code: 'INVALID_MESSAGE' } },
  ])
  expect((await command(folder, 'saga', 'show', 'order', 'C')).out).toMatch(
    /^C\n {2}1 step.*\n {2}its state cannot be read: .*\n {2}timeouts {2}payment\n/,
  )
  expect((await command(folder, 'saga', 'show', 'order', 'A')).out).toContain('state     {"cents":5}')
  expect(await command(folder, 'saga', 'show', 'nothing')).toMatchObject({ code: 2 })
})
