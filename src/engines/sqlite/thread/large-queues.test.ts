// What an operator does to a queue goes in steps, and a claim makes ready what is due in steps: each of a bounded size, and what
// comes between two of them is safe.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { storeSchema } from '../migrations.ts'
import { openFile } from '../open-file.ts'
import { writeRecord } from '../record.ts'
import { type Answers, type PurgeEnd, runWidth, settleKind, type WriteOperation } from '../wire.ts'
import { Store } from './store.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-large-'))
afterAll(() => rmSync(folder, { recursive: true }))

const slab = Buffer.alloc(1024 * 1024)
let files = 0
let path = ''
let open: DatabaseSync[] = []
let store: Store

function openStore(): Store {
  const db = openFile(path, storeSchema, { synchronous: 'off', openTimeoutMs: 5_000, busyTimeoutMs: 0 })
  const opened = new Store(db, { path, synchronous: 'off', busyTimeoutMs: 200, whileLocked() {} })
  opened.slabs.set(0, slab)
  open.push(db)
  return opened
}

beforeEach(() => {
  path = join(folder, `${++files}.db`)
  store = openStore()
})
afterEach(() => {
  vi.useRealTimers()
  for (const db of open) db.close()
  open = []
})

function run<Kind extends WriteOperation['kind']>(
  operation: Extract<WriteOperation, { kind: Kind }>,
  by: Store = store,
): Answers[Kind] {
  const [answer] = by.write([operation], false).answers
  if (answer === undefined || 'failure' in answer) throw new Error(JSON.stringify(answer))
  return answer.ok as Answers[Kind]
}

function declare(rules: QueueRules): void {
  run({ kind: 'declareQueues', names: ['q'], rules })
}

/** Messages with a row each: tasks under rules, single ones without. */
function send(count: number, delayMs: number, by: Store = store, body = 'body'): void {
  const spans = Array.from({ length: count }, () => [0, 0, writeRecord(slab, 0, 'id', undefined, body), 1])
  const ruled = (by.read([{ kind: 'findQueue', name: 'q' }])[0] as { ok: Answers['findQueue'] }).ok!
  const asTasks = Object.keys(ruled.rules).length > 0
  run(
    {
      kind: 'send',
      queue: 1,
      version: ruled.version,
      spans: [],
      delayed: asTasks ? [] : spans.flat(),
      delaysMs: asTasks ? [] : spans.map(() => delayMs),
      tasks: asTasks ? spans.flat() : [],
      extras: asTasks ? spans.map(() => [delayMs, 0, '', null, null, null] as const) : [],
    },
    by,
  )
}

const claim = (limit: number) => run({ kind: 'claim', queue: 1, wants: [limit, 60_000] })
const taken = ({ claimed }: Answers['claim']) =>
  claimed.reduce((sum, { counts }) => sum + (counts[0] ?? 0), 0)

function buryAll({ claimed }: Answers['claim']): void {
  const { token, counts, runs } = claimed[0]!
  const seqs = Array.from({ length: counts[0]! }, (_, index) => runs[index * runWidth]!)
  const all = <T>(value: T) => seqs.map(() => value)
  const [tokens, kinds] = [all(token), all(settleKind['dead-letter'])]
  run({ kind: 'settle', queue: 1, seqs, tokens, kinds, arguments: all('why'), reasons: all(null) })
}

function purgeStep(until: PurgeEnd | null) {
  return run({ kind: 'purge', queue: 1, what: 'waiting', until })
}

test.each([
  ['tasks', { priority: true }],
  ['single messages', {}],
])('%s that another process sends between two steps of a purge stay', (_, rules) => {
  const other = openStore()
  declare(rules)
  send(2_001, 60_000)
  let step = purgeStep(null)
  expect(step.removed).toBe(2_000)
  step = purgeStep(step.until)
  expect(step.removed).toBe(1)
  send(3, 60_000, other)
  expect(purgeStep(step.until)).toEqual({ removed: 0, until: null })
  expect(store.read([{ kind: 'count', queue: 1 }])).toMatchObject([{ ok: { delayed: 3 } }])
})

test('many tasks that become due at one moment are made ready over several claims, and no place is given twice meanwhile', () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  declare({ concurrency: 3 })
  send(5_000, 1_000)
  vi.setSystemTime(Date.now() + 2_000)
  const first = claim(2)
  expect(taken(first)).toBe(2)
  const db = new DatabaseSync(path)
  expect(db.prepare('SELECT count(*) AS n FROM task WHERE state = 0').get()!.n).toBe(2_000 - 2)
  db.close()
  expect(first.nextDue, 'the others are due').toBeLessThanOrEqual(Date.now())
  expect(taken(claim(2))).toBe(1)
  expect(taken(claim(2))).toBe(0)
  // The leases end behind more than one claim makes ready.
  send(4_000, 1)
  vi.setSystemTime(Date.now() + 60_001)
  let found = 0
  for (let round = 0; round < 10; round++) found += taken(claim(5))
  expect(found, 'places of leases that have ended are given anew, and no more').toBe(3)
})

test('a page of messages or dead letters ends by its bytes, and the next one goes on behind it', () => {
  declare({ priority: true })
  const body = 'x'.repeat(700_000)
  send(30, 0, store, body)
  const look = (after: number) =>
    (store.read([{ kind: 'peek', queue: 1, after, limit: 1_000 }])[0] as { ok: Answers['peek'] }).ok
  const pages: number[] = []
  for (let after = -1, page = look(after); page.length > 0; page = look(after)) {
    pages.push(page.length)
    after = page.at(-1)!.seq
  }
  expect(pages).toEqual([12, 12, 6])
  // As many as a claim takes at once, twice.
  buryAll(claim(12))
  buryAll(claim(12))
  const [dead] = store.read([{ kind: 'deadLetters', queue: 1, limit: 1_000, after: 0 }])
  expect((dead as { ok: Answers['deadLetters'] }).ok.length).toBe(12)
})

test('cancelling looks through messages of any size, step by step', () => {
  declare({ priority: true })
  send(30, 0, store, 'x'.repeat(700_000))
  const steps: (number | null)[] = []
  let removed = 0
  for (let after: number | null = -1; after !== null; ) {
    const step: Answers['cancel'] = run({ kind: 'cancel', queue: 1, ids: ['id'], after })
    removed += step.found.length
    steps.push(step.next)
    after = step.next
  }
  expect({ removed, steps: steps.length }).toEqual({ removed: 30, steps: 3 })
})

test('a pause gives no starts back that were counted in the same transaction', () => {
  declare({ rate: { count: 2, perMs: 3_600_000 } })
  send(10, 0)
  const both = store.write(
    [
      { kind: 'claim', queue: 1, wants: [2, 60_000] },
      { kind: 'pause', queue: 1, paused: true },
    ],
    false,
  )
  expect(both.answers.every((answer) => 'ok' in answer)).toBe(true)
  run({ kind: 'pause', queue: 1, paused: false })
  expect(taken(claim(2))).toBe(0)
})

test('a rate goes on when the clock was set back, also while two processes take turns', () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const other = openStore()
  const one = { kind: 'claim' as const, queue: 1, wants: [1, 60_000] }
  declare({ rate: { count: 1, perMs: 1_000 } })
  send(10, 0)
  expect(taken(run(one))).toBe(1)
  vi.setSystemTime(Date.now() - 3_600_000)
  let found = 0
  for (let round = 0; round < 30; round++) {
    vi.setSystemTime(Date.now() + 100)
    found += taken(run(one, round % 2 === 0 ? store : other))
    // Each makes the other one forget what it knows.
    run({ kind: 'pause', queue: 1, paused: false }, round % 2 === 0 ? other : store)
  }
  expect(found).toBe(2)
})
