// Streams in full on files: a process that dies for certain, and a service that goes back, parks and lets go, over a restart.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { context, event, open, type Running, run, service, topology, unchecked } from '../../src/index.ts'

interface Step {
  key: string
  n: number
}

let folder: string
let url: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-stream-'))
  url = `sqlite:${join(folder, 'engine')}`
})
afterEach(() => rmSync(folder, { recursive: true }))

const index = new URL('../../src/index.ts', import.meta.url).href
const deadly = (address: string) => `
  import { open, unchecked } from ${JSON.stringify(index)}
  const spillway = await open(${JSON.stringify(address)})
  const stream = await spillway.stream('steps', { data: unchecked(), key: ({ key }) => key, partitions: 1 })
  stream.subscribe('g', ({ data }) => {
    if (data.n === 7) process.kill(process.pid, 'SIGKILL')
    process.stdout.write(data.n + '\\n')
  }, { session: '1s', retry: { attempts: 2 } })
  const end = setInterval(async () => {
    if ((await stream.group('g').deadLetters()).length === 1 && (await stream.group('g').lag()).total === 0) process.exit(0)
  }, 100)`

test('an event that kills its process ends in the dead letters', { timeout: 60_000 }, async () => {
  await using spillway = await open(url)
  const stream = await spillway.stream('steps', {
    data: unchecked<Step>(),
    key: ({ key }) => key,
    partitions: 1,
  })
  await stream.appendMany(Array.from({ length: 20 }, (_, n) => ({ key: `k${n % 5}`, n })))
  let output = ''
  const live = () =>
    new Promise<string | null>((resolve) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', deadly(url)])
      for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (text) => (output += text))
      child.once('exit', (_, signal) => resolve(signal))
    })
  let kills = 0
  while ((await live()) === 'SIGKILL') {
    kills += 1
    expect(kills, output).toBeLessThan(10)
  }
  expect(kills).toBe(4)
  expect(await stream.deadLetters('g')).toMatchObject([
    { position: 7, attempts: 2, reason: 'its process ended 2 times while it was handled' },
  ])
  const handled = new Set(output.trim().split('\n').map(Number))
  expect([...handled].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, n) => n).filter((n) => n !== 7),
  )
})

const moves = context('moves', {
  events: { step: event({ data: unchecked<Step>(), key: ({ key }) => key }) },
})
const ledger = context('ledger', {})
const publisher = service(moves)

/** What fails now. */
let failing: (step: Step) => boolean
const listening = () =>
  service(ledger, {
    database: sqliteDatabase(join(folder, 'ledger.db'), {
      setup: (db) =>
        db.exec('CREATE TABLE IF NOT EXISTS moved (place INTEGER PRIMARY KEY, step TEXT NOT NULL)'),
    }),
  }).on(
    moves.events.step,
    async ({ data }, { commit }) => {
      if (failing(data)) throw new Error('not today')
      await commit(({ db }) => db.prepare('INSERT INTO moved (step) VALUES (?)').run(`${data.key}${data.n}`))
    },
    { onFailure: 'park', retry: { attempts: 2, initial: '1ms' } },
  )

async function start() {
  const listener = listening()
  const running: Running = await run(
    topology({ contexts: [publisher, listener], engine: url, partitions: 2 }),
  )
  const { db } = running.service(listener).database!
  const moved = (key: string) =>
    (db as DatabaseSync)
      .prepare('SELECT step FROM moved WHERE step LIKE ? ORDER BY place')
      .all(`${key}%`)
      .map((row) => row.step)
  const publish = (key: string, ...steps: number[]) =>
    running.service(publisher).transaction((tx) => {
      for (const n of steps) tx.publish(moves.events.step, { key, n })
    })
  return { running, moved, publish, group: running.service(listener).group(moves) }
}

test('a service parks, restarts, lets go, and goes back', { timeout: 30_000 }, async () => {
  failing = ({ key, n }) => key === 'a' && n === 1
  const first = await start()
  await first.publish('a', 0, 1, 2)
  await first.publish('b', 0, 1, 2)
  const wait = { timeout: 10_000 }
  await vi.waitFor(async () => expect(await first.group.parked()).toHaveLength(2), wait)
  await vi.waitFor(() => expect(first.moved('b')).toEqual(['b0', 'b1', 'b2']), wait)
  expect(first.moved('a')).toEqual(['a0'])
  await first.running.stop()

  const second = await start()
  await second.publish('a', 3)
  await vi.waitFor(async () => expect(await second.group.parked({ key: 'a' })).toHaveLength(3), wait)
  failing = () => false
  await second.group.unpark('a')
  await vi.waitFor(() => expect(second.moved('a')).toEqual(['a0', 'a1', 'a2', 'a3']), wait)
  expect(await second.group.parked()).toEqual([])
  await vi.waitFor(async () => expect((await second.group.lag()).total).toBe(0), wait)

  await second.group.replay('earliest')
  await vi.waitFor(() => expect(second.moved('a')).toHaveLength(8), wait)
  await vi.waitFor(() => expect(second.moved('b')).toHaveLength(6), wait)
  expect(second.moved('a').slice(4)).toEqual(['a0', 'a1', 'a2', 'a3'])
  expect(second.moved('b').slice(3)).toEqual(['b0', 'b1', 'b2'])
  await second.running.stop()
})
