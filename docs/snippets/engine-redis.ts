import { sharedLimits } from 'spillway/limit'
import { redis } from 'spillway/redis'

// By URL alone: redis://127.0.0.1?prefix={shop}
const { REDIS_URL = 'redis://127.0.0.1' } = process.env
const engine = await redis({ url: REDIS_URL, prefix: '{shop}', strict: true })
console.log(engine.durability.level) // power-loss: appendonly yes and appendfsync always

// What every process does: the same rules on the same server.
const rules = { reports: { atOnce: 2, away: 'closed' } } as const
const bounds = sharedLimits({ rules, store: engine.limit!, timeoutMs: 2_000 })
const report = await bounds.decide({}) // in any process, at most 2 at a time
console.log(report.allowed, report.states[0]?.remaining) // true 1
report.release()
await bounds.close()
await engine.close()
