import { redis } from 'spillway/redis'

// By URL alone: redis://127.0.0.1?prefix={shop}
const { REDIS_URL = 'redis://127.0.0.1' } = process.env
const engine = await redis({ url: REDIS_URL, prefix: '{shop}', strict: true })
console.log(engine.durability.level) // power-loss: appendonly yes and appendfsync always
// At most 2 at a time, whoever asks, in any process.
const asked = {
  bucket: 'reports',
  algorithm: { kind: 'concurrency', limit: 2 },
  used: 0,
  cost: 1,
  hold: 0,
} as const
const [first] = await engine.limit!.exchange([{ holder: 'process-1', leaseMs: 30_000, asks: [asked] }])
console.log(first?.allowed, first?.buckets[0]?.available) // true 1
await engine.close()
