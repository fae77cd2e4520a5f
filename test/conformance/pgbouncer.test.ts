// The conformance suites on PostgreSQL behind PgBouncer in transaction mode, with few sessions for many clients.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine-of.ts'
import {
  databaseSuite,
  engineSubject,
  groupSuite,
  limitSubject,
  limitSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { embeddedPostgres, pgbouncer, type RunningServer } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'
import { postgresSubject } from './postgres-subject.ts'

const missing = (await embeddedPostgres.missing()) ?? (await pgbouncer.missing())

describe('postgres behind pgbouncer', () => {
  let server: RunningServer | undefined
  let pooler: RunningServer | undefined
  beforeAll(async () => {
    if (missing !== undefined) return
    server = await embeddedPostgres.start()
    pooler = await pgbouncer.start({ behind: server })
  })
  afterAll(async () => {
    await pooler?.stop()
    await server?.stop()
  })
  const engines = { queue: queueSuite, stream: streamSuite, groups: groupSuite }
  certify(
    'engine',
    engines,
    async () => {
      const address = { engine: 'postgres', url: pooler!.url, listen: false } as const
      return engineSubject({
        openEngine: (options) => openAt(address, options),
        startMember: distantMembers(address),
      })
    },
    { missing },
  )
  certify(
    'limits',
    { limit: limitSuite },
    () =>
      limitSubject({
        async open() {
          const engine = await openAt({ engine: 'postgres', url: pooler!.url, listen: false })
          return { limit: engine.limit!, close: () => engine.close() }
        },
      }),
    { missing },
  )
  certify('database', { database: databaseSuite }, () => postgresSubject(pooler!.url, undefined, false), {
    missing,
  })

  test.skipIf(missing !== undefined)('the url says that there is a pooler', async () => {
    const url = `${pooler!.url}?listen=false`
    const [one, two] = [await openEngine(url), await openEngine(url)]
    await one.queue!.declare(['by-url'])
    await one.queue!.send('by-url', [{ id: 'a', body: '{}' }])
    const claimed = await two.queue!.claim('by-url', { limit: 2, leaseMs: 10_000, waitMs: 5_000 })
    expect(claimed.map(({ id }) => id)).toEqual(['a'])
    await Promise.all([one.close(), two.close()])
    await expect(openEngine(pooler!.url)).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('?listen=false'),
    })
    await expect(openEngine(`${pooler!.url}?listen=perhaps`)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  })
})
