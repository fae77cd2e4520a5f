import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { storeSchema } from '../migrations.ts'
import { openFile, pragma } from '../open-file.ts'
import { writeRecord } from '../record.ts'
import type { Answer, Answers, WriteOperation } from '../wire.ts'
import { Store } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-store-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
let path = ''
let db: DatabaseSync
let store: Store
const slab = Buffer.alloc(1024 * 1024)

function openStore(): { db: DatabaseSync; store: Store } {
  const handle = openFile(path, storeSchema, { synchronous: 'full', openTimeoutMs: 5000, busyTimeoutMs: 0 })
  const opened = new Store(handle, { path, synchronous: 'full', busyTimeoutMs: 200, whileLocked() {} })
  opened.slabs.set(0, slab)
  return { db: handle, store: opened }
}

beforeEach(() => {
  path = join(folder, `${++files}.db`)
  ;({ db, store } = openStore())
  run({ kind: 'declareQueues', rules: null, names: ['jobs', 'mails'] })
  run({ kind: 'declareStream', name: 'events', partitions: 2, versions: false, limits: null })
})
afterEach(() => db.close())

function run(...operations: WriteOperation[]): readonly Answer[] {
  return store.write(operations, false).answers
}

function ok<T>(answer: Answer | undefined): T {
  if (answer === undefined || 'failure' in answer) throw new Error(JSON.stringify(answer))
  return answer.ok as T
}

/** Writes bodies to the slab and sends them. */
function send(bodies: readonly string[], queue = 1): WriteOperation {
  const start = 0
  let end = start
  for (const body of bodies) end = writeRecord(slab, end, 'id', undefined, body)
  return {
    kind: 'send',
    queue,
    spans: [0, start, end - start, bodies.length],
    delayed: [],
    delaysMs: [],
    version: 0,
    tasks: [],
    extras: [],
  }
}

function claim(limit: number, leaseMs = 10_000): Answers['claim'] {
  return ok(run({ kind: 'claim', queue: 1, wants: [limit, leaseMs] })[0])
}

function settle(seqs: number[], token: number, kind = 0): number[] {
  return ok(
    run({
      kind: 'settle',
      queue: 1,
      seqs,
      tokens: seqs.map(() => token),
      kinds: seqs.map(() => kind),
      arguments: seqs.map(() => (kind === 1 ? 1000 : 'why')),
      reasons: seqs.map(() => null),
    })[0],
  )
}

const rows = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n)

test('a group with anything that must last is synced; claims alone are not, and the next synced commit covers them', () => {
  run(send(['a']))
  expect(pragma(db, 'synchronous')).toBe(2)
  claim(1)
  expect(pragma(db, 'synchronous')).toBe(1)
  run({ kind: 'claim', queue: 1, wants: [1, 1000] }, send(['b']))
  expect(pragma(db, 'synchronous')).toBe(2)
})

test('one operation that fails takes none of the others of its group along', () => {
  const broken: WriteOperation = {
    kind: 'send',
    queue: 1,
    spans: [99, 0, 1, 1],
    delayed: [],
    delaysMs: [],
    version: 0,
    tasks: [],
    extras: [],
  }
  const answers = run(send(['a']), broken, send(['b']))
  expect(answers.map((answer) => ('failure' in answer ? answer.failure.code : 'ok'))).toEqual([
    'ok',
    'INTERNAL',
    'ok',
  ])
  expect(claim(10).claimed[0]!.counts).toEqual([2])
})

test('a full disk refuses what does not fit, keeps what resolved, and takes more when there is space again', () => {
  run(send(['kept']))
  db.exec(`PRAGMA max_page_count = ${Number(pragma(db, 'page_count')) + 4}`)
  const refused: string[] = []
  let kept = 1
  for (let i = 0; i < 10; i++) {
    const [answer] = run(send(['x'.repeat(10_000)]))
    if (answer !== undefined && 'failure' in answer) refused.push(answer.failure.code)
    else kept++
  }
  expect(new Set(refused)).toEqual(new Set(['STORE_FULL']))
  db.exec('PRAGMA max_page_count = 1000000')
  ok(run(send(['after']))[0])
  expect(claim(100).claimed[0]!.counts).toEqual([kept + 1])
})

test('messages that were claimed together are one row until some end apart from the others', () => {
  run(send(Array.from({ length: 100 }, (_, index) => `${index}`)))
  const [claimed] = claim(100).claimed
  expect(claimed!.runs).toEqual([0, 100, 1, 0])
  expect(rows('lease')).toBe(1)
  const { token } = claimed!
  expect(settle([10, 11, 12], token)).toEqual([1, 1, 1])
  expect(rows('lease')).toBe(2)
  expect(settle([12, 9, 0, 99, 11], token), 'in any order, those that ended are stale').toEqual([
    0, 1, 1, 1, 0,
  ])
  expect(rows('queue_batch')).toBe(1)
  const rest = Array.from({ length: 100 }, (_, seq) => seq).filter(
    (seq) => ![0, 9, 10, 11, 12, 99].includes(seq),
  )
  expect(settle(rest, token)).toEqual(rest.map(() => 1))
  expect([rows('lease'), rows('queue_batch')]).toEqual([0, 0])
})

test('a lease that was claimed anew is stale for whoever had it before, for settling and for extending', () => {
  run(send(['a', 'b']))
  const [old] = claim(2, -1).claimed
  const [fresh] = claim(2).claimed
  expect(fresh!.runs).toEqual([0, 2, 2, 1])
  expect(fresh!.token).toBeGreaterThan(old!.token)
  expect(settle([0, 1], old!.token)).toEqual([0, 0])
  const extend = (token: number) =>
    ok(run({ kind: 'extend', queue: 1, seqs: [0], tokens: [token], leasesMs: [1], progress: [] })[0])
  expect([extend(old!.token), extend(fresh!.token)]).toEqual([[0], [1]])
  expect(settle([0, 1], fresh!.token)).toEqual([1, 1])
})

test('a batch stays while any of its messages is fresh, leased or given back, and goes with the last', () => {
  run(send(['a', 'b', 'c']))
  const [first] = claim(1).claimed
  settle([0], first!.token)
  expect(rows('queue_batch'), 'two are fresh').toBe(1)
  const [second] = claim(2).claimed
  settle([1], second!.token)
  expect(rows('queue_batch'), 'one is leased').toBe(1)
  settle([2], second!.token, 2)
  expect(rows('queue_batch'), 'one was given back').toBe(1)
  const [third] = claim(1).claimed
  expect(third!.runs).toEqual([2, 1, 1, 0])
  settle([2], third!.token)
  expect(rows('queue_batch')).toBe(0)
})

test('a retried message leaves its batch, a dead one too', () => {
  run(send(['a', 'b', 'c']))
  const [claimed] = claim(3).claimed
  expect(settle([0], claimed!.token, 1)).toEqual([1])
  expect(settle([1], claimed!.token, 3)).toEqual([1])
  expect([rows('queue_batch'), rows('queue_single'), rows('queue_dead')]).toEqual([1, 1, 1])
  settle([2], claimed!.token)
  expect(rows('queue_batch')).toBe(0)
  expect(store.read([{ kind: 'count', queue: 1 }])).toEqual([
    { ok: { ready: 0, delayed: 1, waiting: 0, leased: 0, dead: 1, paused: false } },
  ])
})

test('numbers of messages never come again, also when everything was handled', () => {
  for (let round = 0; round < 3; round++) {
    run(send(['a', 'b']))
    const [claimed] = claim(2).claimed
    expect(claimed!.runs).toEqual([2 * round, 2, 1, 0])
    settle([2 * round, 2 * round + 1], claimed!.token)
    expect(rows('queue_batch')).toBe(0)
    db.close()
    ;({ db, store } = openStore())
  }
})

test('what another handle did is seen: positions and numbers go on from there', () => {
  const other = openStore()
  run(send(['a']))
  ok(other.store.write([send(['b'])], false).answers[0])
  run(send(['c']))
  const { claimed } = ok<Answers['claim']>(
    other.store.write([{ kind: 'claim', queue: 1, wants: [10, 10_000] }], false).answers[0],
  )
  expect(claimed[0]!.runs).toEqual([0, 3, 1, 0])
  expect(claim(10).claimed).toEqual([])
  expect(settle([0, 1, 2], claimed[0]!.token)).toEqual([1, 1, 1])
  other.db.close()
})

test('a large claim is cut, and who got nothing is told to look again at once', () => {
  const body = 'x'.repeat(400_000)
  for (let i = 0; i < 30; i++) run(send([body]))
  const { claimed, nextDue } = ok<Answers['claim']>(
    run({ kind: 'claim', queue: 1, wants: [30, 10_000, 5, 20_000] })[0],
  )
  const count = claimed[0]!.counts[0]!
  expect(claimed.length).toBe(1)
  expect(count).toBeGreaterThan(10)
  expect(count).toBeLessThan(30)
  expect(nextDue).toBeLessThanOrEqual(Date.now())
})

test('an append of many records makes rows of bounded size', () => {
  let end = 0
  const spans: number[] = []
  for (let i = 0; i < 3; i++) {
    const start = end
    end = writeRecord(slab, end, '', undefined, 'x'.repeat(300_000))
    spans.push(0, start, end - start, 1)
  }
  expect(ok(run({ kind: 'append', producer: null, stream: 1, spans, partitions: [0, 0, 1] })[0])).toEqual([
    0, 1, 0,
  ])
  expect(rows('stream_batch')).toBe(3)
})
