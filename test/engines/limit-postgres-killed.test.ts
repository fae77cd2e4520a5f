// Limits on a PostgreSQL server that is killed in the middle of traffic and comes back: what is leased and taken is bounded afterwards.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { logOf } from '../../src/core/bucket/log.ts'
import { checkOut, createPool } from '../../src/engines/postgres/client.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { sharedLimits } from '../../src/limit/shared/shared-limits.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { BucketAsk, LimitExchange } from '../../src/ports/limit.ts'
import { embeddedPostgres, firstOf, type RunningServer, systemPostgres } from '../servers/index.ts'

const soon = { timeout: 40_000, interval: 100 }
const dayUs = 86_400_000_000
/** Nothing comes back while the test lasts. */
const scarce = { kind: 'fixed-window', limit: 1_000_000, perUs: dayUs } as const
const inFlight = 8

const [launcher, missing] = await firstOf(systemPostgres, embeddedPostgres)

describe.skipIf(missing !== undefined)(
  `${launcher.name}${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let server: RunningServer
    let engine: Engine
    beforeAll(async () => {
      server = await launcher.start()
      engine = await postgres({ url: server.url })
    }, 90_000)
    afterAll(async () => {
      await engine?.close()
      await server?.stop()
    })

    const request = (
      more: Partial<BucketAsk> & Pick<BucketAsk, 'bucket' | 'algorithm'>,
      leaseMs = 1_000,
    ): LimitExchange => ({ holder: 'h', leaseMs, asks: [{ used: 0, cost: 0, hold: 0, ...more }] })
    const exchange = async (asked: LimitExchange) => (await engine.limit!.exchange([asked]))[0]!

    /** From then on everything that was decided before is on the disk: the log is written in order. */
    async function written(): Promise<void> {
      const pool = await createPool({ url: server.url, size: 1 })
      const client = await checkOut(pool)
      await client.query({
        text: 'create table if not exists written (at int); insert into written values (1)',
        values: [],
      })
      client.release()
      await pool.end()
    }

    test('killed in the middle of traffic: what was written is kept, what is taken and leased stays within the rule', async () => {
      const log = logOf(10, dayUs)
      expect((await exchange(request({ bucket: 'taken', algorithm: log, cost: 7 }))).allowed).toBe(true)
      const leased = { bucket: 'leased', algorithm: scarce }
      const { buckets } = await exchange(request({ ...leased, hold: 1_000 }, 600_000))
      expect(buckets[0]!.held).toBe(1_000)
      const busy = { bucket: 'busy', algorithm: scarce, cost: 1 }
      for (let count = 0; count < 50; count++) await exchange(request(busy))
      await written()

      let [allowed, unanswered, over] = [0, 0, false]
      const askers = Array.from({ length: inFlight }, async () => {
        while (!over)
          try {
            if ((await exchange(request(busy))).allowed) allowed += 1
          } catch (thrown) {
            expect(thrown).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
            unanswered += 1
            await new Promise((resolve) => setTimeout(resolve, 50))
          }
      })
      await vi.waitFor(() => expect(allowed).toBeGreaterThan(100), soon)
      await server.kill()
      await vi.waitFor(() => expect(unanswered).toBeGreaterThanOrEqual(inFlight), soon)
      const before = allowed
      await server.restart()
      await vi.waitFor(() => expect(allowed).toBeGreaterThan(before + 100), soon)
      over = true
      await Promise.all(askers)

      const left = (await exchange(request({ bucket: 'busy', algorithm: scarce }))).buckets[0]!.available
      const taken = scarce.limit - left
      // Since it came back nothing was lost; before it was killed the last moments may be, and of what was under way nobody knows.
      expect(taken).toBeGreaterThanOrEqual(50 + (allowed - before))
      expect(taken).toBeLessThanOrEqual(50 + allowed + unanswered)
      expect((await exchange(request({ bucket: 'taken', algorithm: log, cost: 4 }))).allowed).toBe(false)
      expect((await exchange(request({ bucket: 'taken', algorithm: log, cost: 3 }))).allowed).toBe(true)
      // The lease is out as before, for its holder and for nobody else.
      const others = async () =>
        (await engine.limit!.exchange([{ ...request(leased), holder: 'other' }]))[0]!.buckets[0]!.available
      expect(await others()).toBe(scarce.limit - 1_000)
      await exchange(request({ ...leased, used: 400 }))
      expect(await others()).toBe(scarce.limit - 400)
    }, 120_000)

    test('rules go on: as they say while it is away, by the store when it is back', async () => {
      const limits = sharedLimits({
        rules: {
          wide: { capacity: 10_000, refill: 1, per: 'day', away: 'closed' },
          login: { atMost: 5, per: 'day', by: 'user', on: 'login', away: 'closed' },
        },
        store: engine.limit!,
        timeoutMs: 10_000,
      })
      const login = (user: string) => limits.decide({ user, on: 'login' })
      for (let count = 0; count < 5; count++) expect((await login('a')).allowed).toBe(true)
      expect((await login('b')).allowed).toBe(true)
      await written()
      await server.kill()
      await vi.waitFor(async () => expect(await login('c')).toMatchObject({ reason: 'away' }), soon)
      await server.restart()
      await vi.waitFor(async () => expect((await login('c')).allowed).toBe(true), soon)
      expect(await login('a')).toMatchObject({ allowed: false, reason: 'over' })
      let more = 0
      while ((await login('b')).allowed) more += 1
      expect(more).toBe(4)
      await limits.close()
    }, 120_000)
  },
)
