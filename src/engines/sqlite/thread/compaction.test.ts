// Compaction step by step, cut off at any of them, by several processes at once; and that its day comes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { storeSchema } from '../migrations.ts'
import { openFile } from '../open-file.ts'
import { RecordReader, tombstoneId, writeRecord } from '../record.ts'
import type { Answers } from '../wire.ts'
import { Compaction } from './compaction.ts'
import { Store } from './store.ts'
import { Trims } from './trims.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-compaction-'))
afterAll(() => rmSync(folder, { recursive: true }))

const hour = 3_600_000
const slab = Buffer.alloc(1 << 20)
let files = 0
let db: DatabaseSync
let store: Store

interface Given {
  readonly key: string | undefined
  readonly body: string
  readonly tombstone?: boolean
}

beforeEach(() => {
  const path = join(folder, `${++files}.db`)
  db = openFile(path, storeSchema, { synchronous: 'off', openTimeoutMs: 5000, busyTimeoutMs: 0 })
  store = new Store(db, { path, synchronous: 'off', busyTimeoutMs: 200, whileLocked() {} })
  store.slabs.set(0, slab)
})
afterEach(() => db.close())

function declare(tombstonesMs: number): void {
  const limits = { maxAgeMs: null, maxBytes: null, tombstonesMs }
  store.write([{ kind: 'declareStream', name: 's', partitions: 1, versions: false, limits }], false)
}

/** One row of records; gives the position of the first. */
function append(records: readonly Given[]): number {
  let end = 0
  for (const { key, body, tombstone } of records)
    end = writeRecord(slab, end, tombstone ? tombstoneId : '', key, body)
  const spans = [0, 0, end, records.length]
  const { answers } = store.write(
    [{ kind: 'append', producer: null, stream: 1, spans, partitions: [0] }],
    false,
  )
  return (answers[0] as { ok: number[] }).ok[0]!
}

const compaction = () => new Compaction(db, new Trims(db))

/** What can be read, in pages of as many. */
function readAll(maxRecords: number): { position: number; key: string | undefined; body: string }[] {
  const found: { position: number; key: string | undefined; body: string }[] = []
  const reader = new RecordReader()
  for (let at = 0; ; at = found.at(-1)!.position + 1) {
    const answers = store.read([
      { kind: 'read', stream: 1, from: [0, at], maxRecords, maxBytes: 1 << 20 },
    ] as never)
    const parts = (answers[0] as { ok: Answers['read'] }).ok
    if (parts.length === 0) return found
    for (const { data, count, position, positions } of parts) {
      reader.start(data)
      for (let i = 0; i < count; i++)
        reader.next((_, key, body) => found.push({ position: positions?.[i] ?? position + i, key, body }))
    }
  }
}

function steps(of: Compaction, now: number): void {
  while (of.step(now));
}

test('whatever the order of steps, deaths and appends, the last of each key stays, and what is left is in order', () => {
  declare(0)
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((seed / 2_147_483_648) * below)
  }
  const all: (Given & { position: number })[] = []
  const processes = [compaction(), compaction()]
  const now = () => Date.now() + 1
  const check = () => {
    const left = readAll(1 + random(7))
    const last = new Map(all.map((record) => [record.key, record]))
    const positions = left.map(({ position }) => position)
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b))
    for (const { position, key, body } of left) expect(all[position]).toMatchObject({ position, key, body })
    const kept = new Set(positions)
    for (const { key, position, tombstone } of last.values())
      if (key !== undefined && !tombstone) expect(kept, `the last of ${key}`).toContain(position)
    for (const { key, position } of all) if (key === undefined) expect(kept).toContain(position)
    expect(kept).toContain(all.length - 1)
    // Of each key an unbroken end: never an older one where a newer one is gone, but for a tombstone's own.
    const oldest = new Map<string | undefined, number>()
    for (const { key, position } of left) if (!oldest.has(key)) oldest.set(key, position)
    for (const { key, position, tombstone } of all)
      if (key !== undefined && !tombstone && position > (oldest.get(key) ?? all.length))
        expect(kept, `${position} of ${key}`).toContain(position)
    return left
  }
  for (let round = 0; round < 600; round++) {
    const does = random(10)
    if (does < 6) {
      const records = Array.from({ length: 1 + random(12) }, (): Given => {
        const key = random(40) === 0 ? undefined : `k${random(12)}`
        return {
          key,
          body: `${'x'.repeat(random(60))}${round}`,
          tombstone: key !== undefined && random(6) === 0,
        }
      })
      const first = append(records)
      for (const [index, record] of records.entries()) all.push({ ...record, position: first + index })
    } else if (does < 9) processes[random(2)]!.step(now())
    else processes[random(2)]!.forget()
    if (round % 5 === 0) check()
  }
  append([{ key: 'end', body: '' }])
  all.push({ key: 'end', body: '', position: all.length })
  steps(compaction(), now() + 30 * hour)
  const left = check()
  const ends = new Set(
    [...new Map(all.map((record) => [record.key, record])).values()].map((of) => of.position),
  )
  const superseded = left.filter(({ key, position }) => key !== undefined && !ends.has(position))
  expect(superseded, 'but for the last row').toEqual([])
}, 60_000)

test('what is little is compacted too, once it has stood for a day; then there is nothing to do', () => {
  declare(hour)
  for (const body of ['1', '2', '3']) append([{ key: 'a', body }])
  append([{ key: 'b', body: 'gone', tombstone: true }])
  append([{ key: 'c', body: '1' }])
  const now = Date.now()
  const process = compaction()
  expect(process.isDue(now)).toBe(false)
  expect(process.isDue(now + 25 * hour)).toBe(true)
  // The tombstone is not old enough, by the clock of the one who looks.
  db.exec(`UPDATE stream_batch SET appended_at = ${now + 25 * hour} WHERE base = 3`)
  steps(process, now + 25 * hour)
  expect(readAll(10).map(({ body }) => body)).toEqual(['3', 'gone', '1'])
  expect(process.isDue(now + 25 * hour)).toBe(false)
  // An hour for the tombstone, and the day.
  expect(process.isDue(now + 49 * hour)).toBe(false)
  expect(process.isDue(now + 51 * hour)).toBe(true)
  steps(process, now + 51 * hour)
  expect(readAll(10).map(({ body }) => body)).toEqual(['3', '1'])
  expect(process.isDue(now + 1_000 * hour)).toBe(false)
})
