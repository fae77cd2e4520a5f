// Opening: what is refused, with which words, and what is left behind.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { PgPool, PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { freePort } from '../servers/free-port.ts'
import { looking, onServers } from './on-servers.ts'

const secret = 'Tr0ub4dor'

async function failure(opening: Promise<unknown>): Promise<Error & { code?: string; retryable?: boolean }> {
  try {
    await opening
  } catch (error) {
    return error as Error
  }
  throw new Error('it was opened')
}

/** Everything that a log would show of an error. */
function shown(error: unknown): string {
  return error instanceof Error
    ? `${error.stack} ${JSON.stringify(error, Object.getOwnPropertyNames(error))} ${shown(error.cause)}`
    : String(error)
}

await onServers('opening', { settings: { fsync: 'off' } }, (server) => {
  test('a wrong password: ENGINE_UNAVAILABLE with the reason, without the password', async () => {
    const url = new URL(server().url)
    url.password = secret
    const openings = [
      () => postgres({ url: url.href }),
      () => postgresDatabase({ url: url.href }).open('shop'),
    ]
    for (const opening of openings) {
      const error = await failure(opening())
      expect(error).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: false })
      expect(error.message).toContain('password authentication failed')
      expect(shown(error)).not.toContain(secret)
    }
  })

  test('the schema stands in the url or in the options, which come first', async () => {
    const { url } = server()
    const open = (schema: string | undefined, query: string) =>
      postgres({ url: `${url}?${query}`, ...(schema === undefined ? {} : { schema }) })
    const engines = [await open(undefined, 'schema=by_url'), await open('by_option', 'schema=other')]
    const database = await postgresDatabase({ url: `${url}?schema=by_url` }).open('shop')
    const pool = looking(url)
    const text = `select nspname from pg_namespace where nspname like 'by\\_%' or nspname = 'other' order by 1`
    const { rows } = await pool.query(text)
    expect(rows).toEqual([{ nspname: 'by_option' }, { nspname: 'by_url' }, { nspname: 'by_url_shop' }])
    await Promise.all([...engines.map((engine) => engine.close()), database.close(), pool.end()])
  })

  test('which services there are is found without making anything', async () => {
    const { url } = server()
    const long = 'a'.repeat(80)
    const source = postgresDatabase({ url, schema: 'found' })
    const before = await source.find!('shop')
    expect(before).toEqual({ isThere: false, services: [] })
    for (const name of ['shop', long]) await (await source.open(name)).close()
    await (await postgres({ url, schema: 'found_shop_inbox' })).close()
    expect(await source.find!('shop')).toMatchObject({ isThere: true })
    expect(await source.find!(long)).toMatchObject({ isThere: true })
    const pool = looking(url)
    const pooled = postgresDatabase({ pool, schema: 'found' })
    const { isThere, services } = (await pooled.find!('shopp'))!
    expect([isThere, services.length, services.includes('shop')]).toEqual([false, 2, true])
    const { rows } = await pool.query(`select 1 from pg_namespace where nspname = 'found_shopp'`)
    expect(rows).toEqual([])
    await pool.end()
  })

  test('the durability is reported, and refused in strict mode', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    expect(engine.durability.level).toBe('process')
    expect(engine.durability.weaknesses.join()).toContain('fsync=off')
    expect(engine.url).toMatch(/^postgres:\/\/spillway@127\.0\.0\.1:\d+\/postgres$/)
    await engine.close()
    const error = await failure(postgres({ url, strict: true }))
    expect(error).toMatchObject({ code: 'DURABILITY' })
    expect(shown(error)).not.toMatch(/spillway:spillway/)
  })

  test('tables of a newer version: STORE_FROM_FUTURE, for the engine and for a database', async () => {
    const { url } = server()
    const pool = looking(url)
    await (await postgres({ url, schema: 'newer' })).close()
    await (await postgresDatabase({ url, schema: 'newer' }).open('shop')).close()
    await pool.query(`insert into newer.migration (part, version) values ('engine', 999)`)
    await pool.query(`insert into newer_shop.migration (part, version) values ('service', 999)`)
    expect(await failure(postgres({ url, schema: 'newer' }))).toMatchObject({ code: 'STORE_FROM_FUTURE' })
    expect(await failure(postgresDatabase({ url, schema: 'newer' }).open('shop'))).toMatchObject({
      code: 'STORE_FROM_FUTURE',
    })
    await pool.end()
  })

  test('sessions that would read from the past: CONFIGURATION for a pool of one’s own, set right in ours', async () => {
    const { url } = server()
    const strange = new URL(url)
    strange.searchParams.set('options', '-c default_transaction_isolation=serializable')
    const pool = looking(strange.href, 3)
    expect(await failure(postgres({ url, pool }))).toMatchObject({ code: 'CONFIGURATION' })
    await pool.end()
  })

  test('many processes may open a new schema at the same time', async () => {
    const { url } = server()
    const engines = await Promise.all(
      Array.from({ length: 8 }, () => postgres({ url, schema: 'crowd', poolSize: 2 })),
    )
    await Promise.all(engines.map((engine) => engine.close()))
  })

  test('setup is run by one process at a time, in a transaction; what it throws is thrown as it is', async () => {
    const { url } = server()
    const pool = looking(url)
    const setup = async (db: PgQueryable) => {
      const found = await db.query(`select from pg_class where relname = 'set_up_once'`)
      if (found.rowCount === 0) await db.query('create table set_up_once (id int)')
    }
    const source = postgresDatabase({ url, poolSize: 2, setup })
    const opened = await Promise.all(Array.from({ length: 5 }, () => source.open('setup')))
    const failing = postgresDatabase({
      url,
      setup: async (db) => {
        await db.query('create table half_done (id int)')
        throw new Error('my own words')
      },
    })
    await expect(failing.open('setup')).rejects.toThrow(/^my own words$/)
    expect((await pool.query(`select from pg_class where relname = 'half_done'`)).rowCount).toBe(0)
    await Promise.all([...opened.map((database) => database.close()), pool.end()])
  })

  test('setup is all or nothing: a failure that it kept to itself is thrown, its transaction is not its own to end', async () => {
    const { url } = server()
    const pool = looking(url)
    const opening = (end: (db: PgQueryable) => Promise<unknown>) =>
      postgresDatabase({
        url,
        setup: async (db) => {
          await db.query('create table half (id int)')
          await end(db).catch(() => {})
        },
      }).open('whole')
    expect(await failure(opening((db) => db.query('select * from nowhere')))).toMatchObject({ code: '42P01' })
    for (const text of ['commit', 'select 1; commit', 'select 1; rollback'])
      expect(await failure(opening((db) => db.query(text)))).toMatchObject({ code: 'COMMIT_TWICE' })
    expect((await pool.query(`select from pg_class where relname = 'half'`)).rowCount).toBe(0)
    let kept: PgQueryable | undefined
    const setup = (db: PgQueryable) => {
      kept = db
    }
    const database = await postgresDatabase({ url, setup }).open('whole')
    await expect(kept!.query('select 1')).rejects.toMatchObject({ code: 'CLOSED' })
    await Promise.all([database.close(), pool.end()])
  })

  test('a database that cannot store every message, or nothing at all, is refused', async () => {
    const { url } = server()
    const pool = looking(url)
    await pool.query(`create database latin1 encoding 'LATIN1' template template0`)
    const latin1 = new URL(url)
    latin1.pathname = '/latin1'
    const readOnly = new URL(url)
    readOnly.searchParams.set('options', '-c default_transaction_read_only=on')
    for (const [address, code, word] of [
      [latin1.href, 'CONFIGURATION', 'LATIN1'],
      [readOnly.href, 'ENGINE_UNAVAILABLE', 'default_transaction_read_only'],
    ] as const)
      for (const opening of [
        () => postgres({ url: address }),
        () => postgresDatabase({ url: address }).open('shop'),
      ]) {
        const error = await failure(opening())
        expect(error).toMatchObject({ code })
        expect(error.message).toContain(word)
      }
    await pool.end()
  })

  test('a pool of one connection cannot be listened on', async () => {
    const { url } = server()
    const pool = looking(url)
    expect(await failure(postgres({ url, pool }))).toMatchObject({ code: 'INVALID_OPTION' })
    await (await postgres({ url, pool, listen: false })).close()
    await pool.end()
  })

  test('with a pool of one’s own everything works, also while sessions share it, and it stays open', async () => {
    const { url } = server()
    const pool = looking(url, 5)
    const engine = await postgres({ url, pool, schema: 'shared' })
    await engine.queue!.declare(['q'])
    await engine.stream!.declare({ name: 's', partitions: 2, versions: true })
    await engine.queue!.send('q', [{ id: 'a', body: '{}' }])
    const claimed = await engine.queue!.claim('q', { limit: 1, leaseMs: 1_000, waitMs: 0 })
    expect(await engine.queue!.settle('q', [{ lease: claimed[0]!.lease, kind: 'done' }])).toEqual(['settled'])
    await engine.stream!.append('s', [{ partition: 0, key: 'k', body: '{}', expectedVersion: 0 }])
    await engine.close()
    const { rows } = await pool.query('show enable_seqscan')
    expect(rows[0]).toEqual({ enable_seqscan: 'on' })
    await pool.end()
  })

  test('the process ends by itself when all was closed: no handle is left', async () => {
    const program = fileURLToPath(new URL('./open-and-close.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [program, server().url], {
      timeout: 20_000,
    })
    expect(stdout.trim()).toBe('closed')
  })

  test('a join that is under way when the engine closes leaves no member behind, and calls nobody back', async () => {
    const { url } = server()
    const pool = looking(url)
    const declaring = await postgres({ url, schema: 'joining' })
    await declaring.stream!.declare({ name: 's', partitions: 2 })
    for (let round = 0; round < 12; round++) {
      const engine = await postgres({ url, schema: 'joining' })
      let closed = false
      const late: string[] = []
      const call = (what: string) => closed && late.push(what)
      const member = {
        sessionMs: 60_000,
        assigned: () => call('assigned'),
        revoked: async () => void call('revoked'),
        failed: () => call('failed'),
      }
      const joining = engine.stream!.join('s', 'g', member)
      joining.catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, round))
      await engine.close()
      closed = true
      await joining.catch((error) => expect(error).toMatchObject({ code: 'CLOSED' }))
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(late).toEqual([])
      expect((await pool.query('select from joining.group_member')).rowCount).toBe(0)
    }
    await Promise.all([declaring.close(), pool.end()])
  }, 20_000)

  test('positions that are none are not committed', async () => {
    const { url } = server()
    const engine = await postgres({ url, schema: 'positions' })
    await engine.stream!.declare({ name: 's', partitions: 1 })
    const held: number[] = []
    const membership = await engine.stream!.join('s', 'g', {
      sessionMs: 5_000,
      assigned: (partitions) => held.push(partitions.length),
      revoked: async () => {},
      failed() {},
    })
    await expect.poll(() => held).toEqual([1])
    for (const position of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
      expect(await failure(membership.commit([{ partition: 0, position }]))).toMatchObject({
        code: 'INVALID_OPTION',
      })
    expect(await engine.stream!.committed('s', 'g')).toEqual([{ partition: 0, position: null }])
    await engine.close()
  })

  test('closing leaves no session on the server', async () => {
    const { url } = server()
    const pool = looking(url)
    const count = async () =>
      (await pool.query(`select count(*)::int from pg_stat_activity where application_name = 'spillway'`))
        .rows[0].count
    const engine = await postgres({ url })
    expect(await count()).toBeGreaterThan(0)
    await engine.close()
    await expect.poll(count).toBe(0)
    await pool.end()
  })
})

describe('without a server', () => {
  test('nobody listens there: ENGINE_UNAVAILABLE, soon, without the password', async () => {
    const error = await failure(postgres({ url: `postgres://u:${secret}@127.0.0.1:${await freePort()}/d` }))
    expect(error).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
    expect(shown(error)).not.toContain(secret)
  })

  test('an older server: ENGINE_TOO_OLD names both versions', async () => {
    const error = await failure(
      postgres({ url: 'postgres://h/d', pool: pretending({ number: 140_009, version: '14.9' }) }),
    )
    expect(error).toMatchObject({ code: 'ENGINE_TOO_OLD' })
    expect(error.message).toMatch(/14\.9.*15/)
  })

  test('a standby: ENGINE_UNAVAILABLE', async () => {
    const pool = pretending({ number: 180_000, version: '18.0', standby: true })
    expect(await failure(postgres({ url: 'postgres://h/d', pool }))).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    })
  })

  test.each([
    { schema: 'pg_mine' },
    { schema: 'with "quotes"' },
    { schema: '' },
    { schema: 'x'.repeat(64) },
    { poolSize: 1 },
    { poolSize: 2.5 },
  ])('%o: INVALID_OPTION', async (options) => {
    expect(await failure(postgres({ url: 'postgres://127.0.0.1:1/d', ...options }))).toMatchObject({
      code: 'INVALID_OPTION',
    })
  })
})

/** A pool whose server says these things about itself: no other server of such a kind is at hand. */
function pretending(about: { number: number; version: string; standby?: boolean }): PgPool {
  const query = async () => ({
    rows: [{ standby: false, isolation: 'read committed', ...about }],
    rowCount: 1,
  })
  const client = { query, release() {}, on() {} }
  return { query, connect: async () => client }
}
