// Schedules on real storage: processes that share it fire each due time once, also while they are killed at any moment.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { open, unchecked } from '../../src/index.ts'
import { onServers } from '../postgres/on-servers.ts'

const index = new URL('../../src/index.ts', import.meta.url).href
const everyMs = 1_000

/** Fires what is due, and never handles any of it: whatever is claimed is held until the process dies. */
const firing = (url: string) => `
  import { open, unchecked } from ${JSON.stringify(index)}
  const spillway = await open(${JSON.stringify(url)})
  const queue = await spillway.queue('timed', { data: unchecked(), retry: { attempts: 1000 } })
  await queue.schedule('each-second', { every: ${everyMs}, missed: 'all' }, 'tick')
  queue.consume(() => new Promise(() => {}), { concurrency: 1, lease: '1s' })`

/** Three processes, killed and started anew; resolves with the due times of all messages that there are in the end. */
async function dueTimesUnderKills(url: string): Promise<number[]> {
  const start = () => spawn(process.execPath, ['--input-type=module', '-e', firing(url)])
  const processes = [start(), start(), start()]
  await using spillway = await open(url)
  const queue = await spillway.queue('timed', { data: unchecked<string>(), retry: { attempts: 1000 } })
  try {
    for (let kill = 0; kill < 6; kill++) {
      const { ready, leased, delayed } = await queue.count()
      const before = ready + leased + delayed
      const victim = processes.shift()!
      await vi.waitFor(
        async () => {
          const count = await queue.count()
          expect(count.ready + count.leased + count.delayed).toBeGreaterThan(before)
        },
        { timeout: 60_000, interval: 37 },
      )
      victim.kill('SIGKILL')
      processes.push(start())
    }
  } finally {
    for (const each of processes) each.kill('SIGKILL')
  }
  await queue.unschedule('each-second')
  return (await queue.peek({ limit: 1_000 })).map(({ message }) => Date.parse(message!.scheduledfor!))
}

function expectEachOnce(times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b)
  const [first] = sorted
  expect(sorted).toEqual(sorted.map((_, index) => first! + index * everyMs))
  expect(sorted.length).toBeGreaterThan(5)
}

describe('on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-schedules-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  test('no due time is lost, and none fires twice', { timeout: 300_000 }, async () => {
    expectEachOnce(await dueTimesUnderKills(`sqlite:${folder}`))
  })
})

await onServers('on PostgreSQL', {}, (server) => {
  test('no due time is lost, and none fires twice', { timeout: 300_000 }, async () => {
    expectEachOnce(await dueTimesUnderKills(server().url))
  })
})
