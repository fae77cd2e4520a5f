// Streams on a bad network, and while their server dies, on every engine that has a network (test/crash/bad-network.ts).
import { describe, test } from 'vitest'
import { kafka as kafkaEngine } from '../../src/engines/kafka/index.ts'
import { nats as natsEngine } from '../../src/engines/nats/index.ts'
import { postgres as postgresEngine } from '../../src/engines/postgres/index.ts'
import { context, event, service, topology, unchecked } from '../../src/index.ts'
import { Stream } from '../../src/stream/stream.ts'
import { type Entry, endureBadNetwork, type Trial } from '../crash/bad-network.ts'
import { kafka, type Launcher, nats, systemPostgres } from '../servers/index.ts'

interface Subject extends Pick<Trial, 'start' | 'open' | 'boundMs'> {
  readonly launcher: Launcher
  readonly name: string
}

const timeoutMs = 4_000
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

const partitions = 4
const meter = context('meter', {
  events: { read: event({ data: unchecked<Entry>(), key: ({ key }) => key }) },
})
const books = context('books', {})

for (const { name, launcher, ...subject } of subjects) {
  const missing = await launcher.missing()
  describe.skipIf(missing !== undefined)(`${name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    test(
      'a bad network and a server that dies lose, double and reorder nothing',
      {
        timeout: 280_000,
      },
      () =>
        endureBadNetwork({
          ...subject,
          // Longer than an append may take, and than a member may be silent; PostgreSQL waits longer.
          freezeMs: 2 * timeoutMs,
          channel: { name: 'meter.read', ordered: true },
          topology: (database, url) => {
            const book = service(books, { database, session: '2s' }).on(
              meter.events.read,
              ({ data }, { commit }) => commit(({ db }) => void db.push(`${data.key}-${data.number}`)),
            )
            return topology({ contexts: [meter, book], engine: url, partitions })
          },
          writer: (engine) => {
            const stream = new Stream(meter.events.read, partitions, engine.stream!, engine.name)
            return (entry, { attempt }) => attempt(() => stream.append(entry))
          },
        }),
    )
  })
}
