// An inbox that stores, in the PostgreSQL of its receiver: beside the tables of the service, in a schema of its own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { unchecked } from '../../src/core/schema.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { context, queue, run, service, topology } from '../../src/index.ts'
import { looking, onServers } from '../postgres/on-servers.ts'

const office = context('office', {
  queues: {
    file: queue({
      data: unchecked<string>(),
      key: (text) => text[0]!,
      retry: { attempts: 3, initial: '10ms', max: '50ms' },
    }),
  },
})
const { file } = office.queues
const patience = { timeout: 30_000, interval: 50 }

await onServers('an inbox that stores in PostgreSQL', {}, (server) => {
  test('what was received waits there, is handled once and in order, and dies there', {
    timeout: 90_000,
  }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'spillway-office-'))
    const { url } = server()
    const gate = Promise.withResolvers<void>()
    const offices = service(office, {
      database: postgresDatabase({
        url,
        setup: (db) => db.query('create table if not exists done (place serial, text text)'),
      }),
      inbox: { mode: 'store' },
    }).work(file, async ({ data }, { commit }) => {
      await gate.promise
      if (data === 'poison') throw new Error('never')
      await commit(({ db }) => db.query('insert into done (text) values ($1)', [data]))
    })
    const running = await run(topology({ contexts: [offices], engine: `sqlite:${join(folder, 'broker')}` }))
    const looker = looking(url)
    try {
      const schemas = await looker.query("select from pg_namespace where nspname = 'spillway_office_inbox'")
      expect(schemas.rowCount).toBe(1)
      const sent = ['a', 'b'].flatMap((key) => Array.from({ length: 20 }, (_, n) => `${key}${n}`))
      const queued = running.queue(file)
      await queued.sendMany([...sent, 'poison'])
      const kept = running.engines.at(-1)!.queue!
      const broker = running.engines[0]!.queue!
      await vi.waitFor(async () => {
        const { ready, leased } = await kept.count(`${file.queue}.received`)
        expect(ready + leased).toBe(sent.length + 1)
        expect(await broker.count(file.queue)).toMatchObject({ ready: 0, leased: 0 })
      }, patience)
      gate.resolve()
      await running.drained()
      const { rows } = await looker.query<{ text: string }>('select text from done order by place')
      const done = rows.map(({ text }) => text)
      for (const key of ['a', 'b'])
        expect(done.filter((text) => text.startsWith(key))).toEqual(
          sent.filter((text) => text.startsWith(key)),
        )
      expect(done).toHaveLength(sent.length)
      expect(await queued.deadLetters()).toMatchObject([{ reason: expect.stringContaining('never') }])
      expect((await broker.count(file.queue)).dead).toBe(0)
    } finally {
      gate.resolve()
      await running.stop()
      await looker.end()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
