import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Engine } from '../../ports/engine.ts'
import { type SqliteOptions, sqlite } from './engine.ts'

const root = mkdtempSync(join(tmpdir(), 'spillway-engine-'))
const children: ChildProcess[] = []
let engines: Engine[] = []
let folders = 0
let path = ''

beforeEach(() => {
  path = join(root, String(++folders))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(engines.map((engine) => engine.close()))
  engines = []
})
afterAll(() => rmSync(root, { recursive: true }))

async function open(options: Partial<SqliteOptions> = {}): Promise<Engine> {
  const engine = await sqlite({ path, ...options })
  engines.push(engine)
  return engine
}

async function start(what: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'test-process.mjs'), [what, path], { execArgv: [] })
  children.push(child)
  await once(child, 'message')
  return child
}

/** A handle beside the engine's own, as another program would have it. */
function beside(): DatabaseSync {
  return new DatabaseSync(join(path, 'spillway.db'), { timeout: 2000 })
}

const message = (id: string) => ({ id, body: `{"id":"${id}"}` })
const claimOne = { limit: 1, leaseMs: 10_000, waitMs: 0 }

test('durability is read from the file; off is a weakness, and strict refuses it', async () => {
  const full = await open()
  expect(full.durability.level).toBe('power-loss')
  await full.close()
  const off = await open({ synchronous: 'off' })
  expect(off.durability.level).toBe('process')
  expect(off.durability.weaknesses.join()).toMatch(/synchronous is OFF/)
  await expect(sqlite({ path, synchronous: 'off', strict: true })).rejects.toMatchObject({
    code: 'DURABILITY',
  })
})

test('a file that is no database is refused', async () => {
  const other = join(root, 'other')
  await (await sqlite({ path: other })).close()
  writeFileSync(join(other, 'spillway.db'), 'no database at all, really')
  await expect(sqlite({ path: other })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
})

test('concurrent sends share commits: a hundred of one turn are one row, and all are there', async () => {
  const { queue } = await open()
  await queue!.declare(['jobs'])
  const ids = Array.from({ length: 100 }, (_, index) => `m${index}`)
  await Promise.all(ids.map((id) => queue!.send('jobs', [message(id)])))
  const db = beside()
  // A commit writes at least one row for a queue that it sends to.
  expect(db.prepare('SELECT count(*) AS n FROM queue_batch').get()!.n).toBe(1)
  db.close()
  const claimed = await queue!.claim('jobs', { ...claimOne, limit: 200 })
  expect(claimed.map(({ id }) => id)).toEqual(ids)
})

test('concurrent appends to a partition share rows, and positions have no gaps', async () => {
  const { stream } = await open()
  await stream!.declare({ name: 'events', partitions: 2 })
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      stream!.append('events', [
        { partition: index % 2, body: `${index}` },
        { partition: 0, body: `${index}b` },
      ]),
    ),
  )
  const positions = results.flatMap((result) => (result.status === 'appended' ? result.positions : []))
  expect(positions.length).toBe(100)
  const db = beside()
  expect(db.prepare('SELECT count(*) AS n FROM stream_batch').get()!.n).toBe(2)
  db.close()
  const bounds = await stream!.bounds('events')
  expect(bounds.map(({ next }) => next)).toEqual([75, 25])
})

test('while another process holds the lock the event loop goes on, reads are answered, and the send resolves after', async () => {
  const { queue, stream } = await open()
  await queue!.declare(['jobs'])
  await stream!.declare({ name: 'events', partitions: 1 })
  await stream!.append('events', [{ partition: 0, body: 'before' }])
  const db = beside()
  db.exec('BEGIN IMMEDIATE')
  let sent = false
  const sending = queue!.send('jobs', [message('a')]).then(() => {
    sent = true
  })
  let turns = 0
  while (turns < 100) {
    await new Promise((resolve) => setImmediate(resolve))
    turns++
  }
  const from = [{ partition: 0, position: 0 }]
  const found = await stream!.read('events', from, { maxRecords: 1, maxBytes: 100, waitMs: 0 })
  expect(found.map(({ body }) => body)).toEqual(['before'])
  expect(sent).toBe(false)
  db.exec('COMMIT')
  await sending
  db.close()
})

for (const what of ['an append', 'the end'] as const)
  test(`${what} that comes while retention waits for the lock of another process is not forgotten`, async () => {
    const engine = await open({ retentionEveryMs: 20 })
    const stream = engine.stream!
    const records = Array.from({ length: 5 }, () => ({ partition: 0, body: 'x'.repeat(100) }))
    await stream.declare({ name: 'log', partitions: 1 })
    for (const record of records) await stream.append('log', [record])
    const db = beside()
    db.exec('BEGIN IMMEDIATE; UPDATE stream SET max_bytes = 1; COMMIT; BEGIN IMMEDIATE')
    // Time to find that something is due, and to begin to wait.
    await pause(150)
    const done = what === 'the end' ? engine.close() : stream.append('log', records.slice(1))
    await pause(200)
    db.exec('COMMIT')
    db.close()
    await done
  })

test('a lock that is held for too long makes writes fail as unavailable, and nothing of them is stored', async () => {
  const { queue } = await open({ busyTimeoutMs: 100 })
  await queue!.declare(['jobs'])
  const db = beside()
  db.exec('BEGIN IMMEDIATE')
  await expect(queue!.send('jobs', [message('a')])).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  db.exec('COMMIT')
  db.close()
  await queue!.send('jobs', [message('b')])
  const claimed = await queue!.claim('jobs', { ...claimOne, limit: 10 })
  expect(claimed.map(({ id }) => id)).toEqual(['b'])
})

test('a waiting claim is woken by another process, and its message is claimed once', async () => {
  const { queue } = await open()
  await queue!.declare(['jobs'])
  const child = await start('send')
  for (let i = 0; i < 20; i++) {
    const waiting = [1, 2].map(() => queue!.claim('jobs', { ...claimOne, waitMs: i < 19 ? 20_000 : 300 }))
    child.send(`m${i}`)
    const first = await Promise.race(waiting)
    expect(first.map(({ id }) => id)).toEqual([`m${i}`])
    child.send(`n${i}`)
    const both = (await Promise.all(waiting)).flat().map(({ id }) => id)
    expect(both.sort()).toEqual([`m${i}`, `n${i}`])
  }
})

test('an idle engine does not keep its process alive', async () => {
  const child = await start('idle')
  expect((await once(child, 'exit'))[0]).toBe(0)
})

test('a waiting claim keeps its process alive until it has its message', async () => {
  const child = await start('wait')
  const { queue } = await open()
  await queue!.send('jobs', [message('a')])
  expect((await once(child, 'exit'))[0]).toBe(0)
})

test('after close nothing of the process is left in the folder, and the file is whole', async () => {
  const engine = await open()
  await engine.queue!.declare(['jobs'])
  await engine.close()
  expect(readdirSync(join(path, 'wake'))).toEqual([])
  expect(existsSync(join(path, 'spillway.db-wal'))).toBe(false)
  const db = beside()
  expect({ ...db.prepare('PRAGMA integrity_check').get() }).toEqual({ integrity_check: 'ok' })
  db.close()
})

test('what was sent is there after opening anew, in its order, with delays', async () => {
  const before = await open()
  await before.queue!.declare(['jobs'])
  await before.queue!.send('jobs', [message('a'), { ...message('later'), delayMs: 60_000 }, message('b')])
  const [leased] = await before.queue!.claim('jobs', claimOne)
  await before.close()
  const { queue } = await open()
  expect(await queue!.count('jobs')).toEqual({
    ready: 1,
    delayed: 1,
    waiting: 0,
    leased: 1,
    dead: 0,
    paused: false,
  })
  expect(await queue!.settle('jobs', [{ lease: leased!.lease, kind: 'release' }])).toEqual(['settled'])
  const claimed = await queue!.claim('jobs', { ...claimOne, limit: 10 })
  expect(claimed.map(({ id, starts }) => [id, starts])).toEqual([
    ['a', 1],
    ['b', 1],
  ])
})

const joining = { sessionMs: 1000, assigned() {}, revoked: async () => {}, failed() {} }

test('heartbeats find their moment in an engine that is never idle', async () => {
  const { queue, stream } = await open({ synchronous: 'off' })
  await queue!.declare(['jobs'])
  await stream!.declare({ name: 'events', partitions: 1 })
  await stream!.join('events', 'readers', joining)
  let busy = true
  const batch = Array.from({ length: 50 }, (_, index) => message(`${index}`))
  const senders = Array.from({ length: 20 }, async () => {
    while (busy) await queue!.send('jobs', batch)
  })
  const db = beside()
  const leftMs = () =>
    Number(db.prepare('SELECT max(expires) AS at FROM group_member').get()!.at) - Date.now()
  let least = Number.POSITIVE_INFINITY
  for (const end = performance.now() + 2000; performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    least = Math.min(least, leftMs())
  }
  busy = false
  await Promise.all(senders)
  db.close()
  expect(least).toBeGreaterThan(0)
})

test('members that join in one turn share at once: nobody waits for a partition that was given to nobody yet', async () => {
  const stream = (await open()).stream!
  await stream.declare({ name: 'log', partitions: 5 })
  const held = [new Set<number>(), new Set<number>(), new Set<number>()]
  const joins = held.map((own) =>
    stream.join('log', 'g', {
      sessionMs: 60_000,
      assigned: (partitions) => partitions.forEach(({ partition }) => void own.add(partition)),
      revoked: async (partitions) => partitions.forEach((partition) => void own.delete(partition)),
      failed() {},
    }),
  )
  await Promise.all(joins)
  const shares = () => held.map(({ size }) => size).toSorted()
  await vi.waitFor(() => expect(shares()).toEqual([1, 2, 2]), { timeout: 2_000 })
})

test('nobody becomes a member while the engine closes', async () => {
  const engine = await open()
  await engine.stream!.declare({ name: 'events', partitions: 1 })
  await engine.stream!.join('events', 'readers', joining)
  const closing = engine.close()
  await expect(engine.stream!.join('events', 'readers', joining)).rejects.toMatchObject({ code: 'CLOSED' })
  await closing
  const db = beside()
  expect(db.prepare('SELECT count(*) AS n FROM group_member').get()!.n).toBe(0)
  db.close()
})

test('a claim waits no longer because the clock was put back meanwhile', async () => {
  const { queue } = await open()
  await queue!.declare(['jobs'])
  const start = performance.now()
  const waiting = queue!.claim('jobs', { ...claimOne, waitMs: 800 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  const now = Date.now
  vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000)
  try {
    expect(await waiting).toEqual([])
  } finally {
    vi.restoreAllMocks()
  }
  expect(performance.now() - start).toBeLessThan(5000)
})

test('a folder that cannot be one is an option to be corrected', async () => {
  const file = join(root, 'a-file')
  writeFileSync(file, '')
  for (const wrong of [file, join(file, 'below'), 'a\0b'])
    await expect(sqlite({ path: wrong })).rejects.toMatchObject({ code: 'INVALID_OPTION', engine: 'sqlite' })
})
