// Transactions that users already have on PostgreSQL, of every kind that is taken: what joins them stands and falls with them.
import pg from 'pg'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import {
  context,
  event,
  type JoinedSender,
  type Running,
  run,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { looking, onServers } from './on-servers.ts'
import { userKinds } from './user-kinds.ts'

const orders = context('orders', {
  events: {
    placed: event({ data: unchecked<{ id: string; n: number }>(), key: () => 'one' }),
  },
})
const audit = context('audit', {})

const waits = { timeout: 20_000 }

await onServers('joining', { settings: { max_connections: '100' } }, (server) => {
  let seen: { id: string; n: number }[] = []
  const made = service(orders, {
    database: { open: (name) => postgresDatabase({ url: server().url }).open(name) },
  })
  const listening = service(audit).on(orders.events.placed, ({ data }) => void seen.push(data))

  async function start(): Promise<Running> {
    seen = []
    return await run(topology({ contexts: [made, listening], engine: 'sqlite:unused' }), { engine: memory() })
  }

  beforeAll(async () => {
    const admin = looking(server().url)
    await admin.query('create table orders (id text primary key, n int not null default 0)')
    await admin.end()
  })

  describe.each(userKinds)('$name', ({ name, open }) => {
    test('commit publishes in order, rollback publishes nothing, and nothing escapes', async () => {
      const db = await open(server().url)
      const running = await start()
      const of = running.service(made)
      const { placed } = orders.events
      const ids = ["it's", 'a $1 ?', 'b\\ "c"', `${name} Ω`]
      await db.transaction(async (tx, run) => {
        await run(`insert into orders values ('${name}', 1)`)
        for (const [n, id] of ids.entries()) await of.join(tx).publish(placed, { id, n })
      })
      of.committed()
      await vi.waitFor(() => expect(seen.length).toBe(4), waits)
      const undone = db.transaction(async (tx, run) => {
        await run(`insert into orders values ('${name} undone', 1)`)
        await of.join(tx).publish(placed, { id: 'undone', n: 9 })
        throw new Error('changed my mind')
      })
      await expect(undone).rejects.toThrow('changed my mind')
      const outside = (async () => of.join(db.outside).publish(placed, { id: 'outside', n: 9 }))()
      await expect(outside).rejects.toMatchObject({ code: 'NO_TRANSACTION' })
      // What was joined cannot be used after the end.
      let joined: JoinedSender | undefined
      await db.transaction(async (tx) => {
        joined = of.join(tx)
        await joined.publish(placed, { id: 'last', n: 4 })
      })
      await expect((async () => joined?.publish(placed, { id: 'after', n: 9 }))()).rejects.toThrow()
      of.committed()
      await vi.waitFor(() => expect(seen.map(({ id }) => id)).toEqual([...ids, 'last']), waits)
      await running.drained()
      expect(seen.length).toBe(5)
      await running.stop()
      await db.close()
    })
  })

  test('without committed() the poll finds it', async () => {
    const running = await start()
    const client = new pg.Client({ connectionString: server().url })
    await client.connect()
    await client.query('begin')
    await running.service(made).join(client).publish(orders.events.placed, { id: 'a', n: 1 })
    await client.query('commit')
    await vi.waitFor(() => expect(seen).toEqual([{ id: 'a', n: 1 }]), waits)
    await running.stop()
    await client.end()
  })

  test('a message that came while the transaction was aborted is refused; after the way back to a savepoint others join', async () => {
    const running = await start()
    const client = new pg.Client({ connectionString: server().url })
    await client.connect()
    await client.query('begin')
    const joined = running.service(made).join(client)
    const publish = (n: number) => joined.publish(orders.events.placed, { id: 'back', n })
    await client.query('savepoint here')
    await expect(client.query('select 1 / 0')).rejects.toThrow('division by zero')
    await expect(publish(1)).rejects.toThrow(/aborted/)
    await client.query('rollback to savepoint here')
    await publish(2)
    await client.query('savepoint there')
    await publish(3)
    await client.query('rollback to savepoint there')
    await publish(4)
    await client.query('commit')
    await expect(publish(5)).rejects.toMatchObject({ code: 'NO_TRANSACTION' })
    await vi.waitFor(() => expect(seen.map(({ n }) => n)).toEqual([2, 4]), waits)
    await running.stop()
    await client.end()
  })

  test('two transactions on one row, publishing after its lock: the events come in the order of the changes', async () => {
    const running = await start()
    const of = running.service(made)
    const pool = looking(server().url, 2)
    await pool.query("insert into orders values ('row', 0) on conflict (id) do update set n = 0")
    const change = async (): Promise<void> => {
      const client = await pool.connect()
      await client.query('begin')
      const { rows } = await client.query("update orders set n = n + 1 where id = 'row' returning n")
      const { n } = rows[0] as { n: number }
      await of.join(client).publish(orders.events.placed, { id: 'row', n })
      await client.query('commit')
      client.release()
      of.committed()
    }
    await Promise.all(
      [1, 2].map(async () => {
        for (let count = 0; count < 50; count++) await change()
      }),
    )
    await vi.waitFor(
      () => expect(seen.map(({ n }) => n)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1)),
      waits,
    )
    await running.stop()
    await pool.end()
  })

  test('what commits late is published late, after seconds in which others were relayed', async () => {
    const running = await start()
    const of = running.service(made)
    const [slow, quick] = [1, 2].map(() => new pg.Client({ connectionString: server().url })) as [
      pg.Client,
      pg.Client,
    ]
    await Promise.all([slow.connect(), quick.connect()])
    await slow.query('begin')
    await of.join(slow).publish(orders.events.placed, { id: 'late', n: 0 })
    for (let n = 1; n <= 25; n++) {
      await quick.query('begin')
      await of.join(quick).publish(orders.events.placed, { id: 'early', n })
      await quick.query('commit')
      of.committed()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await vi.waitFor(() => expect(seen.length).toBe(25), waits)
    await slow.query('commit')
    of.committed()
    await vi.waitFor(() => expect(seen.slice(25)).toEqual([{ id: 'late', n: 0 }]), waits)
    await running.stop()
    await Promise.all([slow.end(), quick.end()])
  })

  test('a transaction of another database is refused, and so is a pool; what the server says of a broken one is told', async () => {
    const running = await start()
    const of = running.service(made)
    const admin = looking(server().url)
    await admin.query('create database elsewhere')
    const url = new URL(server().url)
    url.pathname = '/elsewhere'
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    await client.query('begin')
    const publish = async (tx: pg.Client | pg.Pool) =>
      of.join(tx).publish(orders.events.placed, { id: 'a', n: 1 })
    await expect(publish(client)).rejects.toMatchObject({
      code: 'NO_TRANSACTION',
      message: /another database/,
    })
    await expect(publish(admin)).rejects.toMatchObject({ code: 'NO_TRANSACTION', message: /a pool/ })
    const broken = new pg.Client({ connectionString: server().url })
    await broken.connect()
    await broken.query('begin')
    await broken.query('select 1/0').catch(() => {})
    await expect(publish(broken)).rejects.toMatchObject({ code: 'ENGINE_FAILED', message: /25P02/ })
    await running.stop()
    await Promise.all([client.end(), broken.end(), admin.end()])
  })
})
