// A handler without a broker must end as it would with one: the same reading, the same transaction, the same rules for its end.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { context, event, queue } from '../../core/contract.ts'
import { deadLetter, retry } from '../../core/outcome.ts'
import { sqliteDatabase } from '../../engines/sqlite/index.ts'
import type { DatabaseSource } from '../../ports/database.ts'
import type { FailureOptions } from '../../stream/plan.ts'
import { service } from '../../topology/service.ts'
import type { HandlerContext } from '../../transaction/handler.ts'
import { fakeClock } from '../fake-clock.ts'
import { memoryDatabase } from '../memory/database.ts'
import { MemoryTable } from '../memory/table.ts'
import { testService } from './test-service.ts'

const Order = z.object({ id: z.string(), pence: z.int(), note: z.string().default('none') })
const orders = context('orders', {
  events: {
    placed: event({
      data: Order,
      key: ({ id }) => id,
      version: 2,
      upcast: { 1: (old: { id: string; pounds: number }) => ({ id: old.id, pence: old.pounds * 100 }) },
    }),
  },
})
const billing = context('billing', {
  events: { charged: event({ data: z.object({ id: z.string() }), key: ({ id }) => id }) },
  queues: {
    receipt: queue({
      data: z.object({ id: z.string() }),
      retry: { attempts: 3, initial: '10s', max: '10s' },
      deadline: '30s',
    }),
  },
})

/** How a database notes a charge, whatever its handle. */
interface Kind<Db> {
  readonly source: () => DatabaseSource<Db>
  readonly charge: (db: Db, id: string, pence: number) => void
  readonly charges: (db: Db) => Record<string, number>
}

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const inMemory: Kind<MemoryTable<number>> = {
  source: () => memoryDatabase({ db: new MemoryTable<number>() }),
  charge: (db, id, pence) => {
    if (db.get(id) !== undefined) throw new Error('UNIQUE constraint failed')
    db.set(id, pence)
  },
  charges: (db) => Object.fromEntries(db.entries()),
}
const onDisk: Kind<DatabaseSync> = {
  source: () => {
    const folder = mkdtempSync(join(tmpdir(), 'tested-'))
    folders.push(folder)
    return sqliteDatabase(join(folder, 'billing.db'), {
      setup: (db) => db.exec('CREATE TABLE charge (id TEXT PRIMARY KEY, pence INTEGER) STRICT'),
    })
  },
  charge: (db, id, pence) => void db.prepare('INSERT INTO charge VALUES (?, ?)').run(id, pence),
  charges: (db) =>
    Object.fromEntries(
      db
        .prepare('SELECT id, pence FROM charge')
        .all()
        .map(({ id, pence }) => [id, pence]),
    ) as Record<string, number>,
}

function biller<Db>({ source, charge }: Kind<Db>, failure: FailureOptions = {}) {
  return service(billing, { database: source() })
    .on(
      orders.events.placed,
      async ({ data: { id, pence } }, { commit, send }) => {
        if (pence < 0) return deadLetter('a negative price')
        if (pence === 0) throw new Error('a price is missing')
        send(billing.queues.receipt, { id })
        await commit((tx) => {
          charge(tx.db, id, pence)
          tx.publish(billing.events.charged, { id })
        })
      },
      failure,
    )
    .work(billing.queues.receipt, ({ data: { id } }, { attempt, commit }) => {
      if (id === 'later') return retry({ after: '5m', reason: 'the office is closed' })
      if (id === 'broken') throw new TypeError(`attempt ${attempt}: paper jam`)
      return commit(({ db }) => charge(db, `receipt ${id}`, 0))
    })
}

describe.each([
  ['memoryDatabase', inMemory as Kind<unknown>],
  ['sqliteDatabase', onDisk as Kind<unknown>],
])('with %s', (_, kind) => {
  test('an event: its effects, what it published and sent, its outcome', async () => {
    await using tested = await testService(biller(kind))
    const then = await tested.when(orders.events.placed, { id: '1', pence: 500 })
    expect(then).toMatchObject({ outcome: 'done', error: undefined, retryInMs: undefined })
    expect(then.published(billing.events.charged)).toEqual([{ id: '1' }])
    expect(then.sent(billing.queues.receipt)).toEqual([{ id: '1' }])
    expect(then.messages.map(({ type, source }) => [type, source])).toEqual([
      ['billing.receipt', '/billing'],
      ['billing.charged', '/billing'],
    ])
    expect(kind.charges(tested.db)).toEqual({ 1: 500 })
  })

  test('given: a state of the database, and what happened before', async () => {
    await using tested = await testService(biller(kind))
    kind.charge(tested.db, '1', 300)
    await tested.given(orders.events.placed, { id: '2', pence: 500 })
    const then = await tested.when(orders.events.placed, { id: '1', pence: 300 })
    expect(then.outcome).toBe('retried')
    expect(then.error?.message).toMatch(/UNIQUE constraint failed/)
    expect(then.messages).toEqual([])
    expect(kind.charges(tested.db)).toEqual({ 1: 300, 2: 500 })
    await expect(tested.given(orders.events.placed, { id: '3', pence: -1 })).rejects.toThrow(
      /orders.placed ended 'dead-lettered': a negative price.*\[NOT_SEEN\]/,
    )
  })

  test('an event that fails: tried on, skipped, or parked with those of its key', async () => {
    const zero = { id: '1', pence: 0 }
    await using blocks = await testService(biller(kind))
    const blocked = await blocks.when(orders.events.placed, zero, { attempt: 50 })
    expect(blocked).toMatchObject({ outcome: 'retried', reason: 'a price is missing' })
    expect(blocked.retryInMs).toBeLessThanOrEqual(300_000)

    await using skips = await testService(biller(kind, { onFailure: 'skip', retry: { attempts: 2 } }))
    expect(await skips.when(orders.events.placed, zero)).toMatchObject({ outcome: 'retried' })
    const skipped = await skips.when(orders.events.placed, zero, { attempt: 2 })
    expect(skipped).toMatchObject({ outcome: 'dead-lettered', reason: 'attempt 2 of 2: a price is missing' })
    expect(skipped.messages).toEqual([])

    await using parks = await testService(biller(kind, { onFailure: 'park', retry: { attempts: 1 } }))
    expect(await parks.when(orders.events.placed, zero)).toMatchObject({ outcome: 'parked' })
    expect(await parks.when(orders.events.placed, { id: '1', pence: 5 })).toMatchObject({
      outcome: 'parked',
      reason: 'an event of its key was parked before it',
    })
    expect(await parks.when(orders.events.placed, { id: '2', pence: 5 })).toMatchObject({ outcome: 'done' })
    expect(kind.charges(parks.db)).toEqual({ 2: 5 })
  })

  test('a message of a queue: done, once; retried; a dead letter at its last attempt, and after it', async () => {
    await using tested = await testService(biller(kind))
    const { receipt } = billing.queues
    expect(await tested.when(receipt, { id: '1' }, { id: 'same' })).toMatchObject({ outcome: 'done' })
    expect(await tested.when(receipt, { id: '1' }, { id: 'same' })).toMatchObject({ outcome: 'done' })
    expect(await tested.when(receipt, { id: '1' })).toMatchObject({ outcome: 'retried' })
    expect(kind.charges(tested.db)).toEqual({ 'receipt 1': 0 })

    const later = await tested.when(receipt, { id: 'later' })
    expect(later).toMatchObject({ outcome: 'retried', reason: 'the office is closed', retryInMs: 300_000 })
    expect(later.error).toBeUndefined()
    const broken = await tested.when(receipt, { id: 'broken' }, { attempt: 3 })
    expect(broken).toMatchObject({ outcome: 'dead-lettered', reason: 'attempt 3 of 3: attempt 3: paper jam' })
    expect(broken.error).toBeInstanceOf(TypeError)
    expect(await tested.when(receipt, { id: '2' }, { attempt: 4 })).toMatchObject({
      outcome: 'dead-lettered',
      reason: expect.stringContaining('started 3 times and never settled'),
    })
  })

  test('it is validated and brought up to date as in production', async () => {
    await using tested = await testService(biller(kind))
    const { placed } = orders.events
    await expect(tested.when(placed, { id: '1', pence: 0.5 })).rejects.toMatchObject({ code: 'INVALID_DATA' })
    const old = await tested.when(placed, { id: 'old', pounds: 3 }, { version: 1, key: 'old' })
    expect(old.outcome).toBe('done')
    expect(kind.charges(tested.db)).toEqual({ old: 300 })
    expect(await tested.when(placed, { id: 'old' }, { version: 1 })).toMatchObject({
      outcome: 'dead-lettered',
      error: { code: 'UPCAST_FAILED' },
    })
    expect(await tested.when(placed, {}, { version: 3 })).toMatchObject({
      error: { code: 'UNKNOWN_VERSION' },
    })
    expect(await tested.when(billing.queues.receipt, {}, { version: 1 })).toMatchObject({
      outcome: 'dead-lettered',
      error: { code: 'INVALID_MESSAGE' },
    })
  })
})

test('a service without a database, and what it has no handler for', async () => {
  const seen: unknown[] = []
  const plain = service(billing).on(orders.events.placed, ({ data }, { publish }) => {
    seen.push(data)
    publish(billing.events.charged, { id: data.id })
  })
  await using tested = await testService(plain)
  const then = await tested.when(orders.events.placed, { id: '1', pence: 1 })
  expect(then.published(billing.events.charged)).toEqual([{ id: '1' }])
  expect(seen).toEqual([{ id: '1', pence: 1, note: 'none' }])
  expect(() => tested.db).toThrow('NO_DATABASE')
  await expect(tested.when(billing.queues.receipt, { id: '1' })).rejects.toThrow(
    /no handler for billing.receipt; it handles orders.placed/,
  )
  await expect(
    tested.when(orders.events.placed, { id: '1', pence: 1 }, { attempt: 0 }),
  ).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('time is that of the test: dates, delays, and the deadline of a handler that does not end', async () => {
  const clock = fakeClock()
  const stuck = (_: unknown, { signal }: HandlerContext<undefined>) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const slow = service(billing)
    .on(orders.events.placed, stuck, { deadline: '2m', onFailure: 'skip', retry: { attempts: 1 } })
    .work(billing.queues.receipt, ({ data }, context) => {
      if (data.id === 'stuck') return stuck(data, context)
      context.send(billing.queues.receipt, data, { delay: '1h' })
    })
  await using tested = await testService(slow, { clock })
  const { messages } = await tested.when(billing.queues.receipt, { id: '1' })
  expect(messages[0]).toMatchObject({
    time: '2026-01-01T00:00:00.000Z',
    notbefore: '2026-01-01T01:00:00.000Z',
  })
  const message = tested.when(billing.queues.receipt, { id: 'stuck' })
  await clock.advance('30s')
  expect(await message).toMatchObject({ outcome: 'retried', error: { code: 'HANDLER_TIMEOUT' } })
  const event = tested.when(orders.events.placed, { id: '1', pence: 1 })
  await clock.advance('2m')
  expect(await event).toMatchObject({ outcome: 'dead-lettered', error: { code: 'HANDLER_TIMEOUT' } })
  expect(clock.timers).toBe(0)
})

test('the types of what is given and found are those of the contracts', async () => {
  await using tested = await testService(biller(inMemory))
  // @ts-expect-error: `pence` is missing
  await expect(tested.when(orders.events.placed, { id: '1' })).rejects.toMatchObject({ code: 'INVALID_DATA' })
  const then = await tested.when(orders.events.placed, { id: '1', pence: 1 })
  expectTypeOf(then.sent(billing.queues.receipt)).toEqualTypeOf<{ id: string }[]>()
  expectTypeOf(tested.db).toEqualTypeOf<MemoryTable<number>>()
})
