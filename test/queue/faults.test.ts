// Queues on a bad network, and while their server dies (test/crash/bad-network.ts).
import { setTimeout as pause } from 'node:timers/promises'
import { describe, test } from 'vitest'
import { nats as natsEngine } from '../../src/engines/nats/index.ts'
import { postgres as postgresEngine } from '../../src/engines/postgres/index.ts'
import { context, queue, service, topology, unchecked } from '../../src/index.ts'
import { Queue } from '../../src/queue/queue.ts'
import { type Entry, endureBadNetwork, type Trial } from '../crash/bad-network.ts'
import { type Launcher, nats, systemPostgres } from '../servers/index.ts'

interface Subject extends Pick<Trial, 'start' | 'open' | 'boundMs'> {
  readonly launcher: Launcher
  readonly name: string
  /** Whether the engine keeps the messages of a key in their order. */
  readonly ordered: boolean
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

const retry = { attempts: 1_000, initial: '50ms', max: '500ms' } as const
const keyed = context('yard', {
  queues: { load: queue({ data: unchecked<Entry>(), key: ({ key }) => key, retry }) },
})
const plain = context('yard', { queues: { load: queue({ data: unchecked<Entry>(), retry }) } })

for (const { name, launcher, ordered, ...subject } of subjects) {
  const missing = await launcher.missing()
  describe.skipIf(missing !== undefined)(`${name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    const yard = ordered ? keyed : plain
    test(
      'a bad network and a server that dies lose, double and reorder nothing',
      {
        timeout: 280_000,
      },
      () =>
        endureBadNetwork({
          ...subject,
          // PostgreSQL waits longer with its sends.
          freezeMs: 2 * timeoutMs,
          channel: { name: 'yard.load', ordered },
          topology: (database, url) => {
            const works = service(yard, { database, lease: '2s' }).work(
              yard.queues.load,
              ({ data }, { commit }) => commit(({ db }) => void db.push(`${data.key}-${data.number}`)),
            )
            return topology({ contexts: [works], engine: url })
          },
          writer: (engine) => {
            const load = new Queue(yard.queues.load, engine.queue!, engine.name)
            // What is not sure is sent again, under its id, until it is.
            return async (entry, { id, attempt, goesOn }) => {
              while (goesOn()) {
                if (await attempt(() => load.send(entry, { id }))) return true
                await pause(50)
              }
              return false
            }
          },
        }),
    )
  })
}
