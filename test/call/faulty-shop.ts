// Many commands through a network that loses, resets, delays and cuts, from several callers and a handler that is tried again; then the accounts are
// compared with what each caller was told.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CallResult, call, context, queue, run, service, topology, value } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { memory } from 'spillway/testing'
import { z } from 'zod'
import { CallClient } from '../../src/call/client/client.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'
import { type Fate, FaultyHttp } from '../servers/faulty-http.ts'
import { deadPort } from './scripted-server.ts'

const Order = z.object({ order: z.string() })
const inventory = context('inventory', {
  calls: {
    take: call({
      kind: 'command',
      input: Order,
      output: z.object({ place: z.int() }),
      errors: { soldOut: Order },
      deadline: 250,
    }),
  },
})
const orders = context('orders', {
  queues: { place: queue({ data: Order, retry: { attempts: 200, initial: 10, max: 100 } }) },
})
const { take } = inventory.calls

export interface FaultyShop {
  readonly seed: number
  readonly Client?: typeof CallClient
  /** Plants a fault in how the owner stores. */
  readonly spoil?: <Db>(database: DatabaseSource<Db>) => DatabaseSource<Db>
}

type Result = CallResult<{ place: number }, { soldOut: typeof Order }>

const odds: Partial<Record<Fate, number>> = {
  'lost request': 0.04,
  reset: 0.1,
  delayed: 0.1,
  'late answer': 0.05,
  'cut answer': 0.1,
  'reset answer': 0.12,
  'lost answer': 0.05,
}
const callers = 4
const callsOfEach = 20
const messages = 30

/** What was promised and not kept, in words. */
export async function faultyShop({ seed, Client = CallClient, spoil }: FaultyShop): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-faulty-'))
  const database = sqliteDatabase(join(folder, 'inventory.db'), {
    setup: (db) =>
      db.exec('CREATE TABLE IF NOT EXISTS taken (place INTEGER PRIMARY KEY, "order" TEXT NOT NULL)'),
  })
  const threw = new Set<string>()
  const owner = service(inventory, { database: spoil ? spoil(database) : database }).answer(
    take,
    async ({ order }, { commit, fail }) => {
      // One in seven fails before it has done anything, once.
      if (Number(order.split('-')[1]) % 7 === 3 && !threw.has(order)) {
        threw.add(order)
        throw new Error('not today')
      }
      return commit(({ db }) => {
        if (Number(order.split('-')[1]) % 11 === 5) return fail('soldOut', { order })
        return {
          place: Number(db.prepare('INSERT INTO taken ("order") VALUES (?)').run(order).lastInsertRowid),
        }
      })
    },
  )
  const handled: string[] = []
  const shop = service(orders).work(orders.queues.place, async ({ data }, { call: ask }) => {
    const result = await ask(take, data)
    if (result.status === 'failed' && result.reason === 'soldOut') return
    value(result)
    handled.push(data.order)
  })
  const owning = await run(topology({ contexts: [owner], engine: 'memory:' }), { engine: memory() })
  const proxy = await FaultyHttp.start({ target: owning.address!, seed, odds, delayMs: 60, lateMs: 400 })
  const addresses = [proxy.url, `http://127.0.0.1:${await deadPort()}`]
  const calls = { inventory: { retry: { attempts: 2 }, breaker: { minimumCalls: 10_000 } } }
  const running = await run(
    topology({ contexts: [shop, inventory], engine: 'memory:', addresses: { inventory: addresses }, calls }),
    {
      engine: memory(),
    },
  )
  const clients = Array.from({ length: callers }, () => new Client({ addressesOf: () => addresses, calls }))
  const told = new Map<string, Result>()
  try {
    const names = Array.from({ length: messages }, (_, index) => `m-${index}`)
    await running.queue(orders.queues.place).sendMany(names.map((order) => ({ order })))
    await Promise.all(
      clients.map(async (client, caller) => {
        for (let index = 0; index < callsOfEach; index++) {
          const order = `c${caller}-${index}`
          told.set(order, await client.call(take, { order }, {}, { caller: 'test' }))
        }
      }),
    )
    // Some ask again while the network is still bad.
    for (const [order, result] of [...told].slice(0, 60))
      if (result.status === 'unknown') told.set(order, await result.again())
    proxy.become({})
    const unknown = () => [...told].filter(([, { status }]) => status === 'unknown')
    for (const until = performance.now() + 15_000; unknown().length > 0 && performance.now() < until; )
      await Promise.all(
        unknown().map(async ([order, result]) => {
          if (result.status === 'unknown') told.set(order, await result.again())
        }),
      )
    await running.drained()
    // What is late is there by now.
    await new Promise((resolve) => setTimeout(resolve, 500))
    const db = owning.service(owner).database!.db
    const rows = db.prepare('SELECT place, "order" FROM taken').all() as { place: number; order: string }[]
    return compare(rows, told, names, handled)
  } finally {
    await Promise.all(clients.map((client) => client.close()))
    await running.stop({ deadlineMs: 0 })
    await proxy.close()
    await owning.stop({ deadlineMs: 0 })
    await rm(folder, { recursive: true })
  }
}

function compare(
  rows: readonly { readonly place: number; readonly order: string }[],
  told: ReadonlyMap<string, Result>,
  messagesSent: readonly string[],
  handled: readonly string[],
): string[] {
  const places = Map.groupBy(rows, ({ order }) => order)
  const problems = [...places].filter(([, all]) => all.length > 1).map(([order]) => `${order} was done twice`)
  for (const [order, result] of told) {
    const [row] = places.get(order) ?? []
    if (result.status === 'unknown') problems.push(`${order} stayed unknown: ${result.error.code}`)
    else if (result.status === 'failed' && row)
      problems.push(`${order} failed with ${result.reason} and was done`)
    else if (result.status === 'ok' && result.value.place !== row?.place)
      problems.push(`${order} was told place ${result.value.place} and has ${row?.place}`)
  }
  const wanted = messagesSent.filter((order) => Number(order.split('-')[1]) % 11 !== 5)
  for (const order of wanted) {
    if (!places.has(order)) problems.push(`${order} was not done`)
    if (!handled.includes(order)) problems.push(`${order} was not handled`)
  }
  return problems
}
