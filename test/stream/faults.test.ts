// A bad network and a server that dies, under load, on every engine that has a network: what was acknowledged has its effect once, in
// order per key; what is not ends within a bound, saying so; and everything goes on by itself.
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { kafka as kafkaEngine } from '../../src/engines/kafka/index.ts'
import { nats as natsEngine } from '../../src/engines/nats/index.ts'
import { postgres as postgresEngine } from '../../src/engines/postgres/index.ts'
import {
  context,
  type Engine,
  event,
  isSpillwayError,
  run,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import { Stream } from '../../src/stream/stream.ts'
import { memoryDatabase } from '../../src/testing/index.ts'
import { checkHistory, type SentMessage } from '../crash/history.ts'
import { kafka, type Launcher, nats, type RunningServer, systemPostgres } from '../servers/index.ts'
import { NetworkProxy } from '../servers/proxy.ts'

interface Reading {
  readonly key: string
  readonly number: number
}

const timeoutMs = 4_000

interface Subject {
  readonly name: string
  readonly launcher: Launcher
  start(proxy: NetworkProxy): Promise<RunningServer>
  open(url: string): Promise<Engine>
  /** An append that cannot be made ends within this time. */
  readonly boundMs: number
}

const subjects: readonly Subject[] = [
  {
    name: 'postgres',
    launcher: systemPostgres,
    start: () => systemPostgres.start(),
    open: (url) => postgresEngine({ url }),
    boundMs: 40_000,
  },
  {
    name: 'kafka',
    launcher: kafka,
    start: ({ port }) => kafka.start({ settings: { 'advertised.listeners': `CLIENT://127.0.0.1:${port}` } }),
    open: (url) => kafkaEngine({ url, timeoutMs }),
    boundMs: 2 * timeoutMs,
  },
  {
    name: 'nats',
    launcher: nats,
    start: () => nats.start(),
    open: (url) => natsEngine({ url, timeoutMs }),
    boundMs: 2 * timeoutMs,
  },
]

const meter = context('meter', {
  events: { read: event({ data: unchecked<Reading>(), key: ({ key }) => key }) },
})
const books = context('books', {})
const keys = Array.from({ length: 6 }, (_, index) => `k${index}`)

for (const { name, launcher, start, open, boundMs } of subjects) {
  const missing = await launcher.missing()
  describe.skipIf(missing !== undefined)(`${name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    test('a bad network and a server that dies lose, double and reorder nothing', {
      timeout: 280_000,
    }, async () => {
      const proxy = await NetworkProxy.start()
      const server = await start(proxy)
      proxy.target = Number(new URL(server.url).port)
      const url = proxy.through(server.url)
      const effects: string[] = []
      const database = memoryDatabase({
        db: effects,
        snapshot: (db) => {
          const { length } = db
          return () => {
            db.length = length
          }
        },
      })
      const book = service(books, { database, session: '2s' }).on(meter.events.read, ({ data }, { commit }) =>
        commit(({ db }) => void db.push(`${data.key}-${data.number}`)),
      )
      const engines = await Promise.all([open(url), open(url), open(url)])
      const [first, second, third] = engines as [Engine, Engine, Engine]
      const ended: unknown[] = []
      const members = await Promise.all(
        [second, third].map((engine) =>
          run(topology({ contexts: [meter, book], engine: url, partitions: 4 }), {
            engine,
            onReport: () => {},
          }),
        ),
      )
      for (const { done } of members) done.catch((thrown) => ended.push(thrown))
      const stream = new Stream(meter.events.read, 4, first.stream!, first.name)

      const sent: SentMessage[] = []
      const failures: { readonly thrown: unknown; readonly ms: number }[] = []
      let appending = true
      const appender = async (key: string): Promise<void> => {
        for (let number = 1; appending; number++) {
          const startedAt = performance.now()
          let sure = true
          try {
            await stream.append({ key, number })
          } catch (thrown) {
            failures.push({ thrown, ms: performance.now() - startedAt })
            sure = false
          }
          sent.push({ id: `${key}-${number}`, key, number, sure })
          await pause(5)
        }
      }
      const appenders = Promise.all(keys.map(appender))

      try {
        const flows = async () => {
          const before = effects.length
          await vi.waitFor(() => expect(effects.length).toBeGreaterThan(before + 20), {
            timeout: 90_000,
            interval: 50,
          })
        }
        await flows()
        proxy.cut()
        await flows()
        proxy.reset()
        await flows()
        proxy.halfClose()
        await flows()
        proxy.delayMs = 60
        await pause(1_000)
        proxy.delayMs = 0
        await flows()
        // Longer than an append may take, and than a member may be silent; PostgreSQL waits longer.
        await proxy.freeze(2 * timeoutMs)
        await flows()
        await server.kill()
        await pause(500)
        await server.restart()
        await flows()

        appending = false
        await appenders
        const judged = () =>
          checkHistory({
            rounds: 0,
            kills: 0,
            probes: [],
            channels: [{ name: 'meter.read', ordered: true, sent, effects }],
          })
        await vi.waitFor(() => expect(judged().verdict.lost).toBe(0), { timeout: 90_000, interval: 200 })
        expect(judged().findings).toEqual([])
        expect(ended).toEqual([])
        for (const { thrown, ms } of failures) {
          expect(isSpillwayError(thrown, 'ENGINE_UNAVAILABLE'), String(thrown)).toBe(true)
          expect(ms).toBeLessThan(boundMs)
        }
      } finally {
        appending = false
        await Promise.all(members.map((member) => member.stop({ deadlineMs: 500 }).catch(() => {})))
        await Promise.all(engines.map((engine) => engine.close()))
        await proxy.close()
        await server.stop()
      }
    })
  })
}
