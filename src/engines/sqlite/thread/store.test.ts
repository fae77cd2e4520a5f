import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
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

/** `wrapped`: what the store is given instead of the handle. */
function openStore(wrapped = (handle: DatabaseSync) => handle): { db: DatabaseSync; store: Store } {
  const handle = openFile(path, storeSchema, { synchronous: 'full', openTimeoutMs: 5000, busyTimeoutMs: 0 })
  const opened = new Store(wrapped(handle), {
    path,
    synchronous: 'full',
    busyTimeoutMs: 200,
    whileLocked() {},
  })
  opened.slabs.set(0, slab)
  return { db: handle, store: opened }
}

beforeEach(() => {
  path = join(folder, `${++files}.db`)
  ;({ db, store } = openStore())
  run({ kind: 'declareQueues', names: ['jobs', 'mails'] })
  run({ kind: 'declareStream', name: 'events', partitions: 2, versions: false })
})
afterEach(() => {
  db.close()
  vi.restoreAllMocks()
})

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
  return { kind: 'send', queue, spans: [0, start, end - start, bodies.length], delayed: [], delaysMs: [] }
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
  const broken: WriteOperation = { kind: 'send', queue: 1, spans: [99, 0, 1, 1], delayed: [], delaysMs: [] }
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
  expect(claimed!.runs).toEqual([0, 100, 1])
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
  expect(fresh!.runs).toEqual([0, 2, 2])
  expect(fresh!.token).toBeGreaterThan(old!.token)
  expect(settle([0, 1], old!.token)).toEqual([0, 0])
  const extend = (token: number) =>
    ok(run({ kind: 'extend', queue: 1, seqs: [0], tokens: [token], leasesMs: [1] })[0])
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
  expect(third!.runs).toEqual([2, 1, 1])
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
    { ok: { ready: 0, delayed: 1, leased: 0, dead: 1 } },
  ])
})

test('numbers of messages never come again, also when everything was handled', () => {
  for (let round = 0; round < 3; round++) {
    run(send(['a', 'b']))
    const [claimed] = claim(2).claimed
    expect(claimed!.runs).toEqual([2 * round, 2, 1])
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
  expect(claimed[0]!.runs).toEqual([0, 3, 1])
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
  expect(ok(run({ kind: 'append', stream: 1, spans, partitions: [0, 0, 1] })[0])).toEqual([0, 1, 0])
  expect(rows('stream_batch')).toBe(3)
})

test('due messages that are larger than those before them do not make a claim larger', () => {
  const delayed = (body: string): WriteOperation => {
    const end = writeRecord(slab, 0, 'id', undefined, body)
    return { kind: 'send', queue: 1, spans: [], delayed: [0, 0, end, 1], delaysMs: [-1] }
  }
  run(delayed('small'))
  for (let i = 0; i < 30; i++) run(delayed('x'.repeat(900_000)))
  const [claimed] = claim(100).claimed
  expect(claimed!.data.length).toBeLessThanOrEqual(8 * 1024 * 1024)
  expect(claimed!.counts[0]).toBeGreaterThan(5)
})

test('a stream cannot begin to keep versions in the commit that appends its first records', () => {
  const end = writeRecord(slab, 0, '', 'key', '{}')
  const answers = run(
    { kind: 'append', stream: 1, spans: [0, 0, end, 1], partitions: [1] },
    { kind: 'declareStream', name: 'events', partitions: 2, versions: true },
  )
  expect(answers).toMatchObject([{ ok: [0] }, { failure: { code: 'CONFIGURATION' } }])
})

/** The handle, with a statement that fails in the same way a number of times, now and then. */
function failing(
  sql: string,
  errcode: number,
  times: { left: number },
): (handle: DatabaseSync) => DatabaseSync {
  return (handle) =>
    new Proxy(handle, {
      get(_, name) {
        const value: unknown = Reflect.get(handle, name, handle)
        if (name !== 'prepare') return typeof value === 'function' ? value.bind(handle) : value
        return (text: string) => {
          const statement = handle.prepare(text)
          if (text !== sql) return statement
          const sound = () => {
            if (times.left-- > 0) throw Object.assign(new Error('planted'), { errcode })
            return statement
          }
          return { run: () => sound().run(), get: () => sound().get() }
        }
      },
    })
}

test('while another process recovers the file, reads and claims wait for it', () => {
  const times = { left: 0 }
  const other = openStore(failing('PRAGMA data_version', 261, times))
  times.left = 3
  expect(other.store.read([{ kind: 'findQueue', name: 'jobs' }])).toEqual([{ ok: 1 }])
  times.left = 3
  const wants = [1, 1000]
  expect(other.store.write([{ kind: 'claim', queue: 1, wants }], false).answers).toMatchObject([{ ok: {} }])
  times.left = 3
  expect(other.store.tell()).toEqual([])
  other.db.close()
})

test('after a failed sync nothing more is written, and nothing is tried again', () => {
  const times = { left: 0 }
  const other = openStore(failing('COMMIT', 1034, times))
  times.left = 1
  const { answers } = other.store.write([send(['a']), send(['b'])], false)
  expect(answers).toMatchObject([
    { failure: { code: 'ENGINE_FAILED' } },
    { failure: { code: 'ENGINE_FAILED' } },
  ])
  expect(other.store.broken).toMatchObject({ native: 'planted' })
  expect(rows('queue_batch')).toBe(0)
  other.db.close()
})

const joins = (member: number): WriteOperation => ({
  kind: 'join',
  member,
  stream: 1,
  group: 'readers',
  sessionMs: 1000,
})
const changes = (of: Store) => of.tell().map(({ change, partitions }) => [change, partitions.length])

test('a member that came back in a commit that failed does not take another one for itself', () => {
  const clock = { ms: Date.now() }
  vi.spyOn(Date, 'now').mockImplementation(() => clock.ms)
  const other = openStore()
  run(joins(1))
  expect(changes(store)).toEqual([['assigned', 2]])
  clock.ms += 5000
  other.store.write([joins(7)], false)
  other.store.write([{ kind: 'leave', member: 7 }], false)
  store.write([], true)
  expect(changes(store)).toEqual([['revoked', 2]])
  clock.ms += 500
  db.exec(`PRAGMA max_page_count = ${Number(pragma(db, 'page_count'))}`)
  expect(store.write([send(['x'.repeat(500_000)])], true).answers).toMatchObject([
    { failure: { code: 'STORE_FULL' } },
  ])
  other.store.write([joins(8)], false)
  expect(changes(other.store)).toEqual([['assigned', 2]])
  store.write([], true)
  // It has a place of its own: the other one is asked for a half.
  expect(changes(store)).toEqual([])
  expect(changes(other.store)).toEqual([['revoked', 1]])
  other.db.close()
})

test('a member whose leaving could not be stored leaves with the next tick', () => {
  run(joins(1))
  const broken: WriteOperation = { kind: 'send', queue: 1, spans: [99, 0, 1, 1], delayed: [], delaysMs: [] }
  const times = { left: 0 }
  const other = openStore(failing('COMMIT', 13, times))
  other.store.write([joins(2)], false)
  times.left = 1
  const { answers } = other.store.write([{ kind: 'leave', member: 2 }, broken], false)
  expect(answers).toMatchObject([{ failure: { code: 'STORE_FULL' } }, { failure: { code: 'INTERNAL' } }])
  expect(rows('group_member')).toBe(2)
  other.store.write([], true)
  expect(rows('group_member')).toBe(1)
  expect(other.store.groups.hasMembers).toBe(false)
  other.db.close()
})

test('where the clock is put back, members go on, and the dead are found within their session', () => {
  const clock = { ms: Date.now() }
  vi.spyOn(Date, 'now').mockImplementation(() => clock.ms)
  const other = openStore()
  run(joins(1))
  store.tell()
  other.store.write([joins(2)], false)
  store.write([], true)
  store.tell()
  run({ kind: 'givenUp', member: 1, partitions: [1], generations: [1] })
  other.store.write([], true)
  expect(changes(other.store)).toEqual([['assigned', 1]])
  clock.ms -= 3_600_000
  // From here on the first one is dead.
  for (let ms = 0; ms <= 1500; ms += 250, clock.ms += 250) other.store.write([], true)
  expect(changes(other.store)).toEqual([['assigned', 1]])
  other.db.close()
})

test('a late answer to one revocation does not give up what was assigned since', () => {
  const clock = { ms: Date.now() }
  vi.spyOn(Date, 'now').mockImplementation(() => clock.ms)
  const other = openStore()
  const tick = (of: Store) => {
    of.write([], true)
    return changes(of)
  }
  run(joins(1))
  expect(tick(store)).toEqual([['assigned', 2]])
  other.store.write([joins(2)], false)
  expect(tick(store)).toEqual([['revoked', 1]])
  // Its owner takes too long, the other one gets it, and leaves.
  for (let i = 0; i < 3; i++) {
    clock.ms += 400
    tick(other.store)
    tick(store)
  }
  other.store.write([{ kind: 'leave', member: 2 }], false)
  expect(tick(store)).toEqual([['assigned', 1]])
  other.store.write([joins(3)], false)
  expect(tick(store)).toEqual([['revoked', 1]])
  const givenUp = (generation: number) =>
    run({ kind: 'givenUp', member: 1, partitions: [1], generations: [generation] })
  givenUp(1)
  expect(tick(other.store)).toEqual([])
  givenUp(3)
  expect(tick(other.store)).toEqual([['assigned', 1]])
  other.db.close()
})

test('a batch whose bytes cannot be, and a lease of no message, are damage, and nothing of them is claimed', () => {
  run(send(['a', 'b']))
  db.exec('UPDATE queue_batch SET data = zeroblob(20)')
  const wants = [1, 1000]
  const claiming: WriteOperation = { kind: 'claim', queue: 1, wants }
  expect(run(claiming)).toMatchObject([{ failure: { code: 'STORE_CORRUPT' } }])
  db.exec('DELETE FROM queue_batch; INSERT INTO lease VALUES (0, 0, 1, 1, 0, 1)')
  expect(run(claiming)).toMatchObject([{ failure: { code: 'STORE_CORRUPT' } }])
  expect(pragma(db, 'user_version')).toBe(1)
  expect(rows('lease')).toBe(1)
})
