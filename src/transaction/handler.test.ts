// One handler, one commit: also when it is not waited for, called twice, or fails.
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import { newId } from '../core/id.ts'
import type { Message } from '../core/message.ts'
import type { Report } from '../core/report.ts'
import { type Schema, unchecked } from '../core/schema.ts'
import { sqliteDatabase } from '../engines/sqlite/database.ts'
import type { Database, OutboxMessage } from '../ports/database.ts'
import type { Delivery } from '../queue/delivery.ts'
import type { EventDelivery } from '../stream/event-delivery.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { eventHandler, type HandlerContext, workHandler } from './handler.ts'
import { transaction } from './transaction.ts'
import type { UnitHome } from './unit.ts'

/** Validates after as many milliseconds as the number says; refuses negative ones. */
const slow: Schema<number, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) => {
      const given = value as number
      await new Promise((resolve) => setTimeout(resolve, Math.max(given, 0)))
      return given < 0 ? { issues: [{ message: 'negative' }] } : { value: given }
    },
  },
}
const shop = context('shop', {
  events: { slow: event({ data: slow, key: () => 'k' }) },
  queues: { go: queue({ data: unchecked<string>() }), mail: queue({ data: unchecked<string>() }) },
})
const { go, mail } = shop.queues

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

function homeOf<Db>(database: Database<Db>, reports: Report[] = []): UnitHome<Db> {
  ends.push(() => database.close())
  return {
    context: 'shop',
    database,
    deliver: async () => {},
    cancel: async () => 'unknown',
    onReport: (report) => reports.push(report),
    timeoutMs: 1_000,
  }
}

async function memoryHome(reports: Report[] = []): Promise<UnitHome<MemoryTable<number>>> {
  return homeOf(await memoryDatabase({ db: new MemoryTable<number>() }).open('shop'), reports)
}

async function sqliteHome(): Promise<UnitHome<DatabaseSync>> {
  const file = join(tmpdir(), `${newId()}.db`)
  const source = sqliteDatabase(file, { setup: (db) => db.exec('CREATE TABLE effect (id TEXT)') })
  ends.push(() => ['', '-wal', '-shm'].map((end) => rmSync(file + end, { force: true })))
  const home = homeOf(await source.open('shop'))
  ends.reverse()
  return home
}

const message = { id: 'm1', type: 'shop.go', data: '' } as Message<string>
const delivery = { signal: new AbortController().signal, attempt: 1, ended: false } as unknown as Delivery

const handle = <Db>(home: UnitHome<Db>, handler: (given: HandlerContext<Db>) => unknown) =>
  workHandler(home, go, (_, given) => handler(given))(message, delivery)

/** What the outbox holds, in its order. */
async function sent<Db>({ database }: UnitHome<Db>): Promise<unknown[]> {
  const { outbox } = database!
  await outbox.lock('test', 1_000)
  const all: OutboxMessage[] = []
  for (const destination of await outbox.pending()) all.push(...(await outbox.take('test', destination, 100)))
  return all.map(({ body }) => (JSON.parse(body) as { data: unknown }).data)
}

test('a commit that is not waited for is the commit of its handler', async () => {
  const reports: Report[] = []
  const home = await memoryHome(reports)
  await handle(home, ({ commit }) => {
    void commit((tx) => tx.db.set('a', 1))
  })
  expect(home.database!.db.get('a')).toBe(1)
  expect(reports).toEqual([])
})

test('a commit that is not waited for and fails fails its handler, and nothing else', async () => {
  const home = await memoryHome()
  const failing = handle(home, ({ commit }) => {
    void commit(() => {
      throw new Error('constraint')
    })
  })
  await expect(failing).rejects.toThrow('constraint')
  expect((await home.database!.handled('shop.go', ['m1'])).ids).toEqual(new Set())
})

test('an event that was finished before counts as committed, and one of an older generation is stale', async () => {
  const home = await memoryHome()
  const { generation } = await home.database!.acquire('shop', 'shop', 0)
  const at = { stream: 'shop', group: 'shop', partition: 0, finished: 0, low: 1, sequences: {} }
  const handled = eventHandler(home, shop.events.slow, (_, { commit }) => {
    void commit((tx) => tx.db.set('count', (tx.db.get('count') ?? 0) + 1))
  })
  const attempt = (of: number) => {
    const given = { ...delivery, mark: () => ({ progress: { ...at, generation: of } }) }
    return handled({ ...message, data: 1 }, given as unknown as EventDelivery)
  }
  expect(await attempt(generation)).toBe('committed')
  expect(await attempt(generation)).toBe('committed')
  expect(home.database!.db.get('count')).toBe(1)
  await home.database!.acquire('shop', 'shop', 0)
  expect(await attempt(generation)).toBe('stale')
})

test('two commits at once: one happens, the handler is not run again, the other is reported', async () => {
  const reports: Report[] = []
  const home = await memoryHome(reports)
  await handle(home, ({ commit }) =>
    Promise.all([commit((tx) => tx.db.set('a', 1)), commit((tx) => tx.db.set('b', 1))]),
  )
  expect(home.database!.db.entries()).toEqual([['a', 1]])
  expect(reports.map(({ error }) => error.message)).toEqual([expect.stringContaining('COMMIT_TWICE')])
  expect(reports[0]!.error.message).toMatch(/not handled again\. \[HANDLER_FAILED\]$/)
})

test('messages keep the order of their calls, however long they are validated', async () => {
  const home = await memoryHome()
  await handle(home, ({ publish }) => {
    for (const data of [30, 1, 0]) publish(shop.events.slow, data)
  })
  expect(await sent(home)).toEqual([30, 1, 0])
})

test('what was sent before a commit that failed goes out with the commit that does not', async () => {
  const home = await memoryHome()
  await handle(home, async ({ publish, send, commit }) => {
    publish(shop.events.slow, 5)
    const failing = commit((tx) => {
      tx.send(mail, 'inside')
      throw new Error('constraint')
    })
    await expect(failing).rejects.toThrow('constraint')
    send(mail, 'after')
  })
  expect(await sent(home)).toEqual([5, 'after'])
})

test('a message that its asynchronous validator refuses is never left out', async () => {
  const home = await memoryHome()
  const handling = handle(home, async ({ publish, commit }) => {
    publish(shop.events.slow, -1)
    await commit().catch(() => {})
  })
  await expect(handling).rejects.toThrow('negative')
})

test('what was sent inside a commit that failed is never sent, though it is validated later', async () => {
  const home = await memoryHome()
  await handle(home, async ({ commit }) => {
    const refused = commit((tx) => tx.publish(shop.events.slow, 1))
    await expect(refused).rejects.toMatchObject({ code: 'COMMIT_ASYNC' })
    await new Promise((resolve) => setTimeout(resolve, 20))
  })
  expect(await sent(home)).toEqual([])
})

test('once the commit has begun, what would come too late is refused', async () => {
  const home = await sqliteHome()
  await handle(home, async ({ send, commit }) => {
    let late: () => void = () => {}
    const committing = commit((tx) => {
      late = () => tx.send(mail, 'late')
      tx.send(mail, 'inside')
    })
    expect(() => send(mail, 'between')).toThrow('COMMIT_TWICE')
    await committing
    expect(late).toThrow('COMMIT_TWICE')
  })
  expect(await sent(home)).toEqual(['inside'])
})

test('a query that begins when it is awaited is no synchronous work', async () => {
  const home = await sqliteHome()
  const insert = home.database!.db.prepare("INSERT INTO effect VALUES ('x')")
  // biome-ignore lint/suspicious/noThenProperty: as query builders have it
  const query = { then: (resolve: (value: unknown) => void) => resolve(insert.run()) }
  const refused = { code: 'COMMIT_ASYNC' }
  await expect(handle(home, ({ commit }) => commit(() => query))).rejects.toMatchObject(refused)
  await expect(transaction(home, () => query as PromiseLike<unknown>)).rejects.toMatchObject(refused)
})

test('where nothing is synchronous such a query is waited for, and what it resolves with is the result', async () => {
  const home = { ...(await memoryHome()), database: undefined }
  let begun = 0
  // biome-ignore lint/suspicious/noThenProperty: as query builders have it
  const query = { then: (resolve: (value: number) => void) => resolve(++begun) } as PromiseLike<number>
  await handle(home, ({ commit }) => commit(() => query))
  expect(await transaction(home, () => query)).toBe(2)
})

test('transaction() inside a handler or a transaction is refused', async () => {
  const home = await memoryHome()
  const inner = () => transaction(home, () => {})
  await expect(handle(home, inner)).rejects.toMatchObject({ code: 'DIRECT_SEND' })
  let refused: Promise<void> | undefined
  await transaction(home, () => {
    refused = inner()
    refused.catch(() => {})
  })
  await expect(refused).rejects.toMatchObject({ code: 'DIRECT_SEND' })
})
