// One of several processes that take from three buckets at once, which are on three nodes of a cluster. It tells of each that it was allowed, and ends with
// its parent.
import { once } from 'node:events'
import { redis } from '../../src/engines/redis/engine.ts'

/** Their slots are 15495, 3300 and 7365: one on each of three nodes. */
export const names = ['{a} scarce', '{b} scarce', '{c} scarce']
/** Once and for all: its window is a day from the first on. */
export const scarce = { kind: 'fixed-window', limit: 1_000_000, perUs: 86_400_000_000 } as const
export const inFlight = 6

/** How many more were allowed. */
export type Told = 'ready' | number

async function hammer(url: string): Promise<void> {
  const engine = await redis({ url, timeoutMs: 2_000 })
  const asks = names.map((bucket) => ({ bucket, algorithm: scarce, used: 0, cost: 1, hold: 0 }))
  process.send!('ready' satisfies Told)
  await once(process, 'message')
  let over = false
  process.once('message', () => {
    over = true
  })
  const one = async () => {
    while (!over) {
      const [verdict] = await engine.limit!.exchange([{ holder: `p${process.pid}`, leaseMs: 1_000, asks }])
      if (verdict!.allowed) process.send!(1 satisfies Told)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  await engine.close()
  process.disconnect()
}

process.on('disconnect', () => process.exit())
if (import.meta.main) await hammer(process.argv[2]!)
