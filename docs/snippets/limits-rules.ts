import { limits } from 'spillway/limit'

const bounds = limits({
  rules: {
    posts: { atMost: 2, per: 'second', by: 'user', on: 'POST /posts' },
    accounts: { atMost: 10, per: 'day', by: 'address', on: 'POST /accounts' },
    rewards: { atMost: 5, per: 'week', by: 'device', on: 'POST /rewards' },
    search: { atMost: { free: 10, pro: 1_000 }, per: 'minute', by: 'user', on: 'GET /search' },
    all: { capacity: 2_000, refill: 1_000, per: 'second' }, // everybody together, every endpoint
  },
})

// What is decided about: who asks for what. At a door this is made of the request.
const post = { user: 'ann', on: 'POST /posts', address: '203.0.113.7' }
for (let time = 1; time <= 3; time++) {
  const decision = bounds.decide(post) // synchronous: counted in every rule that bounds it, or in none
  const { outcome, rule, reason, retryAfterMs } = decision
  console.log(outcome, rule, reason, retryAfterMs > 0 && retryAfterMs <= 1_000)
}

const found = bounds.decide({ user: 'ann', on: 'GET /search', plan: 'pro' })
for (const { rule, limit, remaining } of found.states) console.log(rule, limit, remaining)
found.refund() // it failed here: as if it had not been asked

for (const { plan, text } of bounds.guarantees().get('search') ?? []) console.log(`${plan}: ${text}`)
