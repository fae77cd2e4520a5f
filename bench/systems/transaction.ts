// Spillway's transactional messaging: a handler whose effects and messages are committed together, what that costs beside the same handler
// without, how long a commit takes to reach a handler, and how fast a relay moves what was committed to another engine.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { seal } from '../../src/core/envelope.ts'
import { postgresDatabase } from '../../src/engines/postgres/index.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import {
  context,
  event,
  open,
  openEngine,
  queue,
  run,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import type { OutboxMessage } from '../../src/ports/database.ts'
import { relay } from '../../src/transaction/relay.ts'
import { now, type Payload, payload } from '../workloads/payload.ts'
import { dropSchema } from './postgres.ts'
import type { BenchTransactions, TransactionSystem } from './system.ts'

const data = unchecked<Payload>()
const keys = 100
const shop = context('shop', {
  queues: { orders: queue({ data }), parcels: queue({ data }) },
  events: { placed: event({ data, key: ({ n }) => String(n % keys) }) },
})
const orders = shop.queues.orders
const table = 'CREATE TABLE IF NOT EXISTS effect (n INTEGER PRIMARY KEY, at INTEGER NOT NULL)'
/** The default of a service. */
const concurrency = 10
const onReport = ({ error }: { readonly error: Error }) => console.error(error.message)

/** Messages a second from the first handler to the last; `work` starts the handlers, and they call `handled`. */
async function rateOf(
  count: number,
  begin: (handled: () => void) => Promise<() => Promise<void>>,
): Promise<number> {
  let first = 0
  let seen = 0
  const all = Promise.withResolvers<number>()
  const end = await begin(() => {
    seen += 1
    if (seen === 1) first = performance.now()
    if (seen === count) all.resolve(performance.now())
  })
  const last = await all.promise
  await end()
  return (count / (last - first)) * 1000
}

export function sqliteTransactions(how: 'outbox and inbox' | 'neither'): TransactionSystem {
  return {
    clear: (place) => rm(join(place, 'transaction'), { recursive: true, force: true }),
    async open(place): Promise<BenchTransactions> {
      const folder = join(place, 'transaction')
      const engine = `sqlite:${join(folder, 'engine')}`
      const fill = async (count: number) => {
        const spillway = await open(engine)
        const backlog = await spillway.queue(orders)
        for (let n = 0; n < count; n += 1_000)
          await backlog.sendMany(Array.from({ length: 1_000 }, (_, index) => payload(n + index, now())))
        await spillway.close()
      }
      return {
        durability: 'power-loss: synchronous=FULL in the database of the service and in the engine',
        async handle(count) {
          await fill(count)
          return rateOf(
            count,
            how === 'neither'
              ? (handled) => withNeither(engine, folder, handled)
              : (handled) => withBoth(engine, folder, handled),
          )
        },
        close: async () => {},
      }
    },
  }
}

/** The row and the message in one transaction, and every message once. */
async function withBoth(engine: string, folder: string, handled: () => void): Promise<() => Promise<void>> {
  const database = sqliteDatabase(join(folder, 'shop.sqlite'), { setup: (db) => db.exec(table) })
  const taking = service(shop, { database }).work(
    orders,
    async ({ data: order }, { commit }) => {
      await commit((tx) => {
        tx.db.prepare('INSERT INTO effect VALUES (?, ?)').run(order.n, order.at)
        tx.send(shop.queues.parcels, order)
      })
      handled()
    },
    { concurrency },
  )
  const running = await run(topology({ contexts: [taking], engine }), { onReport })
  return () => running.stop()
}

/** The row in a commit of its own, then the message: what is left when the process dies in between, nobody knows. */
async function withNeither(
  engine: string,
  folder: string,
  handled: () => void,
): Promise<() => Promise<void>> {
  const spillway = await open(engine)
  const db = new DatabaseSync(join(folder, 'plain.sqlite'))
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${table}`)
  const insert = db.prepare('INSERT INTO effect VALUES (?, ?)')
  const parcels = await spillway.queue(shop.queues.parcels)
  const taken = await spillway.queue(orders)
  const consumer = taken.consume(
    async ({ data: order }) => {
      insert.run(order.n, order.at)
      await parcels.send(order)
      handled()
    },
    { concurrency, onReport },
  )
  return async () => {
    await consumer.stop()
    await spillway.close()
    db.close()
  }
}

const everyMs = 10
/** A second: by then the handlers have joined, and the code is warm. */
const warmUp = 100

export const postgresTransactions: TransactionSystem = {
  clear: async (url) => {
    await dropSchema(url, 'spillway', 'spillway_shop', 'spillway_warehouse')
  },
  async open(url) {
    return {
      durability:
        'power-loss: the outbox by PostgreSQL with its defaults, the other engine SQLite with synchronous=FULL',
      commits: (kind, count) => commitToHandler(url, kind, count),
      relay: (count) => relayed(url, count),
      close: async () => {},
    }
  },
}

/** Sender and handler are two services in one process, at 100 transactions a second; each transaction writes a row too. */
async function commitToHandler(url: string, kind: 'message' | 'event', count: number): Promise<number[]> {
  const waits: number[] = []
  const all = Promise.withResolvers<void>()
  const arrived = ({ data: { at } }: { readonly data: Payload }) => {
    waits.push((now() - at) / 1000)
    if (waits.length === count + warmUp) all.resolve()
  }
  const setup = (db: { query(text: string): unknown }) =>
    db.query('create table if not exists effect (n bigint, at bigint)')
  const sending = service(context('warehouse', {}), { database: postgresDatabase({ url, setup }) })
  const selling = service(shop, { database: postgresDatabase({ url, setup }) }).work(orders, arrived)
  const handling = kind === 'event' ? selling.on(shop.events.placed, arrived) : selling
  const running = await run(topology({ contexts: [handling, sending], engine: url }), { onReport })
  const from = kind === 'event' ? running.service(handling) : running.service(sending)
  const commits: Promise<unknown>[] = []
  const start = performance.now()
  for (let n = 0; n < count + warmUp; n++) {
    const wait = start + n * everyMs - performance.now()
    if (wait > 0) await delay(wait)
    commits.push(
      from.transaction(async (tx) => {
        await tx.db.query('insert into effect values ($1, $2)', [n, 0])
        // All that is left of the transaction is its commit.
        const order = payload(n, now())
        if (kind === 'event') tx.publish(shop.events.placed, order)
        else tx.send(orders, order)
      }),
    )
  }
  await Promise.all(commits)
  await all.promise
  await running.stop()
  return waits.slice(warmUp)
}

/** From the start of the relay until its outbox is empty. */
async function relayed(url: string, count: number): Promise<number> {
  const database = await postgresDatabase({ url }).open('shop')
  const folder = await mkdtemp(join(tmpdir(), 'spillway-relay-'))
  const engine = await openEngine(`sqlite:${folder}`)
  await engine.stream!.declare({ name: shop.name, partitions: 8 })
  for (let n = 0; n < count; n += 1_000) {
    const outbox = await Promise.all(Array.from({ length: 1_000 }, (_, index) => rowOf(n + index)))
    await database.commit({ outbox, timeoutMs: 60_000 })
  }
  const destinations = {
    queue: () => engine.queue!,
    stream: async () => ({ port: engine.stream!, partitions: 8 }),
  }
  const start = performance.now()
  const moving = relay(database.outbox, destinations, { service: 'shop', onReport })
  while ((await database.outbox.count()).waiting > 0) await delay(20)
  const seconds = (performance.now() - start) / 1000
  await moving.stop()
  await database.close()
  await engine.close()
  await rm(folder, { recursive: true })
  return count / seconds
}

async function rowOf(n: number): Promise<OutboxMessage> {
  const { id, key, body } = await seal(shop.events.placed, payload(n, now()), { source: '/shop' })
  return { destination: { kind: 'stream', name: shop.name }, id, key, body }
}
