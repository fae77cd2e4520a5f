// What a claim and the relay's look cost must not grow with the backlog, nor with what was handled while some transaction
// somewhere stays open. Counted in pages that the server touches, which no load of the machine changes.
import pg from 'pg'
import { expect, test } from 'vitest'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { OutgoingMessage, QueuePort } from '../../src/ports/queue.ts'
import type { QueueRules } from '../../src/ports/queue-rules.ts'
import { looking, onServers } from './on-servers.ts'

type Carried = (index: number) => Partial<OutgoingMessage>

const underRules: readonly { readonly rules: QueueRules; readonly carried: Carried }[] = [
  { rules: { priority: true, concurrency: 50 }, carried: (index) => ({ priority: index % 5 }) },
  { rules: { keyOrder: true }, carried: (index) => ({ key: `k${index % 100}` }) },
  { rules: { groups: { concurrency: 10 } }, carried: (index) => ({ group: `g${index % 20}` }) },
  {
    rules: { dedup: true, rate: { count: 10_000, perMs: 1 } },
    carried: (index) => ({ dedup: { key: `${index}` } }),
  },
]

// What is synced is not counted.
await onServers('cost', { settings: { autovacuum: 'off', fsync: 'off' } }, (server) => {
  /** One session for everything, so that its counters can be read at once. */
  async function session() {
    const pool = looking(server().url)
    return {
      pool,
      /** Pages that `act` touches in a table and its indexes. */
      async pages(schema: string, table: string, act: () => Promise<void>): Promise<number> {
        const touched = async (): Promise<number> => {
          await pool.query('select pg_stat_force_next_flush()')
          const { rows } = await pool.query(
            `select (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::int as pages
            from pg_statio_user_tables where schemaname = $1 and relname = $2`,
            [schema, table],
          )
          return rows[0].pages
        }
        const before = await touched()
        await act()
        return (await touched()) - before
      },
    }
  }

  async function fill(queue: QueuePort, count: number, carried: Carried = () => ({})): Promise<void> {
    for (let sent = 0; sent < count; sent += 2_000)
      await queue.send(
        'q',
        Array.from({ length: 2_000 }, (_, index) => ({
          id: `${sent + index}`,
          body: '{}',
          ...carried(sent + index),
        })),
      )
  }

  async function handleOne(queue: QueuePort): Promise<void> {
    const claimed = await queue.claim('q', { limit: 1, leaseMs: 60_000, waitMs: 0 })
    await queue.settle(
      'q',
      claimed.map(({ lease }) => ({ lease, kind: 'done' as const })),
    )
  }

  test('a claim in a backlog of 30,000 touches as few pages as one in a backlog of 2,000', async () => {
    const { url } = server()
    const { pool, pages } = await session()
    const counts: number[] = []
    for (const count of [2_000, 30_000]) {
      const schema = `backlog${count}`
      const engine = await postgres({ url, schema, pool, listen: false })
      await engine.queue!.declare(['q'])
      await fill(engine.queue!, count)
      let leases = 0
      const messages = await pages(schema, 'message', async () => {
        leases = await pages(schema, 'lease', async () => {
          for (let index = 0; index < 20; index++) await handleOne(engine.queue!)
        })
      })
      counts.push(messages + leases)
      await engine.close()
    }
    expect(counts[1]).toBeLessThan(2 * counts[0]!)
    // Per message: to find it, to lease it, to delete it, with all indexes.
    expect(counts[1]! / 20).toBeLessThan(100)
    await pool.end()
  }, 60_000)

  test.each(underRules)(
    'so does one under the rules $rules',
    async ({ rules, carried }) => {
      const { url } = server()
      const { pool, pages } = await session()
      const counts: number[] = []
      const name = Object.keys(rules).join('_')
      for (const count of [2_000, 30_000]) {
        const schema = `${name}${count}`
        const engine = await postgres({ url, schema, pool, listen: false })
        await engine.queue!.declare(['q'], rules)
        await fill(engine.queue!, count, carried)
        counts.push(
          await pages(schema, 'task', async () => {
            for (let index = 0; index < 20; index++) await handleOne(engine.queue!)
          }),
        )
        await engine.close()
      }
      expect(counts[0]).toBeGreaterThan(20)
      expect(counts[1]).toBeLessThan(2 * counts[0]!)
      expect(counts[1]! / 20).toBeLessThan(150)
      await pool.end()
    },
    60_000,
  )

  test('what others hold makes a claim no dearer', async () => {
    const { url } = server()
    const { pool, pages } = await session()
    const schema = 'in_hand'
    const [engine, other] = [
      await postgres({ url, schema, pool, listen: false }),
      await postgres({ url, schema }),
    ]
    const queue = engine.queue!
    await queue.declare(['q'])
    const cost = async () => {
      let leases = 0
      const messages = await pages(schema, 'message', async () => {
        leases = await pages(schema, 'lease', async () => {
          for (let index = 0; index < 40; index++) await handleOne(queue)
        })
      })
      return messages + leases
    }
    await fill(queue, 2_000)
    const alone = await cost()
    await fill(queue, 20_000)
    for (let held = 0; held < 20_000; ) {
      const claimed = await other.queue!.claim('q', { limit: 1_000, leaseMs: 600_000, waitMs: 0 })
      held += claimed.length
      if (claimed.length === 0) break
    }
    await fill(queue, 2_000)
    // What was taken a moment ago is still looked at.
    for (let round = 0; round < 4; round++) {
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      await handleOne(queue)
    }
    expect(await cost()).toBeLessThan(4 * alone)
    await Promise.all([engine.close(), other.close(), pool.end()])
  }, 60_000)

  test.each([undefined, { priority: true }])(
    'while a transaction elsewhere stays open, claims under %j do not get dearer with what was handled',
    async (rules) => {
      const { url } = server()
      const { pool, pages } = await session()
      const schema = rules ? 'held_ruled' : 'held'
      const engine = await postgres({ url, schema, pool, listen: false })
      const queue = engine.queue!
      await queue.declare(['q'], rules)
      const other = new pg.Client(url)
      other.on('error', () => {})
      await other.connect()
      await other.query('begin isolation level repeatable read; select pg_current_xact_id()')
      const handle = async (count: number) => {
        await fill(queue, count)
        for (let left = count; left > 0; ) {
          const claimed = await queue.claim('q', { limit: 500, leaseMs: 60_000, waitMs: 0 })
          await queue.settle(
            'q',
            claimed.map(({ lease }) => ({ lease, kind: 'done' as const })),
          )
          left -= claimed.length
        }
      }
      await handle(20_000)
      // What was handled a moment ago is still looked at.
      for (let round = 0; round < 4; round++) {
        await new Promise((resolve) => setTimeout(resolve, 1_100))
        await handle(2_000)
      }
      const times = 100
      await fill(queue, 2_000)
      let leases = 0
      const handled = await pages(schema, rules ? 'task' : 'message', async () => {
        leases = await pages(schema, 'lease', async () => {
          for (let index = 0; index < times; index++) await handleOne(queue)
        })
      })
      const count = handled + leases
      // More than 400 with scans over all that was handled.
      expect(count / times).toBeLessThan(200)
      await engine.close()
      await Promise.all([other.end(), pool.end()])
    },
    60_000,
  )

  test('while a transaction elsewhere stays open, units do not get dearer with what was finished', async () => {
    const { pool, pages } = await session()
    const database = await postgresDatabase({ pool, schema: 'long' }).open('shop')
    const { generation } = await database.acquire('s', 'g', 0)
    const finish = async (from: number, count: number) => {
      const place = { stream: 's', group: 'g', partition: 0, generation, sequences: {} }
      for (let finished = from; finished < from + count; finished++)
        await database.commit({
          outbox: [],
          timeoutMs: 10_000,
          progress: { ...place, finished, low: finished + 1 },
        })
    }
    const other = new pg.Client(server().url)
    other.on('error', () => {})
    await other.connect()
    await other.query('begin isolation level repeatable read; select pg_current_xact_id()')
    await finish(0, 2_500)
    let low = 0
    const locked = await pages('long_shop', 'progress', async () => {
      low = await pages('long_shop', 'low', () => finish(2_500, 50))
    })
    expect(low).toBeGreaterThan(50)
    expect((locked + low) / 50).toBeLessThan(40)
    await Promise.all([other.end(), database.close()])
    await pool.end()
  }, 60_000)

  test('the relay finds a destination and its rows however many rows wait for another one', async () => {
    const { pool, pages } = await session()
    const database = await postgresDatabase({ pool, schema: 'outbox' }).open('shop')
    const message = (name: string, id: number) => ({
      destination: { kind: 'queue' as const, name },
      id: `${id}`,
      key: undefined,
      body: '{}',
    })
    const commit = (name: string, count: number) =>
      database.commit({
        outbox: Array.from({ length: count }, (_, index) => message(name, index)),
        timeoutMs: 10_000,
      })
    for (let round = 0; round < 20; round++) await commit('away', 2_000)
    await commit('here', 1)
    const count = await pages('outbox_shop', 'outbox', async () => {
      expect((await database.outbox.pending()).map(({ name }) => name)).toEqual(['away', 'here'])
      await database.outbox.lock('h', 10_000)
      const rows = await database.outbox.take('h', { kind: 'queue', name: 'here' }, 100)
      expect(rows).toHaveLength(1)
      await database.outbox.remove(rows)
    })
    expect(count).toBeGreaterThan(5)
    expect(count).toBeLessThan(100)
    await database.close()
    await pool.end()
  }, 60_000)

  test('a move touches few pages, with a long outbox and behind what was moved while a transaction is open', async () => {
    const { pool, pages } = await session()
    const engine = await postgres({ url: server().url, schema: 'moving' })
    await engine.stream!.declare({ name: 'desk', partitions: 1 })
    const database = await postgresDatabase({ pool, schema: 'moving' }).open('desk')
    const home = engine.stream!.home!
    expect(await database.adopt!(home)).toBe(true)
    const destination = { kind: 'stream' as const, name: 'desk' }
    const message = { destination, key: undefined, body: '{"n":0}' }
    const commit = (count: number) =>
      database.commit({
        outbox: Array.from({ length: count }, (_, index) => ({ ...message, id: `${index}` })),
        timeoutMs: 20_000,
      })
    const move = (limit: number) => database.outbox.move!('h', destination, limit, { home, partitions: 1 })
    const costOfOne = () => pages('moving_desk', 'outbox', async () => void (await move(1)))
    const open = await looking(server().url).connect()
    open.on('error', () => {})
    await open.query('begin isolation level repeatable read; select from pg_class limit 1')
    await commit(20_000)
    expect(await costOfOne()).toBeLessThan(200)
    // Where rows have been gone for a while is known after a second or two of moving.
    for (let until = performance.now() + 3_000; performance.now() < until; ) {
      await commit(50)
      await move(1_000)
    }
    while ((await move(1_000))!.more);
    await commit(2)
    await move(1)
    // Most moves begin behind the rest; now and then one looks from the start.
    const costs: number[] = []
    for (let index = 0; index < 9; index++) {
      await commit(1)
      costs.push(await costOfOne())
    }
    expect(Math.min(...costs)).toBeLessThan(200)
    await open.query('rollback')
    open.release(true)
    await Promise.all([database.close(), engine.close()])
    await pool.end()
  }, 60_000)

  // Looked for one by one, or joined by a plan that expects few, they would take longer than a call may.
  test('so many messages that wait for one, or for each other in a chain, are sent in one call', async () => {
    const engine = await postgres({ url: server().url, schema: 'waiting' })
    const queue = engine.queue!
    await queue.declare(['q'], { flow: true })
    await queue.send('q', [{ id: 'first', body: '{}' }])
    const many = 20_000
    const waiting = (name: string, before: (index: number) => string) =>
      Array.from({ length: many }, (_, index) => ({
        id: `${name}${index}`,
        body: '{}',
        after: { ids: [before(index)] },
      }))
    await queue.send(
      'q',
      waiting('a', () => 'first'),
    )
    await queue.send(
      'q',
      waiting('b', (index) => (index === 0 ? 'first' : `b${index - 1}`)),
    )
    const [first] = await queue.claim('q', { limit: 1, leaseMs: 60_000, waitMs: 0 })
    await queue.settle('q', [{ lease: first!.lease, kind: 'done' }])
    expect(await queue.count('q')).toMatchObject({ ready: many + 1, waiting: many - 1 })
    await engine.close()
  }, 120_000)
})
