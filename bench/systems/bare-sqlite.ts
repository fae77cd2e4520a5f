// The limit of SQLite: node:sqlite with the file settings of Spillway's engine, prepared statements, one synced commit
// for each call, and nothing around it: no thread, no promise shared, no wake-up.
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { storeSchema } from '../../src/engines/sqlite/migrations.ts'
import { type FileSchema, openFile } from '../../src/engines/sqlite/open-file.ts'
import type { Payload } from '../workloads/payload.ts'
import { type Encoding, encoded, encoder, stringified } from './encoded.ts'
import type { QueueSystem } from './system.ts'

/** `batch`: the rows of Spillway's own schema, one for each call. `row`: a table with a row for each message. */
type Layout = 'batch' | 'row'

const rowSchema: FileSchema = {
  version: 0x42656e63,
  migrations: [
    'CREATE TABLE message (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, key TEXT, body TEXT NOT NULL)',
  ],
}

const folderOf = (place: string) => join(place, 'bare-sqlite')

export function bareSqlite(layout: Layout, encoding: Encoding): QueueSystem {
  return {
    consumes: false,
    clear: (place) => rm(folderOf(place), { recursive: true, force: true }),
    async open(place) {
      mkdirSync(folderOf(place), { recursive: true })
      const db = openFile(join(folderOf(place), 'bare.db'), layout === 'batch' ? storeSchema : rowSchema, {
        synchronous: 'full',
        openTimeoutMs: 5_000,
        busyTimeoutMs: 0,
        // As in src/engines/sqlite/thread/main.ts.
        pageSize: 8192,
        checkpointPages: 2048,
      })
      const insert = layout === 'batch' ? insertBatches(db, encoding) : insertRows(db, encoding)
      const begin = db.prepare('BEGIN IMMEDIATE')
      const commit = db.prepare('COMMIT')
      return {
        durability: 'power-loss: journal_mode=wal, synchronous=FULL',
        async sendMany(payloads) {
          begin.run()
          insert(payloads)
          commit.run()
        },
        close: async () => db.close(),
      }
    },
  }
}

function insertBatches(db: DatabaseSync, encoding: Encoding): (payloads: readonly Payload[]) => void {
  const insert = db.prepare(
    'INSERT INTO queue_batch (base, queue, count, ordinal, sent_at, data) VALUES (?, 1, ?, ?, ?, ?)',
  )
  const bytes = encoder(encoding, encoded)
  let next = 1
  return (payloads) => {
    insert.run(next, payloads.length, next, Date.now(), bytes(payloads))
    next += payloads.length
  }
}

function insertRows(db: DatabaseSync, encoding: Encoding): (payloads: readonly Payload[]) => void {
  const insert = db.prepare('INSERT INTO message (id, key, body) VALUES (?, NULL, ?)')
  const message = encoder(encoding, stringified)
  return (payloads) => {
    for (const payload of payloads) {
      const { id, body } = message(payload)
      insert.run(id, body)
    }
  }
}
