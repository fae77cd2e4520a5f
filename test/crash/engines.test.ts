// A short run of the crash test on every engine with a server: members are killed and started, and the server once, while events are
// parked and let go of. The long form: npm run test:crash -- --server kafka --outages 5 --kills 100
import { describe, expect, test } from 'vitest'
import { kafka, type Launcher, nats, systemPostgres } from '../servers/index.ts'
import { crash } from './run.ts'

/** Whether the services keep their effects in the same PostgreSQL. */
const engines: readonly { readonly launcher: Launcher; readonly own?: true; readonly outages: number }[] = [
  // With it the databases of the services would be struck too, and the queries of the workers themselves.
  { launcher: systemPostgres, own: true, outages: 0 },
  { launcher: nats, outages: 1 },
  // It takes long to come back after a kill; `test/stream/faults.test.ts` waits for that.
  { launcher: kafka, outages: 0 },
]

for (const { launcher, own, outages } of engines) {
  const missing = await launcher.missing()
  describe.skipIf(missing !== undefined)(`${launcher.name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    test('rebalancing under kills: no effect twice, none lost, order per key', {
      timeout: 280_000,
    }, async () => {
      await using server = await launcher.start()
      const { verdict, findings, surprises } = await crash({
        kills: 4,
        outages,
        seed: 11,
        engine: server.url,
        ...(own ? { database: server.url } : {}),
        server,
        streamsOnly: true,
        small: true,
        victims: ['ledger', 'audit'],
        giveUpMs: 60_000,
      })
      expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
      expect(verdict.kills).toBe(4)
      expect(verdict.handled).toBe(verdict.sent)
    })
  })
}
