// A bad network and a server that dies, under load, for queues: what was acknowledged has its effect once, what is not ends within a bound,
// saying so, and everything goes on by itself. Streams: test/stream/faults.test.ts.
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { nats as natsEngine } from '../../src/engines/nats/index.ts'
import { postgres as postgresEngine } from '../../src/engines/postgres/index.ts'
import {
  context,
  type Engine,
  isSpillwayError,
  queue,
  run,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import { Queue } from '../../src/queue/queue.ts'
import { memoryDatabase } from '../../src/testing/index.ts'
import { checkHistory, type SentMessage } from '../crash/history.ts'
import { type Launcher, nats, type RunningServer, systemPostgres } from '../servers/index.ts'
import { NetworkProxy } from '../servers/proxy.ts'

interface Job {
  readonly key: string
  readonly number: number
}

interface Subject {
  readonly name: string
  readonly launcher: Launcher
  /** Whether the engine keeps the messages of a key in their order. */
  readonly ordered: boolean
  start(): Promise<RunningServer>
  open(url: string): Promise<Engine>
  /** Within which a send settles. */
  readonly boundMs: number
}

const timeoutMs = 4_000
const subjects: readonly Subject[] = [
  {
    name: 'postgres',
    launcher: systemPostgres,
    ordered: true,
    start: () => systemPostgres.start(),
    open: (url) => postgresEngine({ url }),
    boundMs: 40_000,
  },
  {
    name: 'nats',
    launcher: nats,
    ordered: false,
    start: () => nats.start(),
    open: (url) => natsEngine({ url, timeoutMs }),
    boundMs: 2 * timeoutMs,
  },
]

const keys = Array.from({ length: 6 }, (_, index) => `k${index}`)
const retry = { attempts: 1_000, initial: '50ms', max: '500ms' } as const
const keyed = context('yard', {
  queues: { load: queue({ data: unchecked<Job>(), key: ({ key }) => key, retry }) },
})
const plain = context('yard', { queues: { load: queue({ data: unchecked<Job>(), retry }) } })

for (const { name, launcher, ordered, start, open, boundMs } of subjects) {
  const missing = await launcher.missing()
  describe.skipIf(missing !== undefined)(`${name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    test('a bad network and a server that dies lose, double and reorder nothing', {
      timeout: 280_000,
    }, async () => {
      const proxy = await NetworkProxy.start()
      const server = await start()
      proxy.target = Number(new URL(server.url).port)
      const url = proxy.through(server.url)
      const yard = ordered ? keyed : plain
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
      const works = service(yard, { database, lease: '2s' }).work(yard.queues.load, ({ data }, { commit }) =>
        commit(({ db }) => void db.push(`${data.key}-${data.number}`)),
      )
      const engines = await Promise.all([open(url), open(url), open(url)])
      const [first, second, third] = engines as [Engine, Engine, Engine]
      const ended: unknown[] = []
      const members = await Promise.all(
        [second, third].map((engine) =>
          run(topology({ contexts: [works], engine: url }), { engine, onReport: () => {} }),
        ),
      )
      for (const { done } of members) done.catch((thrown) => ended.push(thrown))
      const load = new Queue(yard.queues.load, first.queue!, first.name)

      const sent: SentMessage[] = []
      const failures: { readonly thrown: unknown; readonly ms: number }[] = []
      let sending = true
      /** What is not sure is sent again, under its id, until it is. */
      const surely = async (job: Job, id: string): Promise<boolean> => {
        while (sending) {
          const startedAt = performance.now()
          try {
            await load.send(job, { id })
            return true
          } catch (thrown) {
            failures.push({ thrown, ms: performance.now() - startedAt })
            await pause(50)
          }
        }
        return false
      }
      const sender = async (key: string): Promise<void> => {
        for (let number = 1; sending; number++) {
          const id = `${key}-${number}`
          sent.push({ id, key, number, sure: await surely({ key, number }, id) })
          await pause(5)
        }
      }
      const senders = Promise.all(keys.map(sender))

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
        // Longer than a lease; PostgreSQL waits longer with its sends.
        await proxy.freeze(2 * timeoutMs)
        await flows()
        await server.kill()
        await pause(500)
        await server.restart()
        await flows()

        sending = false
        await senders
        const judged = () =>
          checkHistory({
            rounds: 0,
            kills: 0,
            probes: [],
            channels: [{ name: 'yard.load', ordered, sent, effects }],
          })
        await vi.waitFor(() => expect(judged().verdict.lost).toBe(0), { timeout: 90_000, interval: 200 })
        expect(judged().findings).toEqual([])
        expect(ended).toEqual([])
        for (const { thrown, ms } of failures) {
          expect(isSpillwayError(thrown, 'ENGINE_UNAVAILABLE'), String(thrown)).toBe(true)
          expect(ms).toBeLessThan(boundMs)
        }
      } finally {
        sending = false
        await Promise.all(members.map((member) => member.stop({ deadlineMs: 500 }).catch(() => {})))
        await Promise.all(engines.map((engine) => engine.close()))
        await proxy.close()
        await server.stop()
      }
    })
  })
}
