// The programs that set an engine up run as they stand, against the real servers, and say what their comments say.
import { describe, expect, test } from 'vitest'
import { embeddedPostgres, kafka, type Launcher, nats, redis } from '../../test/servers/index.ts'
import { runSnippet } from '../run-snippet.ts'

interface Page {
  readonly says: string
  readonly launcher?: Launcher
  readonly variables?: (url: string) => Record<string, string>
}

const pages: Readonly<Record<string, Page>> = {
  sqlite: { says: 'power-loss\n1\n' },
  memory: { says: '1\n' },
  postgres: {
    says: 'power-loss\n1\n',
    launcher: embeddedPostgres,
    variables: (url) => ({ DATABASE_URL: url }),
  },
  kafka: { says: 'process\n/index.html\n', launcher: kafka, variables: (url) => ({ KAFKA_URL: url }) },
  nats: {
    says: 'power-loss\n1\n',
    launcher: nats,
    variables(url) {
      const [address = '', monitor = ''] = url.split('?monitor=')
      return { NATS_URL: address, NATS_MONITOR: monitor }
    },
  },
  redis: { says: 'power-loss\ntrue 1\n', launcher: redis, variables: (url) => ({ REDIS_URL: url }) },
}

for (const [engine, { says, launcher, variables }] of Object.entries(pages)) {
  const missing = await launcher?.missing()
  describe.skipIf(missing !== undefined)(`${engine}${missing === undefined ? '' : ` (${missing})`}`, () => {
    test('set up as its page says', { timeout: 120_000 }, async () => {
      await using server = await launcher?.start()
      const env = server && variables ? variables(server.url) : {}
      const ran = await runSnippet(`engine-${engine}`, { env, timeoutMs: 60_000 })
      expect(ran.status, ran.stderr).toBe(0)
      expect(ran.stdout).toBe(says)
    })
  })
}
