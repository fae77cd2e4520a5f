// Commands whose caller gives up or is cut off: the signal of who answers fires, what heeds it stores nothing, what goes on is stored, and asking again with the
// same key gives the one true answer. On SQLite, where the work of a commit cannot wait, and on PostgreSQL, where it can.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import {
  type AnswerOptions,
  type AskOptions,
  call,
  context,
  event,
  type Report,
  run,
  service,
  topology,
  unchecked,
  value,
} from '../../src/index.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'
import { memory } from '../../src/testing/index.ts'
import { looking } from '../postgres/on-servers.ts'
import { embeddedPostgres, firstOf, type RunningServer, systemPostgres } from '../servers/index.ts'
import { NetworkProxy } from '../servers/proxy.ts'

vi.setConfig({ testTimeout: 30_000 })
const patience = { timeout: 20_000, interval: 10 }

/** Where what was booked stands. */
interface Kept<Db> {
  readonly database: DatabaseSource<Db>
  book(db: Db, what: string): unknown
  booked(db: Db): Promise<string[]>
}

const deadline = '60s'
const command = {
  kind: 'command',
  input: unchecked<string>(),
  output: unchecked<string>(),
  deadline,
} as const
const bank = context('bank', {
  events: { booked: event({ data: unchecked<string>(), key: (what) => what }) },
  calls: { book: call(command) },
})
const desk = context('desk', { calls: { order: call(command) } })
const web = context('web', {})

/** What happens before the commit, and in it, run by run. */
interface Behaviour {
  readonly before?: (signal: AbortSignal) => unknown
  readonly inside?: (signal: AbortSignal) => unknown
  readonly limits?: AnswerOptions
}

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** The bank answers `book`, the desk `order` by asking the bank; the web asks either, through a network that can be cut. */
async function start<Db>(kept: Kept<Db>, { before, inside, limits = {} }: Behaviour = {}) {
  const begun: string[] = []
  const fired: unknown[] = []
  const published: string[] = []
  const reports: Report[] = []
  const onReport = (report: Report) => void reports.push(report)
  const banks = service(bank, { database: kept.database })
    .answer(
      bank.calls.book,
      async (what, { commit, signal }) => {
        begun.push(what)
        signal.addEventListener('abort', () => fired.push(signal.reason), { once: true })
        await before?.(signal)
        return commit((tx) => {
          tx.publish(bank.events.booked, what)
          const booked = kept.book(tx.db, what)
          if (!(booked instanceof Promise)) return `${what} is booked`
          return booked.then(() => inside?.(signal)).then(() => `${what} is booked`)
        })
      },
      limits,
    )
    .on(bank.events.booked, ({ data }) => void published.push(data))
  const owner = await run(topology({ contexts: [banks], engine: 'memory:' }), { engine: memory(), onReport })
  ends.push(() => owner.stop({ deadlineMs: 0 }))
  const proxy = await NetworkProxy.start()
  proxy.target = Number(new URL(owner.address!).port)
  ends.push(() => proxy.close())

  const desks = service(desk, { database: sqliteDatabase(join(folder, `desk${++places}.db`)) }).answer(
    desk.calls.order,
    async (what, { call: ask }) => value(await ask(bank.calls.book, what)),
  )
  const between = await run(
    topology({ contexts: [desks, bank], engine: 'memory:', addresses: { bank: [owner.address!] } }),
    { engine: memory(), onReport },
  )
  ends.push(() => between.stop({ deadlineMs: 0 }))
  const addresses = { bank: [proxy.through(owner.address!)], desk: [between.address!] }
  const asks = service(web)
  const asking = await run(topology({ contexts: [asks, bank, desk], engine: 'memory:', addresses }), {
    engine: memory(),
  })
  ends.push(() => asking.stop({ deadlineMs: 0 }))
  const { db } = owner.service(banks).database!
  return {
    owner: owner.address,
    proxy,
    begun,
    fired,
    published,
    codes: () => reports.map(({ error }) => error.code),
    booked: () => kept.booked(db),
    drained: () => owner.drained(),
    book: (what: string, options: AskOptions<string> = {}) =>
      asking.service(asks).call(bank.calls.book, what, options),
    order: (what: string, options: AskOptions<string> = {}) =>
      asking.service(asks).call(desk.calls.order, what, options),
  }
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-abandoned-'))
afterAll(() => rmSync(folder, { recursive: true }))
let places = 0

/** Waits until the signal fires and rejects with its reason, as outside I/O does; the first time only. */
function heeding() {
  let times = 0
  return async (signal: AbortSignal) => {
    times += 1
    if (times === 1) await sleep(30_000, undefined, { signal })
  }
}

const isSettled = (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))])

function abandoned<Db>(keep: () => Kept<Db>): void {
  test('given up: what heeds the signal stores nothing, and again() does it once', async () => {
    const { book, begun, fired, booked, published, drained, codes } = await start(keep(), {
      before: heeding(),
    })
    const givingUp = new AbortController()
    const asked = book('one', { signal: givingUp.signal, key: 'k1' })
    await vi.waitFor(() => expect(begun).toEqual(['one']), patience)
    givingUp.abort()
    const result = await asked
    expect(result).toMatchObject({ status: 'unknown', key: 'k1', error: { code: 'ABORTED' } })
    await vi.waitFor(() => expect(fired).toMatchObject([{ code: 'ABORTED' }]), patience)
    expect(await booked()).toEqual([])
    const again = result.status === 'unknown' ? await result.again() : undefined
    expect(again).toEqual({ status: 'ok', value: 'one is booked' })
    expect(await book('one', { key: 'k1' })).toEqual(again)
    await drained()
    expect([begun, await booked(), published]).toEqual([['one', 'one'], ['one'], ['one']])
    // Nobody did anything wrong.
    expect(codes()).toEqual([])
  })

  test('given up: what goes on all the same is stored, and is the answer', async () => {
    const gate = Promise.withResolvers<void>()
    const { book, begun, fired, booked, published, drained } = await start(keep(), {
      before: () => gate.promise,
    })
    const givingUp = new AbortController()
    const asked = book('one', { signal: givingUp.signal, key: 'k1' })
    await vi.waitFor(() => expect(begun).toEqual(['one']), patience)
    givingUp.abort()
    expect((await asked).status).toBe('unknown')
    await vi.waitFor(() => expect(fired.length).toBe(1), patience)
    // It comes while the first is under way, and waits for it.
    const again = book('one', { key: 'k1' })
    gate.resolve()
    expect(await again).toEqual({ status: 'ok', value: 'one is booked' })
    await drained()
    expect([begun, await booked(), published]).toEqual([['one'], ['one'], ['one']])
  })

  test('cut off: the signal fires, and the same call asks again and has the one answer', async () => {
    const { book, begun, fired, booked, published, drained, proxy } = await start(keep(), {
      before: heeding(),
    })
    const asked = book('one')
    await vi.waitFor(() => expect(begun).toEqual(['one']), patience)
    proxy.cut()
    expect(await asked).toEqual({ status: 'ok', value: 'one is booked' })
    await drained()
    expect([begun, await booked(), published]).toEqual([['one', 'one'], ['one'], ['one']])
    expect(fired).toMatchObject([{ code: 'ABORTED' }])
  })

  test('given up in the line: it is not begun, and its place is free', async () => {
    const gate = Promise.withResolvers<void>()
    const limits = { concurrency: 1, waiting: 1 }
    const { book, begun, booked, owner } = await start(keep(), { before: () => gate.promise, limits })
    const first = book('first')
    await vi.waitFor(() => expect(begun).toEqual(['first']), patience)
    const givingUp = new AbortController()
    const inLine = () => book('second', { signal: givingUp.signal, deadline })
    let second = inLine()
    /** What one more is told, which waits for a moment where there is a place in the line. */
    const another = async () => {
      const headers = {
        'content-type': 'application/json',
        'idempotency-key': 'another',
        'spillway-deadline': '30',
      }
      const reply = await fetch(`${owner}/calls/bank.book/1`, { method: 'POST', body: '"another"', headers })
      return reply.text()
    }
    await vi.waitFor(async () => {
      const told = await another()
      // The other one was first, for its moment: then the second was sent away.
      if (!told.includes('As many calls') && (await isSettled(second))) second = inLine()
      expect(told).toContain('As many calls')
    }, patience)
    givingUp.abort()
    expect((await second).status).toBe('unknown')
    await vi.waitFor(async () => expect(await another()).toContain('was not begun'), patience)
    gate.resolve()
    expect((await first).status).toBe('ok')
    expect((await book('third')).status).toBe('ok')
    expect([begun, await booked()]).toEqual([
      ['first', 'third'],
      ['first', 'third'],
    ])
  })

  test('given up while another context is asked: its signal fires too', async () => {
    const { order, begun, fired, booked } = await start(keep(), { before: heeding() })
    const givingUp = new AbortController()
    const asked = order('one', { signal: givingUp.signal, key: 'k1' })
    await vi.waitFor(() => expect(begun).toEqual(['one']), patience)
    givingUp.abort()
    const result = await asked
    expect(result.status).toBe('unknown')
    await vi.waitFor(() => expect(fired).toMatchObject([{ code: 'ABORTED' }]), patience)
    expect(await booked()).toEqual([])
    const again = result.status === 'unknown' ? await result.again() : undefined
    expect(again).toEqual({ status: 'ok', value: 'one is booked' })
    expect(await booked()).toEqual(['one'])
  })
}

describe('commands that are given up (SQLite)', () =>
  abandoned(() => ({
    database: sqliteDatabase(join(folder, `bank${++places}.db`), {
      setup: (db) => db.exec('CREATE TABLE booking (what TEXT NOT NULL) STRICT'),
    }),
    book: (db, what) => db.prepare('INSERT INTO booking VALUES (?)').run(what),
    booked: async (db) =>
      db
        .prepare('SELECT what FROM booking ORDER BY rowid')
        .all()
        .map(({ what }) => String(what)),
  })))

const [launcher, missing] = await firstOf(embeddedPostgres, systemPostgres)
describe.skipIf(missing !== undefined)(`commands that are given up (${missing ?? launcher.name})`, () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    server = await launcher.start()
  })
  afterAll(() => server?.stop())

  function onPostgres(): Kept<PgQueryable> {
    const schema = `bank${++places}`
    const table = `${schema}_booking`
    return {
      database: postgresDatabase({
        url: server!.url,
        schema,
        poolSize: 4,
        setup: (db) => db.query(`create table ${table} (place serial, what text not null)`),
      }),
      book: (db, what) => db.query(`insert into ${table} (what) values ($1)`, [what]),
      async booked() {
        const pool = looking(server!.url)
        const { rows } = await pool.query<{ what: string }>(`select what from ${table} order by place`)
        await pool.end()
        return rows.map(({ what }) => what)
      },
    }
  }

  abandoned(onPostgres)

  test('given up inside the transaction: what heeds the signal is rolled back, what was written by then too', async () => {
    const stop = heeding()
    let inside = 0
    const { book, begun, booked, published, drained } = await start(onPostgres(), {
      inside: (signal) => {
        inside += 1
        return stop(signal)
      },
    })
    const givingUp = new AbortController()
    const asked = book('one', { signal: givingUp.signal, key: 'k1' })
    await vi.waitFor(() => expect(inside).toBe(1), patience)
    givingUp.abort()
    const result = await asked
    expect(result.status).toBe('unknown')
    const again = result.status === 'unknown' ? await result.again() : undefined
    expect(again).toEqual({ status: 'ok', value: 'one is booked' })
    await drained()
    expect([begun, await booked(), published]).toEqual([['one', 'one'], ['one'], ['one']])
  })
})
