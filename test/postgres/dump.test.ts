// A dump that is restored on another server is whole: messages, leases' tokens, events, positions of groups, and nothing
// in it depends on what only the old server knew, such as its transaction ids.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { open, unchecked } from '../../src/index.ts'
import { type RunningServer, systemPostgres } from '../servers/index.ts'
import { findSystem } from '../servers/postgres-programs.ts'
import { looking } from './on-servers.ts'

interface Step {
  readonly key: string
  readonly n: number
}

const bin = findSystem()?.bin ?? ''
const missing =
  (await systemPostgres.missing()) ??
  (['pg_dump', 'psql'].every((program) => existsSync(join(bin, program))) ? undefined : 'no pg_dump here')

async function openAll({ url }: RunningServer) {
  const spillway = await open(url)
  const queue = await spillway.queue('jobs', { data: unchecked<number>() })
  const stream = await spillway.stream('steps', {
    data: unchecked<Step>(),
    key: ({ key }) => key,
    versions: true,
  })
  return { spillway, queue, stream }
}

test.skipIf(missing)('a restored dump goes on where the old server was', { timeout: 120_000 }, async () => {
  await using from = await systemPostgres.start()
  await using to = await systemPostgres.start()
  const before = await openAll(from)
  // The new server's transaction ids begin far below.
  const burner = looking(from.url)
  for (let burnt = 0; burnt < 2_000; burnt++) await burner.query('select pg_current_xact_id()')
  await burner.end()
  await before.queue.sendMany([1, 2, 3])
  await before.stream.appendMany(Array.from({ length: 100 }, (_, n) => ({ key: `k${n % 7}`, n })))
  const seen: number[] = []
  const reading = before.stream.subscribe('readers', ({ data }) => void seen.push(data.n))
  await vi.waitFor(() => expect(seen).toHaveLength(100), { timeout: 20_000 })
  await reading.stop()
  await before.spillway.close()

  const dump = execFileSync(join(bin, 'pg_dump'), [from.url], { maxBuffer: 1 << 28 })
  execFileSync(join(bin, 'psql'), ['-q', '-v', 'ON_ERROR_STOP=1', to.url], {
    input: dump,
    stdio: ['pipe', 'ignore', 'inherit'],
  })

  const after = await openAll(to)
  expect(await after.queue.count()).toEqual({
    ready: 3,
    delayed: 0,
    waiting: 0,
    leased: 0,
    dead: 0,
    paused: false,
  })
  let kept = 0
  for await (const _ of after.stream.read()) kept += 1
  expect(kept).toBe(100)
  expect(await after.stream.readKey('k3').toArray()).toHaveLength(14)
  await after.queue.send(4)
  await after.stream.append({ key: 'k3', n: 100 }, { expectedVersion: 14 })
  const handled: number[] = []
  const read: number[] = []
  const consumer = after.queue.consume(({ data }) => void handled.push(data))
  const again = after.stream.subscribe('readers', ({ data }) => void read.push(data.n))
  await vi.waitFor(() => expect(read.length > 0 && handled.length >= 4).toBe(true), { timeout: 20_000 })
  await Promise.all([consumer.stop(), again.stop()])
  expect(handled.sort()).toEqual([1, 2, 3, 4])
  expect(read).toEqual([100])
  await after.spillway.close()
})
