// What limits decide: the sentences of rules, all or nothing, plans, keys, shadow, refunds and penalties.
import { describe, expect, test, vi } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import type { Decision } from './decision.ts'
import { type LimitsOptions, limits } from './limits.ts'
import type { MadeDecision } from './made-decision.ts'
import type { Rule, Rules } from './rule/rule.ts'
import type { Subject } from './subject.ts'

function at(rules: Rules, options: Partial<LimitsOptions> = {}) {
  const clock = fakeClock()
  const all = limits({ rules, clock, ...options })
  /** How many of so many requests are allowed. */
  const allowed = (subject: Subject, times: number) =>
    Array.from({ length: times }, () => all.decide(subject)).filter((each) => each.allowed).length
  return { clock, limits: all, allowed }
}

const one = (rule: Rule, options?: Partial<LimitsOptions>) => at({ rule }, options)

describe('rules read like sentences', () => {
  test('at most 2 posts a second per user', async () => {
    const { clock, limits, allowed } = at({ posts: { atMost: 2, per: 'second', by: 'user' } })
    expect(allowed({ user: 'ada' }, 5)).toBe(2)
    expect(allowed({ user: 'ben' }, 1)).toBe(1)
    const refused = limits.decide({ user: 'ada' })
    expect(refused).toMatchObject({ outcome: 'reject', rule: 'posts', reason: 'over', retryAfterMs: 1_000 })
    await clock.advance(999)
    expect(allowed({ user: 'ada' }, 5)).toBe(0)
    await clock.advance(1)
    expect(allowed({ user: 'ada' }, 5)).toBe(2)
  })

  test('at most 10 accounts a day per address, however the address is written', async () => {
    const { clock, limits, allowed } = at({ accounts: { atMost: 10, per: 'day', by: 'address' } })
    expect(allowed({ address: '203.0.113.7' }, 4)).toBe(4)
    await clock.advance('1h')
    expect(allowed({ address: '::ffff:203.0.113.7' }, 4)).toBe(4)
    expect(allowed({ address: '64:ff9b::203.0.113.7' }, 4)).toBe(2)
    expect(limits.decide({ address: '203.0.113.7' }).retryAfterMs).toBe(23 * 3_600_000)
    // One client has all of a /64.
    expect(allowed({ address: '2001:db8:1:2::a' }, 8) + allowed({ address: '2001:db8:1:2::b' }, 8)).toBe(10)
    await clock.advance('23h')
    expect(allowed({ address: '203.0.113.7' }, 10)).toBe(4)
  })

  test('at most 5 rewards a week per device', async () => {
    const { clock, allowed } = at({ rewards: { atMost: 5, per: 'week', by: 'device' } })
    expect(allowed({ device: 'phone-1' }, 7)).toBe(5)
    await clock.advance(7 * 86_400_000 - 1)
    expect(allowed({ device: 'phone-1' }, 1)).toBe(0)
    await clock.advance(1)
    expect(allowed({ device: 'phone-1' }, 7)).toBe(5)
  })
})

describe('all or nothing', () => {
  test('what one rule refuses is counted in none', async () => {
    const { limits, allowed } = at({
      user: { atMost: 3, per: 'minute', by: 'user' },
      device: { capacity: 10, refill: 1, per: 'minute', by: 'device' },
      all: { atMost: 5, per: 'hour' },
    })
    expect(allowed({ user: 'ada', device: 'x' }, 9)).toBe(3)
    expect(
      limits
        .decide({ user: 'eva', device: 'x', cost: 0 })
        .states.map(({ rule, remaining }) => [rule, remaining]),
    ).toEqual([
      ['user', 3],
      ['device', 7],
      ['all', 2],
    ])
    expect(allowed({ user: 'ben', device: 'x' }, 9)).toBe(2)
    const refused = limits.decide({ user: 'ben', device: 'y' })
    expect([refused.rule, refused.retryAfterMs]).toEqual(['all', 3_600_000])
  })

  test('the longest of all refusals is the honest one', async () => {
    const { clock, limits, allowed } = at({
      short: { atMost: 1, per: 'second' },
      long: { atMost: 2, per: 'minute' },
    })
    allowed({}, 1)
    await clock.advance('1s')
    allowed({}, 1)
    await clock.advance(300)
    const refused = limits.decide({})
    expect([refused.rule, refused.retryAfterMs]).toEqual(['long', 58_700])
    await clock.advance(58_700)
    expect(limits.decide({}).allowed).toBe(true)
  })

  test('a cost above the bound is refused for ever, and says so', () => {
    const { limits } = one({ capacity: 20, refill: 5, per: 'second', cost: 'megabytes' })
    expect(limits.decide({ megabytes: 21 })).toMatchObject({
      outcome: 'reject',
      reason: 'cost',
      retryAfterMs: Infinity,
    })
    expect(limits.decide({ megabytes: 19.2 }).states[0]).toMatchObject({
      remaining: 0,
      nextMs: 200,
      resetMs: 4_000,
    })
    expect(() => limits.decide({ megabytes: Number.NaN })).toThrow(/costs NaN|costs null/)
    expect(() => limits.decide({ megabytes: -1 })).toThrow(/Rule rule: a request costs -1/)
  })
})

describe('who is bounded', () => {
  test('plans share a bucket: who changes keeps what was counted', () => {
    const { limits, allowed } = one({ atMost: { free: 3, pro: 10 }, per: 'minute', by: 'user' })
    expect(allowed({ user: 'ada', plan: 'pro' }, 5)).toBe(5)
    expect(allowed({ user: 'ada', plan: 'free' }, 5)).toBe(0)
    expect(allowed({ user: 'ada', plan: 'pro' }, 9)).toBe(5)
    // Whatever is not named has the smallest.
    expect(allowed({ user: 'ben', plan: 'gold' }, 9)).toBe(3)
    expect(limits.decide({ user: 'eva' }).states[0]).toMatchObject({ limit: 3, remaining: 2 })
  })

  test('endpoints by name, with * for any characters', () => {
    const { allowed } = one({ atMost: 1, per: 'minute', on: ['POST /uploads', 'GET /users/*/posts'] })
    expect(allowed({ on: 'GET /' }, 3)).toBe(3)
    expect(allowed({}, 3)).toBe(3)
    expect(allowed({ on: 'GET /users/7/posts' }, 3)).toBe(1)
    expect(allowed({ on: 'POST /uploads' }, 3)).toBe(0)
    expect(allowed({ on: 'GET /users/7/posts/1' }, 3)).toBe(3)
  })

  test('pairs, headers and functions; no value reaches into the next', () => {
    const pair = one({ atMost: 1, per: 'minute', by: ['user', { header: 'X-Device' }] })
    expect(pair.allowed({ user: 'a', headers: { 'x-device': 'b' } }, 2)).toBe(1)
    expect(pair.allowed({ user: 'a1:b', headers: {} }, 2)).toBe(1)
    expect(pair.allowed({ user: 'a', headers: { 'x-device': 'c' } }, 2)).toBe(1)
    expect(pair.allowed({ user: 'a1:b', headers: { 'x-device': '' } }, 1)).toBe(0)
    const tenant = one(
      { atMost: 1, per: 'minute', by: 'tenant' },
      { keys: { tenant: ({ user }) => String(user).split('@')[1] } },
    )
    expect(tenant.allowed({ user: 'a@x' }, 1) + tenant.allowed({ user: 'b@x' }, 1)).toBe(1)
    // Whoever writes no types gives what he has.
    const number = { tenant: ({ cost = 0 }) => (cost > 1 ? cost : null) } as unknown as LimitsOptions['keys']
    const loose = one({ atMost: 9, per: 'minute', by: 'tenant', missing: 'skip' }, { keys: number! })
    expect([{ cost: 5 }, { cost: 6 }, {}].map((subject) => loose.allowed(subject, 2))).toEqual([1, 1, 2])
  })

  test('a subject without the value shares, passes or is refused', () => {
    const rule = { atMost: 2, per: 'minute', by: 'user' } as const
    expect(one(rule).allowed({}, 5)).toBe(2)
    expect(one({ ...rule, missing: 'skip' }).allowed({ user: '' }, 5)).toBe(5)
    const refusing = one({ ...rule, missing: 'reject' })
    expect(refusing.limits.decide({})).toMatchObject({
      outcome: 'reject',
      reason: 'missing',
      retryAfterMs: Infinity,
    })
    expect(refusing.allowed({ user: 'ada' }, 5)).toBe(2)
  })

  test('exceptions by value and by range, however the address is written', () => {
    const byAddress = one({ atMost: 1, per: 'day', by: 'address', except: ['10.0.0.0/8', '2001:db8::/32'] })
    expect(byAddress.allowed({ address: '::ffff:10.1.2.3' }, 5)).toBe(5)
    expect(byAddress.allowed({ address: '2001:db8::1' }, 5)).toBe(5)
    expect(byAddress.allowed({ address: '11.0.0.1' }, 5)).toBe(1)
    const byUser = one({ atMost: 1, per: 'day', by: 'user', except: ['monitor'] })
    expect(byUser.allowed({ user: 'monitor' }, 5)).toBe(5)
    expect(byUser.allowed({ user: 'monitor2' }, 5)).toBe(1)
  })

  test('calendar days go by the wall clock of a zone', async () => {
    // 1 January 2026, 00:00 UTC is one o'clock in Berlin.
    const { clock, limits, allowed } = one({
      atMost: 3,
      per: 'day',
      window: 'calendar',
      timeZone: 'Europe/Berlin',
    })
    expect(allowed({}, 5)).toBe(3)
    expect(limits.decide({}).retryAfterMs).toBe(23 * 3_600_000)
    await clock.advance('23h')
    expect(allowed({}, 5)).toBe(3)
  })
})

test('a rule in shadow decides and counts, and refuses nothing', () => {
  const { limits, allowed } = at({
    tried: { atMost: 2, per: 'minute', by: 'user', shadow: true },
    real: { atMost: 4, per: 'minute', by: 'user' },
  })
  expect(allowed({ user: 'ada' }, 3)).toBe(3)
  const last = limits.decide({ user: 'ada' })
  expect([last.allowed, last.shadowed]).toEqual([true, ['tried']])
  expect(limits.decide({ user: 'ada' }).rule).toBe('real')
  expect(limits.counts()).toMatchObject([
    { rule: 'tried', allowed: 2, refused: 3 },
    { rule: 'real', allowed: 4, refused: 1 },
  ])
})

describe('afterwards', () => {
  test.each<[string, Rule]>([
    ['log', { atMost: 3, per: 'minute', by: 'user' }],
    ['sliding window', { atMost: 100, per: 'minute', by: 'user', cost: 33 }],
    ['token bucket', { capacity: 3, refill: 3, per: 'minute', by: 'user' }],
    ['window of a key', { atMost: 3, per: 'minute', window: 'key', by: 'user' }],
    ['calendar', { atMost: 3, per: 'hour', window: 'calendar', by: 'user' }],
  ])('%s: what is refunded can be taken again, once', (_, rule) => {
    const { limits, allowed } = one(rule)
    const subject = { user: 'ada' }
    const [first] = [limits.decide(subject), limits.decide(subject), limits.decide(subject)]
    expect(allowed(subject, 1)).toBe(0)
    first!.refund()
    first!.refund()
    expect(allowed(subject, 2)).toBe(1)
    limits.decide(subject).refund()
    expect(allowed(subject, 1)).toBe(0)
  })

  test('a penalty goes below nothing, as far as the limit', async () => {
    const { clock, limits, allowed } = one({ capacity: 4, refill: 1, per: 'second', by: 'user' })
    limits.decide({ user: 'ada' }).penalize(6)
    expect(limits.decide({ user: 'ada' }).retryAfterMs).toBe(4_000)
    limits.penalize({ user: 'ada' }, 1_000)
    expect(limits.decide({ user: 'ada' }).retryAfterMs).toBe(5_000)
    await clock.advance('5s')
    expect(allowed({ user: 'ada' }, 2)).toBe(1)
  })

  test('atOnce is held until it is released, once', () => {
    const { limits, allowed } = at({ reports: { atOnce: 2, by: 'user' }, all: { atMost: 9, per: 'day' } })
    const subject = { user: 'ada' }
    const held = [limits.decide(subject), limits.decide(subject)]
    expect(limits.decide(subject)).toMatchObject({
      outcome: 'reject',
      rule: 'reports',
      retryAfterMs: Infinity,
    })
    held[0]!.release()
    held[0]!.release()
    expect(allowed(subject, 2)).toBe(1)
    {
      using last = held[1]!
      expect(last.states[1]).toMatchObject({ rule: 'all', remaining: 6 })
    }
    expect(allowed(subject, 2)).toBe(1)
  })
})

test('what a decision found is told as long as nothing came between, and else what stands there', async () => {
  const { clock, limits } = one({ atMost: 9, per: 'minute', by: 'user' })
  const found = (decision: Decision) => (decision as MadeDecision).statesFound[0]?.remaining
  const first = limits.decide({ user: 'ada' })
  expect(found(first)).toBe(8)
  const ada = limits.decide({ user: 'ada' })
  expect(found(first)).toBe(7)
  limits.decide({ user: 'ben' })
  expect(found(ada)).toBe(7)
  const penalized = limits.decide({ user: 'ada' })
  penalized.penalize(2)
  expect(found(penalized)).toBe(4)
  const last = limits.decide({ user: 'ada' })
  await clock.advance('1m')
  expect(last.states[0]).toMatchObject({ remaining: 9 })
})

test('fake timers of a test runner are gone by', () => {
  vi.useFakeTimers()
  try {
    const posts = limits({ rules: { posts: { atMost: 1, per: 'second' } } })
    const allowed = () => posts.decide({}).allowed
    expect([allowed(), allowed()]).toEqual([true, false])
    vi.advanceTimersByTime(1_000)
    expect([allowed(), allowed()]).toEqual([true, false])
  } finally {
    vi.useRealTimers()
  }
})

test('what a function gives as a key is a text or a number, and else said', () => {
  const given = (team: unknown) => ({ team }) as unknown as Subject
  const team = (subject: Subject) => subject.team as unknown as string
  for (const by of ['team', team] as const) {
    const gate = limits({ rules: { a: { atMost: 1, per: 'day', by } }, keys: { team } })
    const allowed = (value: unknown) => gate.decide(given(value)).allowed
    expect([1, 2, 1, '2', '', null].map(allowed)).toEqual([true, true, false, false, true, false])
    expect(() => gate.decide(given({ id: 1 }))).toThrow(/gave \{"id":1\}/)
  }
})
