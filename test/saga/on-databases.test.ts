// Sagas from the event that starts one to its end, on real databases.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'
import { looking } from '../postgres/on-servers.ts'
import { embeddedPostgres, firstOf, type RunningServer, systemPostgres } from '../servers/index.ts'
import { type Business, type Kept, start } from './fulfilment.ts'

const patience = { timeout: 30_000, interval: 20 }
const limit = { timeout: 60_000 }

function onSqlite(): Kept {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-saga-'))
  const file = join(folder, 'business.db')
  const setup = (db: DatabaseSync) => db.exec('CREATE TABLE IF NOT EXISTS done (what TEXT NOT NULL) STRICT')
  return {
    engine: `sqlite:${join(folder, 'engine')}`,
    database: sqliteDatabase(file, { setup }) as DatabaseSource<unknown>,
    note: (db, what) => (db as DatabaseSync).prepare('INSERT INTO done VALUES (?)').run(what),
    async noted() {
      const db = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
      const rows = db.prepare('SELECT what FROM done').all()
      db.close()
      return rows.map(({ what }) => String(what)).toSorted()
    },
    close: async () => rmSync(folder, { recursive: true }),
  }
}

let schemas = 0

function onPostgres(server: string): Kept {
  const schema = `saga${++schemas}`
  const url = new URL(server)
  url.searchParams.set('schema', schema)
  const pool = looking(server)
  const setup = (db: PgQueryable) =>
    db.query(`create table if not exists ${schema}_done (what text not null)`)
  return {
    engine: url.href,
    database: postgresDatabase({ url: url.href, setup, poolSize: 4 }) as DatabaseSource<unknown>,
    note: (db, what) => (db as PgQueryable).query(`insert into ${schema}_done values ($1)`, [what]),
    async noted() {
      const { rows } = await pool.query<{ what: string }>(`select what from ${schema}_done`)
      return rows.map(({ what }) => what).toSorted()
    },
    close: () => pool.end(),
  }
}

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

function sagas(keep: () => Kept): void {
  async function business(processes = 1): Promise<{ kept: Kept; all: Business[]; first: Business }> {
    const kept = keep()
    ends.push(() => kept.close())
    const all: Business[] = []
    for (let index = 0; index < processes; index++) {
      const each = await start(kept)
      all.push(each)
      ends.push(() => each.running.stop())
    }
    return { kept, all, first: all[0]! }
  }

  test('started, going on and ended by events of three contexts', limit, async () => {
    const { kept, first } = await business()
    const { place, charge, weigh, pack, instances, codes } = first
    await place('a')
    await vi.waitFor(async () => {
      expect(await kept.noted()).toEqual(['charge a', 'reserve a'])
      expect(await instances.get('a')).toMatchObject({
        state: { invoice: 'a', charges: 0, parcels: 0 },
        ended: false,
        steps: 1,
        timeouts: ['payment'],
        compensations: ['reserved', 'charged'],
      })
    }, patience)
    await charge('a')
    await weigh('a', 'p1')
    await vi.waitFor(
      async () =>
        expect(await instances.get('a')).toMatchObject({
          state: { charges: 1, parcels: 1 },
          steps: 3,
          timeouts: [],
        }),
      patience,
    )
    await pack('a')
    await vi.waitFor(
      async () => expect(await instances.get('a')).toMatchObject({ state: undefined, ended: true, steps: 4 }),
      patience,
    )
    expect(await instances.list()).toMatchObject([{ id: 'a', ended: true }])
    expect(await kept.noted()).toEqual(['charge a', 'reserve a'])
    expect(codes()).toEqual([])
  })

  test('a timeout comes once, and undoes what was done and not forgotten', limit, async () => {
    const { kept, all, first } = await business(2)
    await first.place('a', '500ms')
    await vi.waitFor(async () => {
      expect(await first.instances.get('a')).toMatchObject({ ended: true, steps: 2 })
      expect(await kept.noted()).toEqual(['charge a', 'release a', 'reserve a'])
    }, patience)
    await first.running.drained()
    expect(await kept.noted()).toEqual(['charge a', 'release a', 'reserve a'])
    expect(all.flatMap(({ codes }) => codes())).toEqual([])
  })

  test('undo sends all that was remembered', limit, async () => {
    const { kept, first } = await business()
    await first.place('a')
    await first.cancel('a')
    await vi.waitFor(
      async () => expect(await kept.noted()).toEqual(['charge a', 'refund a', 'release a', 'reserve a']),
      patience,
    )
    expect(await first.instances.get('a')).toMatchObject({ ended: true, steps: 2 })
  })

  test(
    'an event that comes before the start waits for it; one that is to be ignored is told of',
    limit,
    async () => {
      const { first } = await business()
      const { place, charge, pack, instances, codes } = first
      await pack('a')
      await charge('a')
      await vi.waitFor(() => expect(codes()).toEqual(['SAGA_MISSING', 'SAGA_MISSING']), patience)
      await place('a')
      await vi.waitFor(
        async () => expect(await instances.get('a')).toMatchObject({ state: { charges: 1 }, steps: 2 }),
        patience,
      )
    },
  )

  test('a second start, and what comes after the end, are passed over and told of', limit, async () => {
    const { kept, first } = await business()
    const { place, charge, pack, instances, codes, running } = first
    await place('a')
    await place('a')
    await vi.waitFor(() => expect(codes()).toEqual(['SAGA_EXISTS']), patience)
    await pack('a')
    await vi.waitFor(async () => expect(await instances.get('a')).toMatchObject({ ended: true }), patience)
    await charge('a')
    await place('a')
    await vi.waitFor(
      () => expect(codes().toSorted()).toEqual(['SAGA_ENDED', 'SAGA_ENDED', 'SAGA_EXISTS']),
      patience,
    )
    await running.drained()
    expect(await instances.get('a')).toMatchObject({ ended: true, steps: 2 })
    expect(await kept.noted()).toEqual(['charge a', 'reserve a'])
  })

  test(
    'two processes work at the same instances, and one is cut off: each event takes effect once',
    limit,
    async () => {
      const { kept, all, first } = await business(2)
      const ids = Array.from({ length: 15 }, (_, n) => `i${String(n).padStart(2, '0')}`)
      const parts = [1, 2, 3]
      const telling = Promise.all(
        ids.flatMap((id) => [
          first.place(id),
          ...parts.map(() => first.charge(id)),
          ...parts.map((part) => first.weigh(id, `${id}-${part}`)),
        ]),
      )
      // In the middle of it.
      await vi.waitFor(async () => expect((await kept.noted()).length).toBeGreaterThan(3), patience)
      await all[1]!.running.stop({ deadlineMs: 0 })
      await telling
      await vi.waitFor(async () => {
        const instances = await first.instances.list()
        expect(instances.map(({ id, state, steps }) => ({ id, state, steps }))).toEqual(
          ids.map((id) => ({ id, state: { invoice: id, charges: 3, parcels: 3 }, steps: 7 })),
        )
        expect(await kept.noted()).toEqual(
          ['charge', 'reserve'].flatMap((what) => ids.map((id) => `${what} ${id}`)),
        )
      }, patience)
      await Promise.all(ids.map((id) => first.cancel(id)))
      await vi.waitFor(async () => {
        expect((await first.instances.list()).every(({ ended, steps }) => ended && steps === 8)).toBe(true)
        expect(await kept.noted()).toEqual(
          ['charge', 'refund', 'release', 'reserve'].flatMap((what) => ids.map((id) => `${what} ${id}`)),
        )
      }, patience)
    },
  )
}

describe('sagas (SQLite)', () => sagas(onSqlite))

const [launcher, missing] = await firstOf(embeddedPostgres, systemPostgres)
describe.skipIf(missing !== undefined)(`sagas (${missing ?? launcher.name})`, () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    server = await launcher.start()
  })
  afterAll(() => server?.stop())
  sagas(() => onPostgres(server!.url))
})
