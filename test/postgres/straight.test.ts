// Queues in the database of the service itself: what its transactions send is there when they commit, and there is nothing to relay.
import pg from 'pg'
import { afterEach, expect, test, vi } from 'vitest'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { QueueHome } from '../../src/engines/postgres/queue-home.ts'
import { context, event, queue, type Running, run, service, topology, unchecked } from '../../src/index.ts'
import { looking, onServers } from './on-servers.ts'
import { userKinds } from './user-kinds.ts'

const desk = context('desk', {
  events: { noted: event({ data: unchecked<number>(), key: () => 'one' }) },
  queues: {
    plain: queue({ data: unchecked<number>() }),
    once: queue({ data: unchecked<number>(), dedup: (n) => `${n % 10}` }),
    go: queue({ data: unchecked<number>() }),
  },
})
const waits = { timeout: 20_000 }
let name = 0

await onServers('straight', {}, (server) => {
  let running: Running | undefined
  afterEach(() => running?.stop())

  /** `where`: another database for the service than the engine's. */
  async function start(where?: string) {
    const schema = `straight${++name}`
    const seen: Record<'plain' | 'once' | 'noted', number[]> = { plain: [], once: [], noted: [] }
    const home = new URL(server().url)
    if (where !== undefined) home.pathname = `/${where}`
    const of = service(desk, { database: postgresDatabase({ url: home.href, schema: `${schema}own` }) })
      .work(desk.queues.plain, ({ data }) => void seen.plain.push(data))
      .work(desk.queues.once, ({ data }) => void seen.once.push(data))
      .work(desk.queues.go, async ({ data }, { send, commit }) => {
        send(desk.queues.plain, data)
        await commit((tx) => tx.send(desk.queues.plain, data + 1))
      })
      .on(desk.events.noted, ({ data }) => void seen.noted.push(data))
    running = await run(topology({ contexts: [of], engine: `${server().url}?schema=${schema}` }))
    const outboxed: string[] = []
    const { outbox } = running.service(of).database!
    const take = outbox.take.bind(outbox)
    outbox.take = async (...args) => {
      const rows = await take(...args)
      outboxed.push(...rows.map(({ destination }) => destination.name))
      return rows
    }
    return { of: running.service(of), seen, outboxed, schema }
  }

  test('by transaction(), by a handler and by a transaction of the user: handled, and never in the outbox', async () => {
    const { of, seen, outboxed } = await start()
    await of.transaction((tx) => tx.send(desk.queues.plain, 1))
    await of.transaction(async (tx) => {
      await tx.db.query('select 1')
      tx.send(desk.queues.plain, 2)
      tx.send(desk.queues.plain, 3)
    })
    await running!.queue(desk.queues.go).send(4)
    const client = new pg.Client({ connectionString: server().url })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin')
    await of.join(client).send(desk.queues.plain, 6)
    await client.query('commit')
    of.committed()
    await vi.waitFor(() => expect(seen.plain.toSorted()).toEqual([1, 2, 3, 4, 5, 6]), waits)
    await client.query('begin')
    await of.join(client).send(desk.queues.plain, 7)
    await client.query('rollback')
    await of
      .transaction((tx) => {
        tx.send(desk.queues.plain, 8)
        throw new Error('no')
      })
      .catch(() => {})
    // With a delay, and kept as one.
    await of.transaction((tx) => tx.send(desk.queues.plain, 9, { delay: '1h' }))
    expect(await running!.queue(desk.queues.plain).count()).toMatchObject({ delayed: 1 })
    await client.end()
    expect(seen.plain.length).toBe(6)
    expect(outboxed).toEqual([])
  })

  test.each(userKinds)(
    'by a transaction of $name: stored at once, and not when it is rolled back',
    async ({ open }) => {
      const { of, seen, outboxed } = await start()
      const db = await open(server().url)
      await db.transaction(async (tx) => {
        await of.join(tx).send(desk.queues.plain, 1)
        await of.join(tx).send(desk.queues.once, 2)
      })
      const undone = db.transaction(async (tx) => {
        await of.join(tx).send(desk.queues.plain, 3)
        throw new Error('no')
      })
      await expect(undone).rejects.toThrow('no')
      of.committed()
      await vi.waitFor(() => expect(seen).toMatchObject({ plain: [1], once: [2] }), waits)
      expect(outboxed).toEqual(['desk.once'])
      await db.close()
    },
  )

  test('a transaction that does not see the rules that a queue has by now sends by the outbox', async () => {
    const { seen, schema } = await start()
    const home = `${server().url}?schema=${schema}`
    // In this process nobody claims, so that nothing tells it of the new rules.
    const apart = service(desk, {
      database: postgresDatabase({ url: server().url, schema: `${schema}own` }),
    })
    const sending = await run(topology({ contexts: [apart], engine: home }))
    const client = looking(server().url)
    const user = new pg.Client({ connectionString: server().url })
    user.on('error', () => {})
    await user.connect()
    await user.query('begin isolation level repeatable read')
    await user.query('select from pg_class limit 1')
    await client.query(`select from ${schema}.declare_queues(array['desk.plain'], '{"priority":true}')`)
    // Claims come to know that what was sent before the rules is gone.
    await vi.waitFor(async () => {
      const query = `select legacy from ${schema}.queue where name = 'desk.plain'`
      expect((await client.query(query)).rows).toEqual([{ legacy: false }])
    }, waits)
    await sending.service(apart).join(user).send(desk.queues.plain, 1)
    const { rows } = await user.query(`select name from ${schema}own_desk.outbox`)
    expect(rows).toEqual([{ name: 'desk.plain' }])
    await user.query('commit')
    sending.service(apart).committed()
    await vi.waitFor(() => expect(seen.plain).toEqual([1]), waits)
    await Promise.all([user.end(), client.end()])
    await sending.stop()
  })

  test('committed() of one transaction takes nothing from another that is still open', async () => {
    const { of } = await start()
    const stored = vi.spyOn(QueueHome.prototype, 'stored')
    const told = () => stored.mock.calls.splice(0).map(([queues]) => [...queues].length)
    const users = [1, 2].map(() => new pg.Client({ connectionString: server().url }))
    for (const user of users) {
      user.on('error', () => {})
      await user.connect()
      await user.query('begin')
      await of.join(user).send(desk.queues.plain, 1)
    }
    for (const user of users) {
      await user.query('commit')
      told()
      of.committed()
      expect(told()).toEqual([1])
      await user.end()
    }
    stored.mockRestore()
  })

  test('what the rules of a queue are for goes by the outbox and holds; events are moved from it', async () => {
    const { of, seen, outboxed } = await start()
    await of.transaction((tx) => {
      tx.publish(desk.events.noted, 1)
      tx.send(desk.queues.plain, 1)
      tx.send(desk.queues.once, 1, { delay: '500ms' })
      tx.send(desk.queues.once, 11)
    })
    await vi.waitFor(() => expect(seen).toEqual({ plain: [1], once: [1], noted: [1] }), waits)
    expect(new Set(outboxed)).toEqual(new Set(['desk.once']))
  })

  test('a queue that got rules meanwhile: its message is in the outbox, in the same transaction', async () => {
    const { of, seen, outboxed, schema } = await start()
    const client = looking(server().url)
    await client.query(`select from ${schema}.declare_queues(array['desk.plain'], '{"priority":true}')`)
    await of.transaction((tx) => tx.send(desk.queues.plain, 1))
    await vi.waitFor(() => expect(seen.plain).toEqual([1]), waits)
    expect(outboxed).toEqual(['desk.plain'])
    await client.end()
  })

  test('in another database of the same server everything goes by the outbox', async () => {
    const admin = looking(server().url)
    await admin.query('create database apart')
    await admin.end()
    const { of, seen, outboxed } = await start('apart')
    await of.transaction((tx) => tx.send(desk.queues.plain, 1))
    await vi.waitFor(() => expect(seen.plain).toEqual([1]), waits)
    expect(outboxed).toEqual(['desk.plain'])
  })

  test('what a transaction of the user held back for long is handled when it commits', async () => {
    const { of, seen } = await start()
    const client = new pg.Client({ connectionString: server().url })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin')
    await of.join(client).send(desk.queues.plain, 0)
    for (let n = 1; n <= 25; n++) {
      await of.transaction((tx) => tx.send(desk.queues.plain, n))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await vi.waitFor(() => expect(seen.plain.length).toBe(25), waits)
    await client.query('commit')
    of.committed()
    await vi.waitFor(() => expect(seen.plain.slice(25)).toEqual([0]), waits)
    await client.end()
  })
})
