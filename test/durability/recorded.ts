// The program that is recorded: sends, settles, appends, commits and relays on the real engine and a service's database,
// many things at once, and remarks what it was promised.
// Usage: recorded.ts <folder> <none | engine-unsynced | database-unsynced>
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { partitionOf } from '../../src/core/partition.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import { sqlite } from '../../src/engines/sqlite/engine.ts'
import type { CommitUnit, Database, DatabaseSource } from '../../src/ports/database.ts'
import type { Settlement } from '../../src/ports/queue.ts'
import { relay } from '../../src/transaction/relay.ts'
import { seeded } from '../crash/random.ts'
import { bodyOf, names, partitions, places, type Remark } from './remarks.ts'

const [folder, plant] = process.argv.slice(2) as [string, string]
const random = seeded(5)
const rounds = 40
const marker = openSync(join(folder, places.marker), 'w')
const remark = (what: Remark): void => void writeSync(marker, JSON.stringify(what))

const engine = await sqlite({
  path: join(folder, places.engine),
  ...(plant === 'engine-unsynced' ? { synchronous: 'off' as const } : {}),
})
const queue = engine.queue!
const stream = engine.stream!
await queue.declare([names.work, names.parcels])
await stream.declare({ name: names.stream, partitions })

type Db = Pick<DatabaseSync, 'exec' | 'prepare'>
const path = join(folder, places.database)
const setup = (db: Db) =>
  db.exec('CREATE TABLE IF NOT EXISTS effect (id TEXT NOT NULL, filling TEXT NOT NULL)')
const source = (
  plant === 'database-unsynced' ? unsynced() : sqliteDatabase(path, { setup })
) as DatabaseSource<Db>
const database: Database<Db> = await source.open('desk')
// Small, so that the log is copied back and begun anew many times in a short run.
database.db.exec('PRAGMA wal_autocheckpoint = 30')

/** A handle on which nothing asks for a sync, whatever the pragma says. */
function unsynced(): DatabaseSource<never> {
  const opened = sqliteDatabase(path, { setup })
  return {
    async open(service) {
      // Makes the folder, the file and its mode.
      await (await opened.open(service)).close()
      const db = new DatabaseSync(path)
      const off = (sql: string) => sql.replace(/synchronous = \w+/, 'synchronous = OFF')
      const handle = {
        exec: (sql: string) => db.exec(off(sql)),
        prepare: (sql: string) => db.prepare(off(sql)),
        close: () => db.close(),
        get isTransaction() {
          return db.isTransaction
        },
      }
      return (await sqliteDatabase(handle).open(service)) as unknown as Database<never>
    },
  }
}

let count = 0
const ids = (most: number) => Array.from({ length: random.between(1, most) }, () => `m${++count}`)

async function send(): Promise<void> {
  const batch = ids(6)
  await queue.send(
    names.work,
    batch.map((id) => ({ id, body: bodyOf(id) })),
  )
  remark({ act: 'sent', ids: batch })
}

async function settle(): Promise<void> {
  const claimed = await queue.claim(names.work, { limit: 5, leaseMs: queue.limits.minLeaseMs, waitMs: 100 })
  const kinds = claimed.map(() =>
    random.chance(0.2) ? 'dead-letter' : random.chance(0.2) ? 'retry' : 'done',
  )
  const settlements = claimed.map(({ lease }, index): Settlement => {
    const kind = kinds[index]!
    if (kind === 'dead-letter') return { lease, kind, reason: 'chosen' }
    return kind === 'retry' ? { lease, kind, delayMs: 5 } : { lease, kind: 'done' }
  })
  remark({ act: 'ending', ids: claimed.filter((_, index) => kinds[index] !== 'retry').map(({ id }) => id) })
  const results = await queue.settle(names.work, settlements)
  const settled = (kind: string) =>
    claimed.filter((_, index) => kinds[index] === kind && results[index] === 'settled').map(({ id }) => id)
  remark({ act: 'done', ids: settled('done') })
  remark({ act: 'buried', ids: settled('dead-letter') })
}

const last = new Map<number, number>()

async function append(): Promise<void> {
  const records = ids(4).map((id) => ({ partition: partitionOf(id, partitions), body: bodyOf(id), id }))
  const appended = await stream.append(names.stream, records)
  if (appended.status !== 'appended') throw new Error('an append met a conflict')
  for (const [index, position] of appended.positions.entries()) {
    const { partition, id } = records[index]!
    remark({ act: 'appended', partition, position, id })
    last.set(partition, Math.max(last.get(partition) ?? 0, position + 1))
  }
}

async function unit(): Promise<void> {
  const id = `u${++count}`
  const outcome = await commit({
    effects: (db) => db.prepare('INSERT INTO effect (id, filling) VALUES (?, ?)').run(id, bodyOf(id)),
    inbox: { consumer: names.inbox, ids: [id] },
    outbox: [{ destination: { kind: 'queue', name: names.parcels }, id, key: undefined, body: bodyOf(id) }],
  })
  if (outcome === 'committed') remark({ act: 'unit', id })
  moving.wake()
}

function commit(unit: Partial<CommitUnit<Db>>) {
  return database.commit({ outbox: [], timeoutMs: 5_000, ...unit })
}

/** One partition's progress in the database: acquired now and then, and moved on. */
async function progress(partition: number): Promise<void> {
  let generation = 0
  for (let low = 1; low <= rounds; low++) {
    if (generation === 0 || random.chance(0.1)) {
      generation = (await database.acquire(names.stream, 'desk', partition)).generation
      remark({ act: 'acquired', partition, generation })
    }
    const mark = {
      stream: names.stream,
      group: 'desk',
      partition,
      generation,
      finished: low - 1,
      low,
      sequences: {},
    }
    if ((await commit({ progress: mark })) === 'committed') remark({ act: 'progress', partition, low })
    await delay(random.between(0, 20))
  }
}

/** A member of a group that commits how far it is. */
async function position(): Promise<void> {
  let held = new Set<number>()
  const membership = await stream.join(names.stream, names.group, {
    sessionMs: stream.limits.minSessionMs + 2_000,
    assigned: (partitions) => {
      held = new Set([...held, ...partitions.map(({ partition }) => partition)])
    },
    revoked: async (partitions) => {
      held = new Set([...held].filter((partition) => !partitions.includes(partition)))
    },
    failed: (error) => {
      throw error
    },
  })
  for (let i = 0; i < rounds; i++) {
    await delay(random.between(5, 25))
    const positions = [...held].map((partition) => ({ partition, position: last.get(partition) ?? 0 }))
    const results = await membership.commit(positions)
    for (const [index, result] of results.entries())
      if (result === 'committed') remark({ act: 'position', ...positions[index]! })
  }
  await membership.leave()
}

/** What another process's checkpoint does to the engine's file: its log is copied back and begun anew. */
async function checkpoint(): Promise<void> {
  const db = new DatabaseSync(join(folder, places.engine, 'spillway.db'), { timeout: 1_000 })
  for (let i = 0; i < 12; i++) {
    await delay(random.between(20, 60))
    db.exec(`PRAGMA wal_checkpoint(${random.pick(['PASSIVE', 'RESTART', 'TRUNCATE'])})`)
  }
  db.close()
}

async function repeat(act: () => Promise<void>): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await act()
    await delay(random.between(0, 10))
  }
}

const moving = relay(
  database.outbox,
  { queue: () => queue, stream: async () => ({ port: stream, partitions }) },
  { service: 'desk', pollMs: 20 },
)
await Promise.all([
  ...[send, send, settle, append, append, unit, unit, unit].map(repeat),
  progress(0),
  progress(1),
  position(),
  checkpoint(),
])
await moving.stop()
await database.close()
await engine.close()
