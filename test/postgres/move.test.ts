// Events of a service whose database is the engine's: moved from the outbox to the stream by one statement; where that cannot be, relayed as elsewhere.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { partitionOf } from '../../src/core/partition.ts'
import { type PostgresDatabaseOptions, postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { context, event, queue, type Running, run, service, topology, unchecked } from '../../src/index.ts'
import { looking, onServers } from './on-servers.ts'

const desk = context('desk', {
  events: { noted: event({ data: unchecked<number>(), key: (n) => `${n % 7}` }) },
  queues: { plain: queue({ data: unchecked<number>() }) },
})
const waits = { timeout: 20_000 }
let name = 0

await onServers('move', {}, (server) => {
  let running: Running | undefined
  afterEach(async () => {
    await running?.stop()
    running = undefined
  })

  /** `options`: how the service reaches its database. `taken`: what its relay took to send it. */
  async function start(schema: string, options: PostgresDatabaseOptions) {
    const seen: Record<'noted' | 'plain', number[]> = { noted: [], plain: [] }
    const of = service(desk, { database: postgresDatabase(options) })
      .on(desk.events.noted, ({ data }) => void seen.noted.push(data))
      .work(desk.queues.plain, ({ data }) => void seen.plain.push(data))
    running = await run(topology({ contexts: [of], engine: `${server().url}?schema=${schema}` }))
    const taken: string[] = []
    const { outbox } = running.service(of).database!
    const take = outbox.take.bind(outbox)
    outbox.take = async (...args) => {
      const rows = await take(...args)
      taken.push(...rows.map(({ destination }) => destination.name))
      return rows
    }
    return { of: running.service(of), seen, taken }
  }

  /** A user of the server who may use what is his own, and no more. */
  async function stranger(): Promise<string> {
    const admin = looking(server().url)
    const user = `stranger${++name}`
    await admin.query(`create role ${user} login password 'x'`)
    await admin.query(`grant create on database ${new URL(server().url).pathname.slice(1)} to ${user}`)
    await admin.end()
    const url = new URL(server().url)
    url.username = user
    url.password = 'x'
    return url.href
  }

  test('events reach the stream without being taken, each key in its order', async () => {
    const schema = `move${++name}`
    const { of, seen, taken } = await start(schema, { url: server().url, schema: `${schema}own` })
    for (let n = 0; n < 30; n++) await of.transaction((tx) => tx.publish(desk.events.noted, n))
    await vi.waitFor(() => expect(seen.noted.length).toBe(30), waits)
    for (let key = 0; key < 7; key++) {
      const ofKey = seen.noted.filter((n) => n % 7 === key)
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b))
    }
    expect(taken).toEqual([])
  })

  test('a user who may not write to the engine has all of it relayed', async () => {
    const schema = `move${++name}`
    const { of, seen, taken } = await start(schema, { url: await stranger(), schema: `${schema}own` })
    await of.transaction((tx) => {
      tx.publish(desk.events.noted, 1)
      tx.send(desk.queues.plain, 2)
    })
    await vi.waitFor(() => expect(seen).toEqual({ noted: [1], plain: [2] }), waits)
    expect(taken.toSorted()).toEqual(['desk', 'desk.plain'])
  })

  test('when the right to write is taken away events are relayed, and moved when it is given back', async () => {
    const schema = `move${++name}`
    const url = await stranger()
    const engine = await postgres({ url: server().url, schema })
    const admin = looking(server().url)
    const user = new URL(url).username
    const all = `all tables in schema ${schema}`
    await admin.query(`grant usage on schema ${schema} to ${user}; grant all on ${all} to ${user}`)
    await engine.close()
    const { of, seen, taken } = await start(schema, { url, schema: `${schema}own` })
    await of.transaction((tx) => tx.publish(desk.events.noted, 1))
    await vi.waitFor(() => expect(seen.noted).toEqual([1]), waits)
    expect(taken).toEqual([])
    await admin.query(`revoke all on ${all} from ${user}`)
    await of.transaction((tx) => tx.publish(desk.events.noted, 2))
    await vi.waitFor(() => expect(seen.noted).toEqual([1, 2]), waits)
    expect(taken).toEqual(['desk'])
    await admin.query(`grant all on ${all} to ${user}`)
    for (let n = 3; n < 6; n++) {
      await of.transaction((tx) => tx.publish(desk.events.noted, n))
      await vi.waitFor(() => expect(seen.noted.at(-1)).toBe(n), waits)
    }
    expect(taken).toEqual(['desk'])
    await admin.end()
  })

  test('a tombstone is one after a move, what reads like one is none, and what a person put back says so', async () => {
    const schema = `move${++name}`
    const ends = context('desk', {
      events: {
        noted: event({
          data: unchecked<{ id: string; text?: string }>(),
          key: ({ id }) => id,
          tombstone: ({ text }) => text === undefined,
        }),
      },
    })
    const of = service(ends, { database: postgresDatabase({ url: server().url, schema: `${schema}own` }) })
    running = await run(topology({ contexts: [of], engine: `${server().url}?schema=${schema}` }))
    const { noted } = ends.events
    await running.service(of).transaction((tx) => {
      tx.publish(noted, { id: 'a', text: 'x' })
      tx.publish(noted, { id: 'b', text: ',"tombstone":true' })
      tx.publish(noted, { id: 'a' })
    })
    const admin = looking(server().url)
    const records = `select key, coalesce(mark, 0) as mark, body::json->>'redriventime' as redriven from ${schema}.record order by key, position`
    await vi.waitFor(
      async () =>
        expect((await admin.query(records)).rows).toEqual([
          { key: 'a', mark: 0, redriven: null },
          { key: 'a', mark: 1, redriven: null },
          { key: 'b', mark: 0, redriven: null },
        ]),
      waits,
    )
    const { outbox } = running.service(of).database!
    await admin.query(
      `insert into ${schema}own_desk.outbox_aside (sequence, kind, name, message_id, key, body, reason) values (7, 'stream', 'desk', 'c', 'c', '{"id":"c","data":1}', 'once')`,
    )
    expect(await outbox.retry([7])).toBe(1)
    await vi.waitFor(async () => {
      const { rows } = await admin.query(records)
      expect(rows.at(-1)).toMatchObject({ key: 'c', redriven: expect.stringMatching(/^20.*Z$/) })
    }, waits)
    await admin.end()
  })

  test('a stream that keeps versions is relayed to, and keeps them', async () => {
    const schema = `move${++name}`
    const engine = await postgres({ url: server().url, schema })
    await engine.stream!.declare({ name: 'desk', partitions: 2, versions: true })
    const { of, seen, taken } = await start(schema, { url: server().url, schema: `${schema}own` })
    await of.transaction((tx) => tx.publish(desk.events.noted, 1))
    await vi.waitFor(() => expect(seen.noted).toEqual([1]), waits)
    expect(taken).toEqual(['desk'])
    expect((await engine.stream!.readKey('desk', '1', { fromVersion: 1, limit: 9 })).length).toBe(1)
    await engine.close()
  })

  test('what is moved is durable also where a service does not ask for that', async () => {
    const schema = `move${++name}`
    const database = await postgresDatabase({ url: server().url, schema }).open('desk')
    const client = looking(server().url)
    await client.query('begin; set local synchronous_commit = off')
    await client.query(`select ${schema}_desk.leave('one', 'stream', 'desk', 1, 0, 0, 8)`)
    expect((await client.query('show synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }])
    await client.query('rollback')
    await client.end()
    await database.close()
  })

  test('connections that are cut in the middle leave each event in the stream once, numbers rising', async () => {
    const schema = `move${++name}`
    const { of, taken } = await start(schema, { url: server().url, schema: `${schema}own` })
    const admin = looking(server().url)
    const count = 300
    let cutting = true
    let cut = 0
    const cuts = (async () => {
      while (cutting) {
        // Only those at work on a move: the transactions of the test shall go through.
        const { rowCount } = await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where query like '%.leave(%' and query like '%${schema}own%' and pid <> pg_backend_pid() and state = 'active'`,
        )
        cut += rowCount ?? 0
        await delay(1)
      }
    })()
    for (let n = 0; n < count; n++)
      for (let stored = false; !stored; )
        stored = await of
          .transaction((tx) => tx.publish(desk.events.noted, n, { id: `n${n}` }))
          .then(
            () => true,
            () => false,
          )
    cutting = false
    await cuts
    expect(cut).toBeGreaterThan(0)
    await vi.waitFor(async () => {
      const { rows } = await admin.query(`select count(*)::int as waiting from ${schema}own_desk.outbox`)
      expect(rows).toEqual([{ waiting: 0 }])
    }, waits)
    const query = `select body::json->>'id' as id, (body::json->>'sequence')::float8 as sequence from ${schema}.record
      where stream = (select id from ${schema}.stream where name = 'desk') order by partition, position`
    const { rows } = await admin.query<{ id: string; sequence: number }>(query)
    expect(rows.map(({ id }) => id).toSorted()).toEqual(
      Array.from({ length: count }, (_, n) => `n${n}`).toSorted(),
    )
    expect(new Set(rows.map(({ sequence }) => sequence)).size).toBe(count)
    expect(taken).toEqual([])
    await admin.end()
  })

  test('the server counts partitions as the program does', async () => {
    const schema = `move${++name}`
    const database = await postgresDatabase({ url: server().url, schema }).open('desk')
    const client = looking(server().url)
    const keys = Array.from({ length: 2_000 }, (_, index) =>
      String.fromCodePoint(
        ...Array.from({ length: index % 23 }, (_, at) => 1 + ((index * 7_919 + at * 104_729) % 0xd7fe)),
      ),
    )
    for (const partitions of [1, 7, 8, 10_000]) {
      const text = `select array(select ${schema}_desk.partition_of(k, $2) from unnest($1::text[]) with ordinality u(k, at) order by at) as found`
      const { rows } = await client.query(text, [keys, partitions])
      expect(rows[0].found).toEqual(keys.map((key) => partitionOf(key, partitions)))
    }
    await client.end()
    await database.close()
  })
})
