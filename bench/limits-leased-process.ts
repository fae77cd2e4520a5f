// One of the processes of `bench:redis-limits --processes`: decides about busy keys as fast as it can, when it is told to, by one system or another.
import { Redis } from 'ioredis'
import rateLimiterFlexible from 'rate-limiter-flexible'
import { redis as spillwayRedis } from '../src/engines/redis/engine.ts'
import { sharedLimits } from '../src/limit/shared/shared-limits.ts'

export type LeasedSystem = 'spillway' | 'rate-limiter-flexible'

export interface LeasedOrder {
  readonly system: LeasedSystem
  readonly ms: number
  readonly keys: number
  readonly inFlight: number
}

/** How many decisions were made, and in what time. */
export interface LeasedReport {
  readonly made: number
  readonly ms: number
}

/** Nothing is refused: a refusal is an exception there, and would be the dearer one. */
const most = 100_000_000
const hour = 3_600

async function deciders(
  url: string,
): Promise<Readonly<Record<LeasedSystem, (key: string) => Promise<unknown>>>> {
  const engine = await spillwayRedis({ url, timeoutMs: 10_000 })
  const limits = sharedLimits({
    rules: { busy: { capacity: most, refill: most, per: 'hour', by: 'user', away: 'closed' } },
    store: engine.limit!,
    timeoutMs: 10_000,
  })
  const peer = new rateLimiterFlexible.RateLimiterRedis({
    points: most,
    duration: hour,
    storeClient: new Redis(url),
    keyPrefix: 'peer',
  })
  return {
    async spillway(user) {
      if (!(await limits.decide({ user })).allowed) throw new Error('It was refused.')
    },
    'rate-limiter-flexible': (key) => peer.consume(key),
  }
}

async function measure(
  decide: (key: string) => Promise<unknown>,
  { ms, keys, inFlight }: LeasedOrder,
): Promise<LeasedReport> {
  let made = 0
  const start = performance.now()
  const end = start + ms
  const asker = async () => {
    // What is decided at once lets nothing else run: not a lease that is to be renewed either.
    while (performance.now() < end) {
      for (let count = 0; count < 100; count++) {
        await decide(`user-${(made * 7_919) % keys}`)
        made += 1
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, asker))
  return { made, ms: performance.now() - start }
}

const all = await deciders(process.argv[2]!)
process.on('disconnect', () => process.exit())
process.on('message', (order: LeasedOrder) => {
  measure(all[order.system], order).then(
    (report) => process.send!(report satisfies LeasedReport),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.send!('ready')
