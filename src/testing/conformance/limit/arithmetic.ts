// Cases of the limit port: every store counts as the arithmetic of `core/bucket` does. A verdict tells the time at which it was decided: with
// it the arithmetic has to come to the same answers, all of them, exactly.
import assert from 'node:assert/strict'
import type { StoredAlgorithm } from '../../../core/bucket/algorithm.ts'
import { exchange, freshBucket, type SharedBucket } from '../../../core/bucket/exchange.ts'
import { logOf } from '../../../core/bucket/log.ts'
import { slidingWindow } from '../../../core/bucket/sliding-window.ts'
import { tokenBucket } from '../../../core/bucket/token-bucket.ts'
import type { BucketAsk, LimitExchange } from '../../../ports/limit.ts'
import { numbers, wholeChance } from '../sample.ts'
import { pass } from '../wait.ts'
import { freshBucketName, type LimitCase } from './bench.ts'

const perUs = 50_000
let declared = 0

/** Of each kind some that fill while a case runs, and some whose numbers are large. */
const algorithms: Readonly<Record<string, readonly (() => StoredAlgorithm)[]>> = {
  'token-bucket': [
    () => tokenBucket(20, 7, perUs)!,
    () => tokenBucket(1_000_000, 999_983, 1_000_000)!,
    () => tokenBucket(5, 1, 86_400_000_000)!,
    () => tokenBucket(100_000, 7, 3_600_000_000)!,
  ],
  log: [() => logOf(5, perUs), () => logOf(64, 120_000)],
  'sliding-window': [() => slidingWindow(100, 160_000), () => slidingWindow(1_000, 77_777)],
  'fixed-window': [() => ({ kind: 'fixed-window', limit: 10, perUs })],
  'calendar-window': [
    // The window of somebody's calendar, 40 ms long.
    () => ({ kind: 'calendar-window', limit: 10, endUs: (Math.floor(performance.now() / 40) + 1) * 40_000 }),
  ],
  concurrency: [() => ({ kind: 'concurrency', limit: 6 })],
  ban: [
    () => ({ kind: 'ban', limit: 4, withinUs: perUs, forUs: 5_000, upToUs: 60_000 }),
    // Declared anew each time, after as many offences as are counted already, or fewer.
    () => ({ kind: 'ban', limit: 2 + (declared++ % 4), withinUs: perUs, forUs: 5_000, upToUs: 60_000 }),
    () => ({ kind: 'ban', limit: 3, withinUs: 3_600_000_000, forUs: 7_001, upToUs: 86_400_000_000 }),
  ],
}

const steps = 60

function arithmeticCase(kind: string): LimitCase {
  return {
    id: `limit.arithmetic.${kind}`,
    title: `${kind}: what is taken, leased, settled, given back and penalised at random is answered as the arithmetic answers it`,
    requires: ['limit', 'one clock'],
    async run({ one, two }) {
      for (const make of algorithms[kind]!) {
        const random = wholeChance(make().kind.length + steps)
        const names = numbers(2).map(freshBucketName)
        const model = new Map<string, SharedBucket>()
        const told: string[] = []
        for (const step of numbers(steps)) {
          const requests = numbers(1 + random(2)).map(() => randomRequest(random, names, make(), model))
          const verdicts = await (step % 2 ? one : two).exchange(requests)
          for (const [index, request] of requests.entries()) {
            const buckets = request.asks.map(({ bucket, algorithm }) => {
              const kept = model.get(bucket) ?? freshBucket(algorithm)
              model.set(bucket, kept)
              return kept
            })
            told.push(JSON.stringify({ request, nowUs: verdicts[index]!.nowUs }))
            const expected = exchange(buckets, request, verdicts[index]!.nowUs)
            assert.deepEqual(verdicts[index], expected, `after ${told.slice(-12).join('\n')}`)
          }
          if (random(3) === 0) await pass(random(30))
        }
      }
    },
  }
}

function randomRequest(
  random: (below: number) => number,
  names: readonly string[],
  algorithm: StoredAlgorithm,
  model: ReadonlyMap<string, SharedBucket>,
): LimitExchange {
  const holder = `h${random(2)}`
  const most = 'limit' in algorithm ? algorithm.limit : algorithm.capacity
  const units = (): number =>
    random(3) === 0 ? random(Math.ceil(most / 2) + 1) : random(Math.min(4, most + 1))
  const isHeld = algorithm.kind === 'concurrency'
  return {
    holder,
    leaseMs: 1 + random(60),
    asks: names.slice(random(names.length)).map((bucket): BucketAsk => {
      const lease = model.get(bucket)?.leases.find((each) => each.holder === holder)
      return {
        bucket,
        algorithm,
        // Of concurrency more may be in use than was leased.
        used: isHeld ? random((lease?.units ?? 0) + 3) : lease ? random(lease.units + 1) : 0,
        cost: units(),
        hold: units(),
        ...(!isHeld && random(algorithm.kind === 'ban' ? 3 : 8) === 0 ? { penalty: units() } : {}),
        ...(!isHeld && random(6) === 0
          ? { refund: { units: 1 + random(2), takenUs: refundable(model.get(bucket)) } }
          : {}),
      }
    }),
  }
}

/** A time at which something may have been taken: what a bucket's numbers say. */
function refundable(bucket: SharedBucket | undefined): number {
  if (!bucket) return 1
  const { algorithm, numbers: all } = bucket
  if (algorithm.kind === 'log') return Math.max(0, (all.at(-1) ?? 0) - algorithm.perUs)
  return all.at(-1) ?? 0
}

export const arithmeticCases: readonly LimitCase[] = Object.keys(algorithms).map(arithmeticCase)
