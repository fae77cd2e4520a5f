// An inbox that stores: what was received is worked off where the receiver keeps it, and seen as one with its queue.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { context, queue } from '../core/contract.ts'
import { deadLetter } from '../core/outcome.ts'
import type { QueueBehaviour } from '../core/queue-options.ts'
import { unchecked } from '../core/schema.ts'
import { postgresDatabase } from '../engines/postgres/database.ts'
import { sqliteDatabase } from '../engines/sqlite/database.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const patience = { timeout: 20_000 }
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-store-'))
  folders.push(folder)
  return folder
}

function office(behaviour: QueueBehaviour<string> = {}) {
  return context('office', { queues: { file: queue({ data: unchecked<string>(), ...behaviour }) } })
}

const table = () => memoryDatabase({ db: new MemoryTable<string>() })

test('what was received is worked off on an engine of its own, in the order of its keys, and drained() sees it', async () => {
  const folder = newFolder()
  const mine = office({ key: (text) => text[0]! })
  const { file } = mine.queues
  const seen: string[] = []
  const offices = service(mine, {
    database: sqliteDatabase(join(folder, 'office.db')),
    inbox: { mode: 'store' },
  }).work(file, ({ data }, { attempt }) => {
    if (data === 'a3' && attempt === 1) throw new Error('once')
    seen.push(data)
  })
  const wired = topology({ contexts: [offices], engine: `sqlite:${join(folder, 'engine')}` })
  await using running = await run(wired)
  expect(running.engines.map(({ url }) => url)).toEqual([
    expect.stringContaining('engine'),
    expect.stringContaining('office.db.inbox'),
  ])
  const all = ['a', 'b', 'c'].flatMap((key) => Array.from({ length: 8 }, (_, n) => `${key}${n}`))
  await running.queue(file).sendMany(all)
  await running.drained()
  expect(seen.toSorted()).toEqual(all)
  for (const key of ['a', 'b', 'c'])
    expect(seen.filter((text) => text.startsWith(key))).toEqual(all.filter((text) => text.startsWith(key)))
})

test('dead letters are kept with what was received: shown, redriven and counted as those of the queue', async () => {
  const mine = office()
  const { file } = mine.queues
  const broken = new Set(['b', 'd'])
  const done: string[] = []
  const engine = memory()
  const offices = service(mine, { database: table(), inbox: { mode: 'store', engine: memory() } }).work(
    file,
    ({ data }) => (broken.has(data) ? deadLetter(`no ${data}`) : void done.push(data)),
  )
  // One that died on the engine, before anybody kept anything.
  await engine.queue!.declare([file.queue])
  await engine.queue!.send(file.queue, [{ id: 'x', body: 'x' }])
  const [lost] = await engine.queue!.claim(file.queue, { limit: 1, leaseMs: 9_999, waitMs: 0 })
  await engine.queue!.settle(file.queue, [{ lease: lost!.lease, kind: 'dead-letter', reason: 'before' }])
  await using running = await run(topology({ contexts: [offices], engine: 'memory:' }), { engine })
  const files = running.queue(file)
  await files.sendMany(['a', 'b', 'c', 'd'])
  await running.drained()
  expect(done.toSorted()).toEqual(['a', 'c'])
  expect(await files.count()).toMatchObject({ dead: 3, ready: 0, leased: 0 })
  const reasons: string[] = []
  let after: string | undefined
  for (;;) {
    const page = await files.deadLetters({ limit: 1, ...(after === undefined ? {} : { after }) })
    if (page.length === 0) break
    reasons.push(page[0]!.reason)
    after = page[0]!.handle
  }
  expect(reasons).toEqual(['no b', 'no d', 'before'])
  // A page is as long as it may be: one that is shorter is taken for the last.
  expect((await files.deadLetters()).map(({ reason }) => reason)).toEqual(reasons)
  broken.clear()
  expect(await files.redriveAll({ reason: 'no ' })).toBe(2)
  await running.drained()
  expect(done.toSorted()).toEqual(['a', 'b', 'c', 'd'])
  expect(await files.purge('dead')).toBe(1)
})

test('no more is taken than is kept at most: the rest stays on the engine', async () => {
  const mine = office()
  const { file } = mine.queues
  const gate = Promise.withResolvers<void>()
  const kept = memory()
  const engine = memory()
  let handled = 0
  const offices = service(mine, { database: table(), inbox: { mode: 'store', engine: kept } }).work(
    file,
    async () => {
      await gate.promise
      handled += 1
    },
  )
  await using running = await run(topology({ contexts: [offices], engine: 'memory:' }), { engine })
  await running.queue(file).sendMany(Array.from({ length: 2_500 }, (_, n) => `${n}`))
  const there = async () => {
    const { ready, leased } = await kept.queue!.count(`${file.queue}.received`)
    return ready + leased
  }
  await vi.waitFor(async () => expect(await there()).toBe(1_000), patience)
  expect((await engine.queue!.count(file.queue)).ready).toBe(1_500)
  expect(await running.queue(file).count()).toMatchObject({ ready: 2_490, leased: 10 })
  gate.resolve()
  await running.drained()
  expect(handled).toBe(2_500)
})

test('a copy that was saved twice is done once; what cannot be read is a dead letter where it is kept', async () => {
  const mine = office()
  const { file } = mine.queues
  const engine = memory()
  const port = engine.queue!
  let refused = 0
  // What it saved is not settled for the first three times, as by a crash.
  const forgetful = Object.assign(Object.create(port) as typeof port, {
    settle: async (...given: Parameters<typeof port.settle>) => {
      if (refused < 3) {
        refused += 1
        await port.settle(
          given[0],
          given[1].map(({ lease }) => ({ lease, kind: 'release' })),
        )
        return given[1].map(() => 'stale' as const)
      }
      return port.settle(...given)
    },
  })
  for (const name of ['declare', 'send', 'claim', 'extend', 'count', 'peek', 'schedules'] as const)
    Object.assign(forgetful, { [name]: (port[name] as (...args: never[]) => unknown).bind(port) })
  const done: string[] = []
  const offices = service(mine, { database: table(), inbox: { mode: 'store', engine: memory() } }).work(
    file,
    ({ data }) => void done.push(data),
  )
  const broker = { ...engine, queue: forgetful }
  await using running = await run(topology({ contexts: [offices], engine: 'memory:' }), { engine: broker })
  await port.send(file.queue, [{ id: 'noise', body: 'no envelope' }])
  await running.queue(file).sendMany(['a', 'b'])
  await running.drained()
  expect(refused).toBe(3)
  expect(done.toSorted()).toEqual(['a', 'b'])
  expect((await running.queue(file).count()).dead).toBeGreaterThan(0)
})

test.each([
  ['dedup', { dedup: (text: string) => text }],
  ['flow', { flow: true }],
  ['keepFinished', { keepFinished: { count: 5 } }],
] as const)('a queue with `%s` is refused', async (option, behaviour) => {
  const mine = office(behaviour as QueueBehaviour<string>)
  const offices = service(mine, { database: table(), inbox: { mode: 'store', engine: memory() } }).work(
    mine.queues.file,
    () => {},
  )
  await expect(
    run(topology({ contexts: [offices], engine: 'memory:' }), { engine: memory() }),
  ).rejects.toMatchObject({ code: 'CONFIGURATION', message: expect.stringContaining(option) })
})

test('where it is kept is said, or told by the database', async () => {
  const mine = office()
  const silent = service(mine, { database: table(), inbox: { mode: 'store' } }).work(
    mine.queues.file,
    () => {},
  )
  await expect(
    run(topology({ contexts: [silent], engine: 'memory:' }), { engine: memory() }),
  ).rejects.toMatchObject({ code: 'CONFIGURATION', message: expect.stringContaining("mode: 'store'") })
  expect(sqliteDatabase('data/x.db').inboxEngine?.('office')).toBe('sqlite:data/x.db.inbox')
  expect(postgresDatabase({ url: 'postgres://u:p@h/db?schema=s' }).inboxEngine?.('office')).toBe(
    'postgres://u:p@h/db?schema=s_office_inbox',
  )
  expect(postgresDatabase({ url: 'postgres://h/db', tls: {} }).inboxEngine?.('office')).toBeUndefined()
  expect(() => service(mine, { database: table(), inbox: { engine: memory() } })).toThrow(/stores nothing/)
  expect(() => service(mine, { database: table(), inbox: { mode: 'keep' as 'store' } })).toThrow(/'dedup' or/)
})
