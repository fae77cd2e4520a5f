// The server dies and comes back: what is told meanwhile, and that everything goes on by itself afterwards.
import { expect, test } from 'vitest'
import { isSpillwayError } from '../../src/core/errors.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { looking, onServers } from './on-servers.ts'

const patience = { timeout: 20_000, interval: 50 }

await onServers('outages', {}, (server) => {
  test('the server is killed and started again: calls reject soon, then everything goes on', async () => {
    const { url } = server()
    const [one, two] = await Promise.all([postgres({ url }), postgres({ url })])
    const database = await postgresDatabase({ url }).open('outage')
    await one.queue!.declare(['q'])
    await one.stream!.declare({ name: 's', partitions: 4 })
    const held = new Set<number>()
    const failures: Error[] = []
    const membership = await one.stream!.join('s', 'g', {
      sessionMs: 1_000,
      assigned: (partitions) => {
        for (const { partition } of partitions) held.add(partition)
      },
      revoked: async (partitions) => {
        for (const partition of partitions) held.delete(partition)
      },
      failed: (error) => failures.push(error),
    })
    await expect.poll(() => held.size, patience).toBe(4)
    await one.queue!.send('q', [{ id: 'kept', body: '{}' }])
    const reading = two.stream!.read('s', [{ partition: 0, position: 0 }], {
      maxRecords: 1,
      maxBytes: 1,
      waitMs: 60_000,
    })
    reading.catch(() => {})
    await server().kill()
    const calls = [
      one.queue!.send('q', [{ id: 'lost', body: '{}' }]),
      two.queue!.claim('q', { limit: 1, leaseMs: 1_000, waitMs: 60_000 }),
      one.stream!.append('s', [{ partition: 0, body: '{}' }]),
      two.stream!.bounds('s'),
      database.commit({ outbox: [], inbox: { consumer: 'c', ids: ['i'] }, timeoutMs: 5_000 }),
      database.commit({ outbox: [], effects: (db) => db.query('select 1'), timeoutMs: 5_000 }),
    ]
    const outcomes = await Promise.allSettled(calls)
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'ENGINE_UNAVAILABLE', retryable: true },
      })
    // Its session is over: what it held may be another's by now.
    await expect.poll(() => held.size, patience).toBe(0)
    await server().restart()
    await expect.poll(() => held.size, patience).toBe(4)
    expect(failures).toEqual([])
    await two.stream!.append('s', [{ partition: 1, body: '{}' }])
    expect(await membership.commit([{ partition: 1, position: 1 }])).toEqual(['committed'])
    const claimed = await two.queue!.claim('q', { limit: 5, leaseMs: 1_000, waitMs: 5_000 })
    expect(claimed.map(({ id }) => id)).toContain('kept')
    const unit = { outbox: [], inbox: { consumer: 'c', ids: ['i'] }, timeoutMs: 5_000 }
    expect(await database.commit(unit)).toBe('committed')
    await Promise.all([one.close(), two.close(), database.close()])
  }, 60_000)

  test('a listener that lost its connection hears again', async () => {
    const { url } = server()
    const [one, two] = await Promise.all([
      postgres({ url, schema: 'ears' }),
      postgres({ url, schema: 'ears' }),
    ])
    const pool = looking(url)
    await one.queue!.declare(['q'])
    const cut = await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %'`,
    )
    expect(cut.rowCount).toBe(2)
    const listeners = async () =>
      (await pool.query(`select from pg_stat_activity where query like 'listen %' and state = 'idle'`))
        .rowCount
    await expect.poll(listeners, patience).toBe(2)
    // Faster than the poll, which comes every second: a notification woke it.
    const times: number[] = []
    for (let index = 0; index < 5; index++) {
      const claiming = one.queue!.claim('q', { limit: 1, leaseMs: 1_000, waitMs: 10_000 })
      await new Promise((resolve) => setTimeout(resolve, 100))
      const sentAt = performance.now()
      await two.queue!.send('q', [{ id: `m${index}`, body: '{}' }])
      await claiming
      times.push(performance.now() - sentAt)
    }
    expect(Math.min(...times)).toBeLessThan(300)
    await Promise.all([one.close(), two.close(), pool.end()])
  }, 30_000)

  test('a server that takes its time with a lock, by settings of the role, ends no membership', async () => {
    const url = new URL(server().url)
    url.searchParams.set('options', '-c lock_timeout=100')
    const engine = await postgres({ url: url.href, schema: 'slow_lock' })
    const pool = looking(server().url)
    await engine.stream!.declare({ name: 's', partitions: 1 })
    const failures: Error[] = []
    const member = {
      sessionMs: 900,
      assigned() {},
      async revoked() {},
      failed: (e: Error) => failures.push(e),
    }
    const membership = await engine.stream!.join('s', 'g', member)
    await pool.query('begin')
    await pool.query('select from slow_lock.group_member for update')
    await pool.query('select from slow_lock.stream_head for update')
    const error = await engine.stream!.append('s', [{ partition: 0, body: '{}' }]).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
    // A few heartbeats.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await pool.query('rollback')
    const committed = () => membership.commit([{ partition: 0, position: 1 }])
    await expect.poll(committed, patience).toEqual(['committed'])
    expect(failures).toEqual([])
    await Promise.all([engine.close(), pool.end()])
  }, 30_000)

  test('connections that are cut in the middle of a transaction leave nothing behind', async () => {
    const { url } = server()
    const database = await postgresDatabase({ url }).open('cut')
    const pool = looking(url, 2)
    await pool.query('create table if not exists cut_effect (id int primary key)')
    const unit = (cut: boolean) =>
      database.commit({
        inbox: { consumer: 'c', ids: ['i'] },
        outbox: [{ destination: { kind: 'queue', name: 'q' }, id: 'o', key: undefined, body: '{}' }],
        timeoutMs: 5_000,
        effects: async (db) => {
          await db.query('insert into cut_effect values (1)')
          const found = await db.query<{ pid: number }>('select pg_backend_pid() as pid')
          if (cut) await pool.query('select pg_terminate_backend($1)', [found.rows[0]!.pid])
        },
      })
    const error = await unit(true).catch((thrown: unknown) => thrown)
    expect(isSpillwayError(error, 'ENGINE_UNAVAILABLE')).toBe(true)
    expect((await pool.query('select from cut_effect')).rowCount).toBe(0)
    expect(await unit(false)).toBe('committed')
    expect((await database.outbox.count()).waiting).toBe(1)
    await Promise.all([database.close(), pool.end()])
  })
})
