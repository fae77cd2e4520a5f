// The engine of a queue is killed while a service works: an inbox that stores goes on with all that was received.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { Schema } from '../../src/core/schema.ts'
import { unchecked } from '../../src/core/schema.ts'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import { context, queue, run, service, topology } from '../../src/index.ts'
import { onServers } from '../postgres/on-servers.ts'
import type { RunningServer } from '../servers/index.ts'
import { nats } from '../servers/index.ts'

const text: Schema<string, string> = unchecked<string>()
const office = context('office', {
  queues: { file: queue({ data: text, retry: { attempts: 5, initial: '10ms', max: '50ms' } }) },
})
const { file } = office.queues
const received = 200
const patience = { timeout: 60_000, interval: 50 }

async function outage(server: RunningServer): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-outage-'))
  const gate = Promise.withResolvers<void>()
  const effects = new Map<string, number>()
  const database = sqliteDatabase(join(folder, 'office.db'), {
    setup: (db) => db.exec('CREATE TABLE IF NOT EXISTS done (text TEXT)'),
  })
  const offices = service(office, { database, inbox: { mode: 'store' } }).work(
    file,
    async ({ data }, { attempt, commit }) => {
      await gate.promise
      if (attempt === 1 && data.endsWith('7')) throw new Error('tried again, by retries of its own')
      await commit(({ db }) => {
        db.prepare('INSERT INTO done (text) VALUES (?)').run(data)
        effects.set(data, (effects.get(data) ?? 0) + 1)
      })
    },
  )
  const running = await run(topology({ contexts: [offices], engine: server.url }))
  const kept = running.engines.at(-1)!.queue!
  const waiting = async () => {
    const { ready, delayed, leased } = await kept.count(`${file.queue}.received`)
    return ready + delayed + leased
  }
  try {
    await running.queue(file).sendMany(Array.from({ length: received }, (_, n) => `a${n}`))
    await vi.waitFor(async () => expect(await waiting()).toBe(received), patience)
    await server.kill()
    gate.resolve()
    await vi.waitFor(async () => {
      expect(effects.size).toBe(received)
      expect(await waiting()).toBe(0)
    }, patience)
    expect(server.pid, 'all of that while the server was down').toBeUndefined()
    await server.restart()
    await vi.waitFor(() => running.queue(file).send('b0', { id: 'after' }), patience)
    await vi.waitFor(() => expect(effects.get('b0')).toBe(1), patience)
    expect((await running.queue(file).count()).dead).toBe(0)
    expect(new Set(effects.values()), 'each once').toEqual(new Set([1]))
  } finally {
    gate.resolve()
    await running.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

await onServers('an inbox that stores', {}, (server) => {
  test('PostgreSQL is killed while work goes on', { timeout: 150_000 }, () => outage(server()))
})

const noNats = await nats.missing()
test.skipIf(noNats !== undefined)(
  `NATS is killed while work goes on (${noNats ?? nats.name})`,
  {
    timeout: 150_000,
  },
  async () => {
    await using server = await nats.start()
    await outage(server)
  },
)
