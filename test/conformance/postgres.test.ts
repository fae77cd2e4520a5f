// The conformance suites on PostgreSQL, the oldest that we take and the newest; the engine also as behind a pooler.
import { afterAll, beforeAll, describe } from 'vitest'
import {
  databaseSuite,
  type EngineSubject,
  engineSubject,
  engineSuite,
  groupSuite,
  type LimitSubject,
  limitSubject,
  limitSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { embeddedPostgres, pgbouncer, type RunningServer, systemPostgres } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'
import { certifyProcesses } from './limit-processes.ts'
import { postgresSubject } from './postgres-subject.ts'

const withoutPooler = (await pgbouncer.missing()) !== undefined

for (const launcher of [systemPostgres, embeddedPostgres]) {
  const missing = await launcher.missing()
  describe(launcher.name, () => {
    let server: RunningServer | undefined
    beforeAll(async () => {
      if (missing === undefined) server = await launcher.start({ settings: { max_connections: '300' } })
    })
    afterAll(() => server?.stop())
    const engines = { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }
    certify('engine', engines, () => engine(server!.url, true), { missing })
    // Where there is a pooler it is certified behind that (pgbouncer.test.ts).
    if (launcher === embeddedPostgres && withoutPooler)
      certify('engine without listening', engines, () => engine(server!.url, false), { missing })
    certify('limits', { limit: limitSuite }, () => limits(server!.url), { missing })
    describe.skipIf(missing !== undefined)('limits, several processes', () =>
      certifyProcesses(() => ({ engine: 'postgres', url: server!.url })),
    )
    certify('database', { database: databaseSuite }, () => postgresSubject(server!.url), { missing })
  })
}

function limits(url: string): Promise<LimitSubject> {
  return limitSubject({
    async open() {
      const opened = await openAt({ engine: 'postgres', url })
      return { limit: opened.limit!, close: () => opened.close() }
    },
  })
}

function engine(url: string, listen: boolean): Promise<EngineSubject> {
  const address = { engine: 'postgres', url, listen } as const
  return engineSubject({
    openEngine: (options) => openAt(address, options),
    startMember: distantMembers(address),
    retainsWithinMs: 10_000,
    compactsWithinMs: 20_000,
  })
}
