import { sharedLimits } from 'spillway/limit'
import { sqlite } from 'spillway/sqlite'

const rules = {
  accounts: { atMost: 3, per: 'day', by: 'address', away: 'closed' },
  pages: { capacity: 500, refill: 100, per: 'second', away: { share: 0.25 } },
} as const

// What each process does. For several machines: postgres(…) or redis(…).
const start = async () => {
  const engine = await sqlite({ path: './limits' })
  // A decision waits so long for the store; after that it is away.
  return { engine, bounds: sharedLimits({ rules, store: engine.limit!, timeoutMs: 10_000 }) }
}

const [one, other] = [await start(), await start()]
const visitor = { address: '203.0.113.7' }
const decisions = await Promise.all([one, other, one, other, one].map(({ bounds }) => bounds.decide(visitor)))
console.log(decisions.filter(({ allowed }) => allowed).length)

for (const { bounds, engine } of [one, other]) {
  await bounds.close() // gives back what it holds and has not used
  await engine.close()
}

const again = await start() // after a restart, or kill -9
console.log((await again.bounds.decide(visitor)).allowed)
await again.bounds.close()
await again.engine.close()
