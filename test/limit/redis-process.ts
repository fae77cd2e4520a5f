// One of several processes that ask the same buckets of a Redis server as fast as they can: by decisions of one unit, and by leases that it uses up.
// It tells what it was allowed as it goes, and ends with its parent.
import { once } from 'node:events'
import { logOf } from '../../src/core/bucket/log.ts'
import { tokenBucket } from '../../src/core/bucket/token-bucket.ts'
import { redis } from '../../src/engines/redis/engine.ts'
import type { BucketAsk } from '../../src/ports/limit.ts'

export const perUs = 200_000
/** In any window of `perUs`. */
export const quick = { bucket: 'quick', algorithm: logOf(20, perUs) }
/** Once and for all: what comes back in a day does not count. */
export const scarce = { bucket: 'scarce', algorithm: tokenBucket(10_000, 1, 86_400_000_000)! }

export type Told = {
  readonly allowedUs: readonly number[]
  readonly used: number
  readonly is?: 'ready' | 'settled'
}

async function hammer(url: string): Promise<void> {
  const engine = await redis({ url, timeoutMs: 10_000 })
  const holder = `process ${process.pid}`
  let used = 0
  const ask = (more: Partial<BucketAsk>) => ({ used: 0, cost: 0, hold: 0, ...more })
  const exchange = async (asks: readonly BucketAsk[]) =>
    (await engine.limit!.exchange([{ holder, leaseMs: 1_000, asks }]))[0]!
  const decide = async () => {
    const { allowed, nowUs } = await exchange([{ ...quick, ...ask({ cost: 1 }) }])
    if (allowed) process.send!({ allowedUs: [nowUs], used: 0 } satisfies Told)
  }
  const lease = async (hold: number) => {
    const { buckets } = await exchange([{ ...scarce, ...ask({ used, hold }) }])
    // All of it is used at once, and told before it is settled.
    used = buckets[0]!.held
    if (used > 0) process.send!({ allowedUs: [], used } satisfies Told)
  }
  process.send!({ allowedUs: [], used: 0, is: 'ready' } satisfies Told)
  await once(process, 'message')
  let over = false
  process.once('message', () => {
    over = true
  })
  while (!over) await Promise.all([decide(), decide(), decide(), decide(), lease(2)])
  await lease(0)
  process.send!({ allowedUs: [], used: 0, is: 'settled' } satisfies Told)
  await engine.close()
  process.disconnect()
}

if (import.meta.main) await hammer(process.argv[2]!)
