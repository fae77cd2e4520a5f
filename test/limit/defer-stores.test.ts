// What every store of deferred requests keeps: bounds, keys, ends, and that processes that ask at once do not get past them.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { DeferStore } from '../../src/limit/defer.ts'
import { memoryDeferStore } from '../../src/limit/http/defer/memory-store.ts'
import { postgresDeferStore } from '../../src/limit/http/defer/postgres-store.ts'
import { sqliteDeferStore } from '../../src/limit/http/defer/sqlite-store.ts'
import { embeddedPostgres, type RunningServer } from '../servers/index.ts'

interface Kind {
  readonly name: string
  readonly missing: string | undefined
  start?(): Promise<void>
  stop?(): Promise<void>
  /** So many stores that share what they know, as processes do; empty. */
  open(how: number): Promise<readonly DeferStore[]>
}

const inMemory: Kind = {
  name: 'memory',
  missing: undefined,
  async open(how) {
    const store = memoryDeferStore()
    return Array.from({ length: how }, () => store)
  },
}

const inSqlite: Kind = {
  name: 'SQLite',
  missing: undefined,
  async open(how) {
    const folder = mkdtempSync(join(tmpdir(), 'spillway-defer-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    return Array.from({ length: how }, () => {
      const handle = new DatabaseSync(join(folder, 'states.db'), { timeout: 20_000 })
      onTestFinished(() => handle.close())
      return sqliteDeferStore(handle)
    })
  },
}

let server: RunningServer | undefined
const inPostgres: Kind = {
  name: 'PostgreSQL',
  missing: await embeddedPostgres.missing(),
  async start() {
    server = await embeddedPostgres.start()
  },
  async stop() {
    await server?.stop()
  },
  async open(how) {
    const admin = new pg.Client({ connectionString: server!.url })
    await admin.connect()
    await admin.query('drop table if exists spillway_deferred cascade')
    await admin.end()
    // All of them make the table at once, as processes that start together do.
    return Promise.all(
      Array.from({ length: how }, async () => {
        const pool = new pg.Pool({ connectionString: server!.url, max: 3 })
        // Connections that are closing may hear of the server's end.
        pool.on('connect', (client) => client.on('error', () => {}))
        pool.on('error', () => {})
        onTestFinished(() => pool.end())
        return postgresDeferStore(pool)
      }),
    )
  },
}

describe.each([inMemory, inSqlite, inPostgres])('the store in $name', ({ missing, start, stop, open }) => {
  beforeAll(async () => {
    if (missing === undefined) await start?.()
  }, 120_000)
  afterAll(() => stop?.())
  beforeEach(({ skip }) => skip(missing !== undefined, missing))

  const put = (store: DeferStore, id: string, owner: string, nowMs: number, fingerprint = 'f') =>
    store.begin(
      { id, owner, fingerprint, expiresAt: nowMs + 100, status: 'queued' },
      { depth: 3, perOwner: 2, keepUntil: nowMs + 1_000 },
      nowMs,
    )

  test('bounds what is queued, of each and of all; what ended or expired counts no more', async () => {
    const [store] = (await open(1)) as [DeferStore]
    expect(await put(store, 'a1', 'a', 0)).toBe('new')
    expect(await put(store, 'a2', 'a', 0)).toBe('new')
    expect(await put(store, 'a3', 'a', 0)).toBe('full')
    expect(await store.get('a3', 0)).toBeUndefined()
    expect(await put(store, 'b1', 'b', 0)).toBe('new')
    expect(await put(store, 'c1', 'c', 0)).toBe('full')
    // What is known is known, however full it is.
    expect(await put(store, 'a1', 'a', 0)).toMatchObject({ status: 'queued' })
    await store.end('a1', 'done', { status: 200 })
    expect(await put(store, 'c1', 'c', 0)).toBe('new')
    expect(await put(store, 'd1', 'd', 0)).toBe('full')
    expect(await put(store, 'd1', 'd', 100)).toBe('new')
    await store.drop('d1')
    expect(await store.get('d1', 100)).toBeUndefined()
  })

  test('an end is the end, and is known until it is forgotten', async () => {
    const [store, other] = (await open(2)) as [DeferStore, DeferStore]
    const owner = JSON.stringify(['größe \0 \ud800', null])
    await put(store, 'a', owner, 0, 'first')
    expect(await put(other, 'a', owner, 50, 'second')).toEqual({
      id: 'a',
      owner,
      fingerprint: 'first',
      status: 'queued',
      expiresAt: 100,
      result: undefined,
    })
    const result = { status: 201, body: 'b "\u0000" ü' }
    await other.end('a', 'done', result)
    await store.end('a', 'expired')
    expect(await put(store, 'a', 'o', 500)).toMatchObject({ status: 'done', result })
    expect(await store.get('a', 999)).toMatchObject({ status: 'done', result })
    expect(await store.get('a', 1_000)).toBeUndefined()
    expect(await put(store, 'a', 'o', 1_000)).toBe('new')
    expect(await store.get('a', 1_000)).toMatchObject({ status: 'queued', owner: 'o' })
  })

  test('what has begun is past its end later, and counts until then; what has ended stays as it is', async () => {
    const [store, other] = (await open(2)) as [DeferStore, DeferStore]
    for (const id of ['a1', 'a2']) await put(store, id, 'a', 0)
    await store.end('a2', 'done')
    for (const id of ['a1', 'a2', 'nobody']) await other.extend(id, 900)
    expect(await store.get('a1', 500)).toMatchObject({ status: 'queued', expiresAt: 900 })
    expect(await store.get('a2', 500)).toMatchObject({ status: 'done', expiresAt: 100 })
    expect(await store.get('nobody', 500)).toBeUndefined()
    expect(await put(store, 'a3', 'a', 500)).toBe('new')
    expect(await put(store, 'a4', 'a', 500)).toBe('full')
    // One that came after it expires before it.
    expect(await put(store, 'a4', 'a', 600)).toBe('new')
    expect(await put(store, 'a5', 'a', 600)).toBe('full')
    expect(await put(store, 'a5', 'a', 900)).toBe('new')
  })

  test('what was not queued is forgotten, unless somebody else has begun it meanwhile', async () => {
    const [store, other] = (await open(2)) as [DeferStore, DeferStore]
    await put(store, 'a', 'o', 0)
    await store.drop('a')
    expect(await put(other, 'a', 'o', 0)).toBe('new')
    expect(await put(store, 'a', 'o', 0)).toMatchObject({ status: 'queued' })
    await other.drop('a')
    expect(await store.get('a', 0)).toMatchObject({ status: 'queued' })
  })

  test('of many that come at once as many are taken as there is room for, and one key once', async () => {
    const stores = await open(4)
    const ids = Array.from({ length: 40 }, (_, each) => `id ${each % 20}`)
    const bounds = { depth: 7, perOwner: 5, keepUntil: 1_000 }
    const begun = await Promise.all(
      ids.map((id, each) =>
        stores[each % 4]!.begin(
          { id, owner: each % 2 ? 'odd' : 'even', fingerprint: 'f', expiresAt: 100, status: 'queued' },
          bounds,
          0,
        ),
      ),
    )
    expect(begun.filter((each) => each === 'new')).toHaveLength(7)
    // The second of a pair finds the first, or both found no room.
    for (const [each, one] of begun.slice(0, 20).entries()) {
      const two = begun[each + 20]
      expect(one === 'full' ? two : [one, two].filter((said) => said === 'new').length).toBe(
        one === 'full' ? 'full' : 1,
      )
    }
    const states = await Promise.all(ids.slice(0, 20).map((id) => stores[0]!.get(id, 0)))
    const owners = states.map((state) => state?.owner)
    expect(owners.filter((owner) => owner !== undefined)).toHaveLength(7)
    for (const owner of ['odd', 'even'])
      expect(owners.filter((each) => each === owner).length).toBeLessThanOrEqual(5)
  })
})
