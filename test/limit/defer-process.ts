// A process that puts requests off at its door, or one that works them off and dies in the middle of it when it is told to. Ends with its parent.
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { Duration } from '../../src/core/duration.ts'
import type { DeferStore } from '../../src/limit/defer.ts'
import { deferral } from '../../src/limit/http/defer/deferral.ts'
import { deferredQueue } from '../../src/limit/http/defer/deferred-queue.ts'
import { postgresDeferStore } from '../../src/limit/http/defer/postgres-store.ts'
import { sqliteDeferStore } from '../../src/limit/http/defer/sqlite-store.ts'
import { limitNode } from '../../src/limit/http/door/node.ts'
import { limits } from '../../src/limit/limits.ts'
import { open } from '../../src/spillway.ts'

export interface DeferProcess {
  readonly role: 'door' | 'worker'
  /** Of the queue, and where states are kept. */
  readonly engine: string
  readonly folder: string
  readonly expires?: Duration
  /** A worker: when it kills itself, with the first request that it has in hand. */
  readonly dies?: 'before the effect' | 'after the effect'
}

/** A line for each run that began: the id and the body of its request. */
export const journalFile = 'journal.txt'
export const effectsFile = 'effects.sqlite'

async function storeFor({ engine, folder }: DeferProcess): Promise<DeferStore> {
  if (engine.startsWith('postgres'))
    return postgresDeferStore(new pg.Pool({ connectionString: engine, max: 2 }))
  const handle = new DatabaseSync(join(folder, 'states.sqlite'), { timeout: 20_000 })
  handle.exec('PRAGMA journal_mode = WAL')
  return sqliteDeferStore(handle)
}

async function main(told: DeferProcess): Promise<void> {
  const spillway = await open(told.engine)
  const queue = await spillway.queue('late', deferredQueue())
  const store = await storeFor(told)
  const atMost = told.role === 'door' ? 1 : 1_000
  const orders = { on: 'POST /orders', over: 'defer' } as const
  // Where requests are to expire somebody has taken the only place, and never gives it back.
  const bounds = limits({
    rules: {
      orders: told.expires ? { ...orders, atOnce: 1 } : { ...orders, atMost, per: 'hour', by: 'user' },
    },
  })
  if (told.expires) bounds.decide({ on: 'POST /orders' })
  const late = deferral({ queue, store, limits: bounds, expires: told.expires ?? '2h' })
  if (told.role === 'door') {
    const keys = { user: ({ headers }: IncomingMessage) => headers['x-user']?.toString() }
    const door = limitNode(bounds, { keys, defer: late })
    const server = createServer(async (request, response) => {
      if (await door(request, response)) response.end('at once')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    process.send!((server.address() as AddressInfo).port)
    return
  }
  const effects = new DatabaseSync(join(told.folder, effectsFile), { timeout: 20_000 })
  effects.exec('CREATE TABLE IF NOT EXISTS effects (id TEXT PRIMARY KEY, body TEXT NOT NULL)')
  const effect = effects.prepare('INSERT OR IGNORE INTO effects VALUES (?, ?)')
  process.send!(0)
  queue.consume(
    late.workOff(
      ({ id, body }) => {
        appendFileSync(join(told.folder, journalFile), `${id} ${body}\n`)
        if (told.dies === 'before the effect') process.kill(process.pid, 'SIGKILL')
        effect.run(id, body)
        if (told.dies === 'after the effect') process.kill(process.pid, 'SIGKILL')
        return { status: 201, body: `made of ${body}` }
      },
      { authorize: () => true },
    ),
    { lease: '1s', concurrency: 1 },
  )
}

if (import.meta.main) {
  process.on('disconnect', () => process.exit())
  await main(JSON.parse(process.argv[2]!) as DeferProcess)
}
