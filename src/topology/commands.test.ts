// Commands answered over HTTP: whatever is asked again, and by whomever, the work is done once and has one answer.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { call } from '../core/call-contract.ts'
import { context, event, queue } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import type { Report } from '../core/report.ts'
import { sqliteDatabase } from '../engines/sqlite/index.ts'
import { memory } from '../testing/memory/engine.ts'
import { type Running, run } from './run.ts'
import { service } from './service.ts'
import { check, topology } from './topology.ts'

vi.setConfig({ testTimeout: 20_000 })

const Order = z.object({ product: z.string(), pieces: z.int() })

const inventory = context('inventory', {
  events: { reserved: event({ data: Order }) },
  queues: { pick: queue({ data: z.string() }) },
  calls: {
    reserve: call({
      kind: 'command',
      input: Order,
      output: z.object({ reservation: z.int() }),
      errors: { soldOut: z.object({ product: z.string() }) },
    }),
    reserveMany: call({
      kind: 'command',
      name: 'reserve',
      version: 2,
      input: Order,
      output: z.object({ reservations: z.array(z.int()) }),
    }),
    note: call({ kind: 'command', input: z.string(), output: z.undefined() }),
  },
})
const { reserve, reserveMany, note } = inventory.calls

const folder = mkdtempSync(join(tmpdir(), 'spillway-commands-'))
const runs: Running[] = []
afterEach(async () => {
  await Promise.all(runs.splice(0).map((each) => each.stop({ deadlineMs: 0 })))
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const newFile = () => join(folder, `${++files}.db`)

interface Behaviour {
  /** Before the commit. */
  readonly before?: (product: string) => unknown
  readonly after?: () => unknown
}

async function start(path = newFile(), { before, after }: Behaviour = {}) {
  const reports: Report[] = []
  const sent: Message[] = []
  const begun: string[] = []
  const database = sqliteDatabase(path, {
    setup: (db) =>
      db.exec('CREATE TABLE IF NOT EXISTS reservation (number INTEGER PRIMARY KEY, product TEXT NOT NULL)'),
  })
  const insert = (db: DatabaseSync, product: string) =>
    Number(db.prepare('INSERT INTO reservation (product) VALUES (?)').run(product).lastInsertRowid)
  const answers = service(inventory, { database })
    .answer(reserve, async (order, { commit, fail, key, signal }) => {
      begun.push(key)
      await before?.(order.product)
      if (order.product === 'slow')
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      const answer = await commit((tx) => {
        const reservation = insert(tx.db, order.product)
        tx.publish(inventory.events.reserved, order)
        if (order.product === 'broken') throw new Error('no')
        if (order.product === 'wrong') return { reservation: 1.5 }
        return order.product === 'none' ? fail('soldOut', { product: order.product }) : { reservation }
      })
      await after?.()
      return answer
    })
    .answer(reserveMany, ({ product, pieces }, { commit }) =>
      commit(({ db }) => ({ reservations: Array.from({ length: pieces }, () => insert(db, product)) })),
    )
    .answer(note, (text, { send }) => {
      send(inventory.queues.pick, text)
      return undefined
    })
    .work(inventory.queues.pick, (message) => void sent.push(message))
    .on(inventory.events.reserved, (message) => void sent.push(message))
  const running = await run(topology({ contexts: [answers], engine: 'memory:' }), {
    engine: memory(),
    onReport: (report) => reports.push(report),
  })
  runs.push(running)
  const { db } = running.service(answers).database!
  const rows = () => Number((db.prepare('SELECT count(*) AS n FROM reservation').get() as { n: number }).n)
  return {
    address: running.address!,
    running,
    reports,
    sent,
    begun,
    rows,
    database: running.service(answers).database!,
  }
}

async function ask(
  address: string,
  body: unknown,
  headers: Record<string, string>,
  path = 'inventory.reserve/1',
) {
  const response = await fetch(`${address}/calls/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? undefined : JSON.parse(text),
    replayed: response.headers.get('x-idempotent-replay') === 'true',
  }
}

const keyed = (key: string, ageMs = 1) => ({ 'idempotency-key': key, 'spillway-key-age': String(ageMs) })
const bowl = { product: 'bowl', pieces: 1 }

test('a command is done once for its key: asked again it gives the stored answer', async () => {
  const { address, rows, begun, sent, running } = await start()
  const first = await ask(address, bowl, keyed('k1', 0))
  expect(first).toEqual({ status: 200, body: { reservation: 1 }, replayed: false })
  // The same fields in another order are the same input.
  const again = await ask(address, { pieces: 1, product: 'bowl' }, keyed('k1'))
  expect(again).toEqual({ ...first, replayed: true })
  // Also by somebody who says that the key is new: then what comes before the commit runs again, and no more.
  expect(await ask(address, bowl, keyed('k1', 0))).toEqual({ ...first, replayed: true })
  expect([rows(), begun]).toEqual([1, ['k1', 'k1']])
  expect((await ask(address, bowl, keyed('k2'))).body).toEqual({ reservation: 2 })
  await running.drained()
  expect(sent.map(({ type, causationid, correlationid }) => [type, causationid, correlationid])).toEqual([
    ['inventory.reserved', 'k1', 'k1'],
    ['inventory.reserved', 'k2', 'k2'],
  ])
})

test('the answer outlives the process', async () => {
  const path = newFile()
  const first = await start(path)
  await ask(first.address, bowl, keyed('k1'))
  await first.running.stop()
  const second = await start(path)
  expect(await ask(second.address, bowl, keyed('k1'))).toEqual({
    status: 200,
    body: { reservation: 1 },
    replayed: true,
  })
  expect([second.rows(), second.begun]).toEqual([1, []])
})

test('a declared error is an answer: it is stored, and commits what was done', async () => {
  const { address, rows, begun } = await start()
  const none = { product: 'none', pieces: 1 }
  const first = await ask(address, none, keyed('k1'))
  expect(first).toMatchObject({
    status: 422,
    body: { failure: 'soldOut', data: { product: 'none' } },
    replayed: false,
  })
  expect(await ask(address, none, keyed('k1'))).toEqual({ ...first, replayed: true })
  expect([rows(), begun]).toEqual([1, ['k1']])
})

test('what is thrown stores nothing, and the key may be used again', async () => {
  let broken = true
  const { address, rows, reports, sent, running } = await start(newFile(), {
    before: () => {
      if (broken) throw new Error('the carrier is away')
    },
  })
  expect((await ask(address, bowl, keyed('k1'))).status).toBe(500)
  broken = false
  expect(await ask(address, bowl, keyed('k1'))).toMatchObject({ status: 200, replayed: false })
  // Inside the transaction: undone with what it did and sent.
  expect((await ask(address, { product: 'broken', pieces: 1 }, keyed('k2'))).body.code).toBe('ANSWER_FAILED')
  expect((await ask(address, { product: 'wrong', pieces: 1 }, keyed('k3'))).body.code).toBe('ANSWER_FAILED')
  expect(rows()).toBe(1)
  await running.drained()
  expect(sent.length).toBe(1)
  expect(reports.map(({ messageId }) => messageId)).toEqual(['k1', 'k2', 'k3'])
})

test('a throw after the commit changes nothing: it was done, and that is the answer', async () => {
  const { address, rows, reports } = await start(newFile(), {
    after: () => {
      throw new Error('too late')
    },
  })
  expect(await ask(address, bowl, keyed('k1'))).toMatchObject({ status: 200, body: { reservation: 1 } })
  expect(rows()).toBe(1)
  expect(reports).toMatchObject([{ error: { code: 'ANSWER_FAILED' }, messageId: 'k1' }])
})

test('a key with another input, or for another version, is refused', async () => {
  const { address, rows } = await start()
  await ask(address, bowl, keyed('k1'))
  for (const [body, path] of [
    [{ ...bowl, pieces: 2 }, 'inventory.reserve/1'],
    [bowl, 'inventory.reserve/2'],
  ] as const)
    for (const age of [0, 1])
      expect(await ask(address, body, keyed('k1', age), path)).toMatchObject({
        status: 409,
        body: { code: 'KEY_REUSED' },
      })
  expect(rows()).toBe(1)
})

test('a key that is older than keys are remembered is refused; one that is not is kept', async () => {
  const { address, rows, database } = await start()
  const week = 7 * 86_400_000
  expect(await ask(address, bowl, keyed('k1', week + 1))).toMatchObject({
    status: 410,
    body: { code: 'KEY_TOO_OLD' },
  })
  expect(rows()).toBe(0)
  expect((await ask(address, bowl, keyed('k1', week))).status).toBe(200)
  expect(await database.prune(Date.now() - week)).toBe(0)
  expect((await ask(address, bowl, keyed('k1', week))).replayed).toBe(true)
})

test('a key of a time whose keys were forgotten is refused, though keys are remembered for longer now', async () => {
  const { address, rows, database } = await start()
  expect((await ask(address, bowl, keyed('k1', 60_000))).status).toBe(200)
  // As a process with a shorter window would.
  expect(await database.prune(Date.now() + 1_000)).toBe(1)
  expect(await ask(address, bowl, keyed('k1', 60_000))).toMatchObject({
    status: 410,
    body: { code: 'KEY_TOO_OLD', detail: expect.stringContaining('with a shorter `keep`') },
  })
  expect(rows()).toBe(1)
  expect((await ask(address, bowl, keyed('k2', 0))).status).toBe(200)
})

test('a command wants a key', async () => {
  const { address, rows } = await start()
  expect(await ask(address, bowl, {})).toMatchObject({ status: 400, body: { code: 'INVALID_REQUEST' } })
  expect((await ask(address, [bowl], keyed('k1'), 'inventory.reserve/1?batch')).status).toBe(400)
  expect(rows()).toBe(0)
})

test('a second copy waits for the first: in this process and in another', async () => {
  const path = newFile()
  const gate = Promise.withResolvers<void>()
  const here = await start(path, { before: () => gate.promise })
  const there = await start(path, { before: () => gate.promise })
  const copies = [here, here, there, there].map(({ address }) => ask(address, bowl, keyed('k1')))
  await vi.waitFor(() => expect([here.begun, there.begun]).toEqual([['k1'], ['k1']]))
  gate.resolve()
  const replies = await Promise.all(copies)
  expect(replies.map(({ body }) => body)).toEqual(Array(4).fill({ reservation: 1 }))
  expect(replies.filter(({ replayed }) => !replayed).length).toBe(1)
  expect(here.rows()).toBe(1)
})

test('when the first copy fails, the second does the work', async () => {
  const gate = Promise.withResolvers<void>()
  let runs = 0
  const { address, rows, begun } = await start(newFile(), {
    before: async () => {
      if (++runs > 1) return
      await gate.promise
      throw new Error('the first fails')
    },
  })
  const first = ask(address, bowl, keyed('k1'))
  await vi.waitFor(() => expect(begun).toEqual(['k1']))
  const second = ask(address, bowl, keyed('k1'))
  gate.resolve()
  expect((await first).status).toBe(500)
  expect(await second).toMatchObject({ status: 200, body: { reservation: 1 }, replayed: false })
  expect(rows()).toBe(1)
})

test('after the deadline nothing is committed, and the same key does it later', async () => {
  const { address, rows, reports, begun } = await start()
  const slow = { product: 'slow', pieces: 1 }
  const late = await ask(address, slow, { ...keyed('k1'), 'spillway-deadline': '50' })
  expect([late.status, late.body.code]).toEqual([504, 'DEADLINE'])
  await vi.waitFor(() => expect(begun.length).toBe(1))
  expect(rows()).toBe(0)
  expect(reports).toEqual([])
  expect(await ask(address, slow, { ...keyed('k1'), 'spillway-deadline': '50' })).toMatchObject({
    status: 504,
  })
})

test('an answer of undefined, and messages without effects', async () => {
  const { address, sent, running } = await start()
  const trace = {
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    'spillway-correlation': 'order-4711',
  }
  for (const replayed of [false, true])
    expect(await ask(address, 'hello', { ...keyed('k1'), ...trace }, 'inventory.note/1')).toEqual({
      status: 200,
      body: undefined,
      replayed,
    })
  await running.drained()
  expect(sent).toMatchObject([
    { data: 'hello', correlationid: 'order-4711', causationid: 'k1', traceparent: trace.traceparent },
  ])
})

test('a service without a database answers no command; what is not answered is said', async () => {
  const answers = service(inventory).answer(note, () => undefined)
  const of = topology({ contexts: [answers], engine: 'memory:' })
  await expect(run(of, { engine: memory() })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  const orders = context('orders', { calls: { place: call({ input: Order, output: Order }) } })
  const foreign = service(orders)
    .answer(reserve, () => ({ reservation: 1 }))
    .answer(orders.calls.place, (order) => order)
    .answer(orders.calls.place, (order) => order)
  expect(check(topology({ contexts: [answers, foreign], engine: 'memory:' }))).toEqual(
    expect.arrayContaining([
      'nobody answers the call inventory.reserve: give the service of inventory an answer() for it',
      'nobody answers the call inventory.reserve version 2: give the service of inventory an answer() for it',
      expect.stringContaining('inventory answers the command inventory.note and has no database'),
      'orders answers inventory.reserve, which belongs to inventory',
      'orders has more than one handler for orders.place',
    ]),
  )
})

test('what answers a command is given, and may return, is typed by its contract', () => {
  const base = service(inventory, { database: sqliteDatabase(':memory:') })
  base.answer(reserve, (order, { commit, key, publish, send, cancel, signal, caller }) => {
    expectTypeOf(order).toEqualTypeOf<z.infer<typeof Order>>()
    expectTypeOf(key).toEqualTypeOf<string>()
    void [publish, send, cancel, signal, caller]
    return commit(({ db }) => {
      expectTypeOf(db).toEqualTypeOf<DatabaseSync>()
      return { reservation: 1 }
    })
  })
  // @ts-expect-error: no such answer
  base.answer(reserve, (_, { commit }) => commit(() => ({ number: 1 })))
  // @ts-expect-error: no such error
  base.answer(reserve, (_, { commit, fail }) => commit(() => fail('gone', {})))
})

test('a command that ends the transaction which it shares with another: of neither anybody says that it was not done', async () => {
  const db = new DatabaseSync(newFile())
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE done (product TEXT)')
  const both = Promise.withResolvers<void>()
  let waiting = 0
  const together = async () => {
    if (++waiting === 2) both.resolve()
    await both.promise
  }
  // A handle of the user's own: nothing keeps effects from a COMMIT.
  const answers = service(inventory, { database: sqliteDatabase(db) })
    .answer(reserve, async ({ product }, { commit }) => {
      await together()
      return commit((tx) => {
        tx.db.prepare('INSERT INTO done VALUES (?)').run(product)
        return { reservation: 1 }
      })
    })
    .answer(note, async (_, { commit }) => {
      await together()
      return commit((tx) => {
        tx.db.exec('COMMIT')
        return undefined
      })
    })
  const calls = { inventory: { retry: { attempts: 1 } } }
  const running = await run(topology({ contexts: [answers], engine: 'memory:', calls }), { engine: memory() })
  runs.push(running)
  const asking = running.service(answers)
  const results = await Promise.all([
    asking.call(reserve, { product: 'bowl', pieces: 1 }),
    asking.call(note, 'mischief'),
  ])
  expect(db.prepare('SELECT product FROM done').all()).toMatchObject([{ product: 'bowl' }])
  expect(results.map(({ status }) => status)).toEqual(['unknown', 'unknown'])
  expect(results[0].status === 'unknown' && (await results[0].again())).toEqual({
    status: 'ok',
    value: { reservation: 1 },
  })
})
