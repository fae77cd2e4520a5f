// The arithmetic in PL/pgSQL against that of `core/bucket`, at times that are chosen: years, steps back, and algorithms that follow each other on one bucket.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Algorithm, boundOf } from '../../src/core/bucket/algorithm.ts'
import { exchange, freshBucket, type SharedBucket } from '../../src/core/bucket/exchange.ts'
import { logOf } from '../../src/core/bucket/log.ts'
import { slidingWindow } from '../../src/core/bucket/sliding-window.ts'
import { tokenBucket, tokenBucketsOf } from '../../src/core/bucket/token-bucket.ts'
import { checkOut, createPool, type OwnPool, type PgResult } from '../../src/engines/postgres/client.ts'
import { engineTables } from '../../src/engines/postgres/engine-tables.ts'
import {
  type ExchangeRow,
  exchangeText,
  exchangeValues,
  verdictsOf,
} from '../../src/engines/postgres/limit-call.ts'
import { migrate } from '../../src/engines/postgres/migrations.ts'
import type { LimitExchange } from '../../src/ports/limit.ts'
import { embeddedPostgres, type RunningServer, systemPostgres } from '../servers/index.ts'

const secondUs = 1_000_000
const yearUs = 365 * 86_400 * secondUs
const noon = 1_600_000_000 * secondUs
const steps = 250

const algorithms: readonly ((nowUs: number) => Algorithm)[] = [
  () => tokenBucket(10, 3, 7 * secondUs)!,
  () => tokenBucket(2 ** 18, 1, 2 ** 32)!,
  // What a plan's numbers are to another's.
  ...tokenBucketsOf(
    [
      { capacity: 5, refill: 7 },
      { capacity: 90, refill: 11 },
    ],
    60 * secondUs,
  )!.map((bucket) => () => bucket),
  () => tokenBucket(30_000, 1, yearUs / 1_000)!,
  () => logOf(7, 10 * secondUs),
  () => logOf(3, 10 * secondUs, 7),
  () => slidingWindow(70, 13 * secondUs),
  () => ({ kind: 'fixed-window', limit: 9, perUs: 11 * secondUs }),
  (nowUs) => ({ kind: 'calendar-window', limit: 9, endUs: (Math.floor(nowUs / 5e6) + 1) * 5e6 }),
  () => ({ kind: 'concurrency', limit: 8 }),
]

describe.each([systemPostgres, embeddedPostgres])('$name', (launcher) => {
  let server: RunningServer | undefined
  let pool: OwnPool | undefined
  beforeAll(async () => {
    if ((await launcher.missing()) !== undefined) return
    server = await launcher.start()
    pool = await createPool({ url: server.url, size: 1 })
    const client = await checkOut(pool)
    await migrate(client, 'spillway', engineTables)
    client.release()
  })
  afterAll(async () => {
    await pool?.end()
    await server?.stop()
  })

  test('answers as the arithmetic does, to the last unit', async ({ skip }) => {
    if (pool === undefined) skip('there is no such server here')
    const random = generator(1)
    const model = new Map<string, SharedBucket & { seenUs: number }>()
    let nowUs = noon
    for (let step = 0; step < steps; step++) {
      nowUs += [0, 1, 1_000, random(9) * secondUs, random(90) * secondUs, -random(20) * secondUs][random(6)]!
      if (random(60) === 0) nowUs += random(30) * 86_400 * secondUs
      const requests = Array.from({ length: 1 + random(3) }, () => randomRequest(random, nowUs))
      const result = await pool!.query({
        text: exchangeText('"spillway"'),
        values: exchangeValues(requests, nowUs),
      })
      const verdicts = verdictsOf(requests, (result as PgResult<ExchangeRow>).rows[0]!)
      for (const [index, request] of requests.entries()) {
        const buckets = request.asks.map(({ bucket, algorithm }) => {
          const kept = model.get(bucket) ?? { ...freshBucket(algorithm), seenUs: 0 }
          model.set(bucket, kept)
          return kept
        })
        const seenUs = Math.max(nowUs, ...buckets.map((bucket) => bucket.seenUs))
        for (const bucket of buckets) bucket.seenUs = seenUs
        const expected = exchange(buckets, request, seenUs)
        expect(verdicts[index], `step ${step}: ${JSON.stringify(request)}`).toEqual(expected)
      }
    }
  })
})

function randomRequest(random: (below: number) => number, nowUs: number): LimitExchange {
  return {
    holder: `h${random(3)}`,
    leaseMs: 1 + random(20_000),
    asks: Array.from({ length: 4 }, (_, bucket) => bucket)
      .filter(() => random(2) === 0)
      .concat(4)
      .map((bucket) => {
        // Mostly the same, so that a bucket lives for a while.
        const algorithm =
          algorithms[random(12) === 0 ? random(algorithms.length) : (bucket * 2 + 1) % algorithms.length]!(
            nowUs,
          )
        const units = () => random(random(4) === 0 ? 2 * boundOf(algorithm) : 4)
        const isHeld = algorithm.kind === 'concurrency'
        return {
          bucket: `b${bucket}`,
          algorithm,
          used: random(4),
          cost: units(),
          hold: units(),
          ...(isHeld || random(6) > 0 ? {} : { penalty: units() }),
          ...(isHeld || random(6) > 0
            ? {}
            : { refund: { units: units(), takenUs: Math.max(0, nowUs - random(3) * secondUs) } }),
        }
      }),
  }
}

/** Numbers by chance that are the same at each run. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
