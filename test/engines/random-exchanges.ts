// A store at times that are chosen against the arithmetic of `core/bucket`: years, steps back, numbers near 2^53, and algorithms that follow each other on one
// bucket, as they do when rules are read anew. The same at each run.
import { expect } from 'vitest'
import { boundOf, type StoredAlgorithm } from '../../src/core/bucket/algorithm.ts'
import { exchange, freshBucket, type SharedBucket } from '../../src/core/bucket/exchange.ts'
import { logOf } from '../../src/core/bucket/log.ts'
import { slidingWindow } from '../../src/core/bucket/sliding-window.ts'
import { tokenBucket, tokenBucketsOf } from '../../src/core/bucket/token-bucket.ts'
import type { LimitExchange, LimitVerdict } from '../../src/ports/limit.ts'
import { wholeChance } from '../../src/testing/conformance/sample.ts'

const secondUs = 1_000_000
const yearUs = 365 * 86_400 * secondUs
/** In 2020: before the time of any server. */
const noon = 1_600_000_000 * secondUs

const algorithms: readonly ((nowUs: number) => StoredAlgorithm)[] = [
  () => tokenBucket(10, 3, 7 * secondUs)!,
  () => tokenBucket(2 ** 18, 1, 2 ** 32)!,
  // It holds 2^52 units.
  () => tokenBucket(4_096, 1_021, 2 ** 40)!,
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
  () => slidingWindow(1_000_000_000_000, 100 * yearUs),
  () => ({ kind: 'fixed-window', limit: 9, perUs: 11 * secondUs }),
  (nowUs) => ({ kind: 'calendar-window', limit: 9, endUs: (Math.floor(nowUs / 5e6) + 1) * 5e6 }),
  () => ({ kind: 'concurrency', limit: 8 }),
  () => ({ kind: 'ban', limit: 4, withinUs: 20 * secondUs, forUs: 3 * secondUs, upToUs: 60 * secondUs }),
]

/** `decide` asks the store at a time; `buckets` names what no other run asks. A store that keeps no time of a bucket is never asked at an earlier one. */
export async function compareWithArithmetic(
  decide: (requests: readonly LimitExchange[], nowUs: number) => Promise<readonly LimitVerdict[]>,
  {
    steps,
    seed = 1,
    buckets = 'b',
  }: { readonly steps: number; readonly seed?: number; readonly buckets?: string },
): Promise<void> {
  const random = wholeChance(seed)
  const model = new Map<string, SharedBucket & { seenUs: number }>()
  let nowUs = noon
  for (let step = 0; step < steps; step++) {
    nowUs += [0, 1, 1_000, random(9) * secondUs, random(90) * secondUs, -random(20) * secondUs][random(6)]!
    if (random(60) === 0) nowUs += random(30) * 86_400 * secondUs
    const requests = Array.from({ length: 1 + random(3) }, () => randomRequest(random, nowUs, buckets))
    const verdicts = await decide(requests, nowUs)
    for (const [index, request] of requests.entries()) {
      const kept = request.asks.map(({ bucket, algorithm }) => {
        const one = model.get(bucket) ?? { ...freshBucket(algorithm), seenUs: 0 }
        model.set(bucket, one)
        return one
      })
      const seenUs = Math.max(nowUs, ...kept.map((bucket) => bucket.seenUs))
      for (const bucket of kept) bucket.seenUs = seenUs
      const expected = exchange(kept, request, seenUs)
      expect(verdicts[index], `seed ${seed}, step ${step}: ${JSON.stringify(request)}`).toEqual(expected)
    }
  }
}

function randomRequest(random: (below: number) => number, nowUs: number, name: string): LimitExchange {
  return {
    holder: `h${random(3)}`,
    leaseMs: 1 + random(20_000),
    asks: Array.from({ length: 4 }, (_, bucket) => bucket)
      .filter(() => random(2) === 0)
      .concat(4)
      .map((bucket) => {
        // Mostly the same, so that a bucket lives for a while.
        const algorithm =
          algorithms[random(12) === 0 ? random(algorithms.length) : (bucket * 3 + 1) % algorithms.length]!(
            nowUs,
          )
        const units = () => random(random(4) === 0 ? 2 * boundOf(algorithm) : 4)
        const isHeld = algorithm.kind === 'concurrency'
        return {
          bucket: `${name}${bucket}`,
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
