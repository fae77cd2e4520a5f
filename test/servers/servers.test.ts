/** The launchers themselves: a start answers, a kill keeps what was written, an end of any kind leaves nothing behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it, onTestFinished, vi } from 'vitest'
import { ask } from './ask.ts'
import { exchanges } from './exchanges.ts'
import { type Launcher, launchers, type RunningServer, redis, systemPostgres } from './index.ts'
import { launch } from './launch.ts'
import { descendants, gone, isAlive } from './process-tree.ts'

const timeout = 180_000
const reasons = new Map<Launcher, string | undefined>()
for (const launcher of launchers) reasons.set(launcher, await launcher.missing())

const ENDS = ['SIGKILL', 'SIGTERM', 'SIGINT', 'an uncaught error', 'the end'] as const

for (const launcher of launchers) {
  const { name } = launcher
  const reason = reasons.get(launcher)
  describe.skipIf(reason !== undefined)(reason === undefined ? name : `${name}, skipped: ${reason}`, () => {
    it('answers, keeps its data over kill and restart, and is gone after stop', { timeout }, async () => {
      const timed = stopwatch(name)
      const server = await timed('start', () => launcher.start())
      onTestFinished(() => server.stop())
      const exchange = exchanges[new URL(server.url).protocol.slice(0, -1)]
      assert.ok(exchange)
      assert.match(server.version, /^\d+\.\d+/)

      await exchange.write(server, 'before the kill')
      const first = family(server)
      await server.kill()
      assert.equal(server.pid, undefined)
      assert.deepEqual(first.filter(isAlive), [])
      await assert.rejects(exchange.read(server))

      await timed('restart after kill', () => server.restart())
      assert.equal(await exchange.read(server), 'before the kill')

      await exchange.write(server, 'before the restart')
      await timed('restart', () => server.restart())
      assert.equal(await exchange.read(server), 'before the restart')

      const last = family(server)
      await timed('stop', () => server.stop())
      assert.deepEqual(last.filter(isAlive), [])
      assert.equal(existsSync(server.folder), false)
      await server.stop()
      await assert.rejects(server.restart(), /its data are gone/)
    })

    // How the test process ends makes no difference to which server it leaves: the slow ones are tried once.
    it.for(launcher === redis ? ENDS : ENDS.slice(0, 1))(
      'leaves nothing when its process ends by %s',
      { timeout },
      async (how) => {
        const { pids, folder } = await abandon(name, how)
        assert.ok(await gone(pids, 20_000), 'a process is left')
        for (let i = 0; i < 500 && existsSync(folder); i++) await delay(20)
        assert.equal(existsSync(folder), false)
      },
    )
  })
}

describe('a start that fails', () => {
  it.skipIf(reasons.get(systemPostgres))('says why, with the end of the log', { timeout }, async () => {
    await assert.rejects(
      systemPostgres.start({ settings: { shared_buffers: 'plenty' } }),
      /ended before it was ready \(1\)(.|\n)*invalid value for parameter "shared_buffers"/,
    )
  })

  it.skipIf(reasons.get(redis))('takes no longer than it may, and leaves nothing', { timeout }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'spillway-servers-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    vi.stubEnv('TMPDIR', folder)
    onTestFinished(() => void vi.unstubAllEnvs())
    await assert.rejects(redis.start({ startMs: 0 }), /redis was not ready within 0 ms/)
    assert.deepEqual(readdirSync(folder), [])
  })
})

it('starts on another port when somebody was quicker to take the first', { timeout }, async () => {
  const ports: number[] = []
  const listen = (port: number) =>
    `require('net').createServer((s) => s.end('hello')).listen(${port}, '127.0.0.1')`
  const server = await launch({
    name: 'hello',
    stopSignal: 'SIGTERM',
    url: ({ port }) => `hello://127.0.0.1:${port}`,
    async prepare({ port }) {
      if (ports.push(port) > 1) return
      const other = createServer().listen(port, '127.0.0.1')
      await once(other, 'listening')
      onTestFinished(() => void other.close())
    },
    command: ({ port }) => [process.execPath, '-e', listen(port)],
    probe: ({ port }) => ask(port, '', /^hello$/),
  })
  onTestFinished(() => server.stop())
  assert.equal(ports.length, 2)
  assert.equal(server.url, `hello://127.0.0.1:${ports[1]}`)
})

/** Times what it is given; says it all in one line when the test is over. */
function stopwatch(name: string) {
  const laps: string[] = []
  onTestFinished(() => console.log(`${name}: ${laps.join(', ')}`))
  return async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const from = performance.now()
    const result = await work()
    laps.push(`${what} ${Math.round(performance.now() - from)} ms`)
    return result
  }
}

function family({ pid }: RunningServer): number[] {
  assert.ok(pid !== undefined)
  return [pid, ...descendants(pid)]
}

/** Runs `abandon.ts` to its end, whatever that end is. */
function abandon(name: string, how: string): Promise<{ pids: number[]; folder: string }> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, 'abandon.ts'), name, how],
      (_error, stdout, stderr) => {
        if (stdout === '') reject(new Error(stderr))
        else resolve(JSON.parse(stdout))
      },
    )
  })
}
