// Several messages in one handler of a service: committed together, each with an outcome of its own.
import { afterEach, expect, test } from 'vitest'
import { context, queue } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import { deadLetter, retry } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Database, OutboxMessage } from '../ports/database.ts'
import { BatchDelivery } from '../queue/batch.ts'
import { Delivery } from '../queue/delivery.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { type BatchWorkHandler, batchWorkHandler } from './batch-handler.ts'
import type { UnitHome } from './unit.ts'

type Db = MemoryTable<number>
const { go, mail } = context('shop', {
  queues: { go: queue({ data: unchecked<string>() }), mail: queue({ data: unchecked<string>() }) },
}).queues

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function open(reports: Report[] = []): Promise<{ database: Database<Db>; home: UnitHome<Db> }> {
  const database = await memoryDatabase({ db: new MemoryTable<number>() }).open('shop')
  ends.push(() => database.close())
  const onReport = (report: Report) => void reports.push(report)
  const home = {
    context: 'shop',
    database,
    deliver: async () => {},
    cancel: async () => 'unknown' as const,
    onReport,
    timeoutMs: 1_000,
  }
  return { database, home }
}

function batch(ids: readonly string[]): { messages: Message<string>[]; deliveries: Delivery[] } {
  const messages = ids.map((id) => ({ id, type: 'shop.go', data: id }) as Message<string>)
  const place = { left: ids.length, startedAt: 0 }
  const deliveries = ids.map((id) => {
    const message = { id, key: undefined, body: '', starts: 1, suspect: false, lease: id, fencingToken: 1 }
    return new Delivery({ message, heldUntil: 1 }, place, 1)
  })
  return { messages, deliveries }
}

function handle(
  home: UnitHome<Db>,
  { messages, deliveries }: ReturnType<typeof batch>,
  handler: BatchWorkHandler<string, Db>,
) {
  return batchWorkHandler(home, go, handler)(messages, new BatchDelivery(deliveries))
}

async function sent(database: Database<Db>): Promise<string[]> {
  await database.outbox.lock('me', 1_000)
  const rows = await database.outbox.take('me', { kind: 'queue', name: mail.queue }, 100)
  return rows.map(({ body }) => JSON.parse(body).data)
}

const known = async (database: Database<Db>) => [
  ...(await database.handled(go.queue, ['a', 'b', 'c', 'd'])).ids,
]

test('those that are done are marked with the effects and what was sent; the others are not', async () => {
  const { database, home } = await open()
  const outcomes = await handle(home, batch(['a', 'b', 'c']), (messages, { send, deliveries }) => {
    expect(deliveries.map(({ attempt }) => attempt)).toEqual([1, 1, 1])
    for (const { data } of messages) send(mail, data)
    return [undefined, retry({ reason: 'later' }), deadLetter('never')]
  })
  expect(outcomes).toMatchObject([undefined, { outcome: 'retry' }, { outcome: 'dead-letter' }])
  expect(await known(database)).toEqual(['a'])
  expect(await sent(database)).toEqual(['a', 'b', 'c'])
})

test('commit takes the outcomes, and what is returned afterwards counts no more', async () => {
  const { database, home } = await open()
  const outcomes = await handle(home, batch(['a', 'b']), async (_, { commit }) => {
    await commit((tx) => tx.db.set('sum', 3), [undefined, retry()])
    return deadLetter('too late')
  })
  expect(outcomes).toMatchObject([undefined, { outcome: 'retry' }])
  expect(await known(database)).toEqual(['a'])
  expect(database.db.get('sum')).toBe(3)
})

test('where none is done nothing is stored', async () => {
  const { database, home } = await open()
  const outcomes = await handle(home, batch(['a', 'b']), (_, { send }) => {
    send(mail, 'x')
    return retry()
  })
  expect(outcomes).toMatchObject([{ outcome: 'retry' }, { outcome: 'retry' }])
  expect(await known(database)).toEqual([])
  expect(await sent(database)).toEqual([])
})

test('what was handled before is left out; of two with one id the handler sees one, and both end alike', async () => {
  const { home, database } = await open()
  await database.commit({ inbox: { consumer: go.queue, ids: ['b'] }, outbox: [], timeoutMs: 1_000 })
  const seen: string[][] = []
  const outcomes = await handle(home, batch(['a', 'b', 'a', 'c']), (messages) => {
    seen.push(messages.map(({ id }) => id))
    return [retry(), undefined]
  })
  expect(seen).toEqual([['a', 'c']])
  expect(outcomes).toMatchObject([{ outcome: 'retry' }, undefined, { outcome: 'retry' }, undefined])
  expect(await handle(home, batch(['b']), () => deadLetter('never asked'))).toEqual([undefined])
})

test('when another process handled one of them meanwhile, nothing is stored, and the others are handled again', async () => {
  const { home, database } = await open()
  const seen: string[][] = []
  const outcomes = await handle(home, batch(['a', 'b', 'c']), async (messages, { send, commit }) => {
    seen.push(messages.map(({ id }) => id))
    for (const { data } of messages) send(mail, data)
    const theirs = { inbox: { consumer: go.queue, ids: ['b'] }, outbox: [], timeoutMs: 1_000 }
    if (seen.length === 1) expect(await database.commit(theirs)).toBe('committed')
    await commit((tx) => tx.db.set('times', (tx.db.get('times') ?? 0) + 1))
  })
  expect(seen).toEqual([
    ['a', 'b', 'c'],
    ['a', 'c'],
  ])
  expect(outcomes).toEqual([undefined, undefined, undefined])
  expect((await known(database)).sort()).toEqual(['a', 'b', 'c'])
  expect(await sent(database)).toEqual(['a', 'c'])
  expect(database.db.get('times')).toBe(1)
})

test('a message that passed to another consumer cannot be committed; one that is not done does not matter', async () => {
  const { home, database } = await open()
  const given = batch(['a', 'b'])
  given.deliveries[1]!.end()
  await expect(handle(home, given, () => undefined)).rejects.toMatchObject({ code: 'LEASE_LOST' })
  expect(await known(database)).toEqual([])
  await handle(home, given, () => [undefined, retry()])
  expect(await known(database)).toEqual(['a'])
})

test('a throw retries all, after the commit it is only told of', async () => {
  const reports: Report[] = []
  const { home, database } = await open(reports)
  const failing = async () => {
    throw new Error('broken')
  }
  await expect(handle(home, batch(['a', 'b']), failing)).rejects.toThrow('broken')
  await expect(handle(home, batch(['a', 'b']), (_, { commit }) => commit(failing as never))).rejects.toThrow()
  expect(await known(database)).toEqual([])
  const outcomes = await handle(home, batch(['a', 'b']), async (_, { commit }) => {
    await commit()
    throw new Error('late')
  })
  expect(outcomes).toEqual([undefined, undefined])
  expect((await known(database)).sort()).toEqual(['a', 'b'])
  expect(reports).toMatchObject([{ error: { code: 'HANDLER_FAILED', retryable: false } }])
})

test('a list that does not fit is an error, and nothing is stored', async () => {
  const { home, database } = await open()
  await expect(handle(home, batch(['a', 'b']), () => [undefined])).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  })
  const wrong: BatchWorkHandler<string, Db> = (_, { commit }) => commit(undefined, [retry()])
  await expect(handle(home, batch(['a', 'b']), wrong)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  expect(await known(database)).toEqual([])
})

test('without a database what is sent is delivered before the outcomes are told', async () => {
  const delivered: OutboxMessage[] = []
  const home: UnitHome<undefined> = {
    context: 'shop',
    database: undefined,
    deliver: async (messages) => void delivered.push(...messages),
    cancel: async () => 'unknown',
    timeoutMs: 1_000,
  }
  const { messages, deliveries } = batch(['a', 'b'])
  const handler: BatchWorkHandler<string, undefined> = (all, { send }) => {
    for (const { data } of all) send(mail, data)
    return [undefined, retry()]
  }
  const outcomes = await batchWorkHandler(home, go, handler)(messages, new BatchDelivery(deliveries))
  expect(outcomes).toMatchObject([undefined, { outcome: 'retry' }])
  expect(delivered).toHaveLength(2)
})
