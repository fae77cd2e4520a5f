// What is exported for Envoy: by the arithmetic of its buckets no window ever has more than is said; and a real Envoy takes it, and keeps it.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { toEnvoy } from '../../src/limit/export/envoy.ts'
import { guaranteeOf } from '../../src/limit/guarantee.ts'
import { checkRules } from '../../src/limit/rule/read-rules.ts'
import type { Rule, Rules } from '../../src/limit/rule/rule.ts'
import { envoy } from '../servers/index.ts'
import { asking } from './burst.ts'

interface Bucket {
  readonly max_tokens: number
  readonly tokens_per_fill: number
  readonly fill_interval: string
}
interface Filter {
  readonly name: string
  readonly typed_config: { readonly descriptors: readonly { readonly token_bucket: Bucket }[] }
}

const exported = (rules: Rules) => toEnvoy(checkRules(rules), { keys: { user: 'x-user' }, plan: 'x-plan' })
const filtersOf = (rules: Rules) => parse(exported(rules).text) as readonly Filter[]

const whole = (min: number, max: number) => fc.integer({ min, max })
const per = fc.constantFrom('second', 'minute', '10s', '700ms', '20ms', 'week') as fc.Arbitrary<'second'>
const rules = fc.oneof<fc.Arbitrary<Rule>[]>(
  fc.tuple(whole(1, 90), per).map(([atMost, per]) => ({ atMost, per })),
  fc.tuple(whole(4, 40), whole(1, 200), per, whole(1, 3)).map(([capacity, refill, per, cost]) => ({
    capacity,
    refill,
    per,
    cost,
  })),
  fc.tuple(whole(1, 50), per).map(([pace, per]) => ({ pace, per })),
)

/** The most in any window [t, t + windowMs) of who takes all that there is as soon as it is there, a few at a time. */
function greedy(
  { max_tokens, tokens_per_fill, fill_interval }: Bucket,
  windowMs: number,
  pauses: readonly number[],
) {
  const perMs = tokens_per_fill / (Number(fill_interval.slice(0, -1)) * 1_000)
  let tokens = max_tokens
  let now = 0
  const times: number[] = []
  for (const pause of pauses) {
    now += (pause * windowMs) / 97
    tokens = Math.min(max_tokens, tokens + ((pause * windowMs) / 97) * perMs)
    for (; tokens >= 1; tokens -= 1) times.push(now)
  }
  let most = 0
  for (let from = 0, to = 0; from < times.length; from++) {
    while (to < times.length && times[to]! < times[from]! + windowMs) to += 1
    most = Math.max(most, to - from)
  }
  return most
}

test('by the arithmetic of its buckets no window has more than is said, and that is no more than the rule', () => {
  const check = (more: number) =>
    fc.property(
      rules,
      fc.array(whole(1, 60), { minLength: 40, maxLength: 120, size: 'max' }),
      (rule, pauses) => {
        const [report] = exported({ rule }).rules
        const { windowMs, most, ruleMost } = report!.bounds[0]!
        assert.ok(most <= ruleMost, `${most}, and the rule ${ruleMost}`)
        const cost = typeof rule.cost === 'number' ? rule.cost : 1
        assert.equal(ruleMost, Math.floor(guaranteeOf(rule)[0]!.most / cost))
        const [filter] = filtersOf({ rule })
        const bucket = filter!.typed_config.descriptors[0]!.token_bucket
        assert.ok(Number(bucket.fill_interval.slice(0, -1)) >= 0.05)
        const found = greedy({ ...bucket, max_tokens: bucket.max_tokens + more }, windowMs!, pauses)
        assert.ok(found <= most, `${found} in ${windowMs} ms, and ${most} are said`)
      },
    )
  fc.assert(check(0), { numRuns: 150, seed: 11 })
  expect(fc.check(check(1), { numRuns: 150, seed: 11 }).failed).toBe(true)
})

test('what Envoy cannot hold is said, and is not exported', () => {
  const { text, rules } = exported({
    quota: { atMost: 1_000, per: 'day', window: 'calendar' },
    first: { atMost: 10, per: 'minute', window: 'key' },
    uploads: { capacity: 20, refill: 5, per: 'second', cost: 'megabytes' },
    devices: { atMost: 5, per: 'second', by: 'device' },
    calls: { atMost: 5, per: 'second', on: 'orders.place' },
    odd: { atMost: 5, per: 'second', on: 'GET /ü' },
    known: { atMost: 5, per: 'second', by: { header: 'x-known' }, missing: 'reject' },
    own: { atMost: 5, per: 'second', by: () => 'x' },
    long: { atMost: 5, per: 'second', on: ['GET /a', `GET /${'users/*/'.repeat(7)}`] },
    huge: { atMost: 10_000_000_000, per: 'day' },
    reports: { atOnce: 4 },
    mails: { pace: 5, per: 'second' },
    logins: { atMost: 5, per: 'minute', by: 'address', ban: { after: 3, for: '1m' }, except: ['10.0.0.0/8'] },
    accounts: { atMost: 10, per: 'day', by: 'address' },
  })
  expect(rules.map(({ rule, held, lost }) => [rule, held, lost[0]])).toEqual([
    ['quota', 'not', expect.stringMatching(/window of the calendar/)],
    ['first', 'not', expect.stringMatching(/first request/)],
    ['uploads', 'not', expect.stringMatching(/what each costs/)],
    ['devices', 'not', expect.stringMatching(/--key device=<header>/)],
    ['calls', 'not', expect.stringMatching(/sees no calls/)],
    ['odd', 'not', expect.stringMatching(/letters of ASCII/)],
    ['known', 'not', expect.stringMatching(/missing: reject/)],
    ['own', 'not', expect.stringMatching(/function/)],
    ['long', 'not', expect.stringMatching(/on: GET \/users.*larger than Envoy takes/)],
    ['huge', 'not', expect.stringMatching(/4294967295 tokens/)],
    ['reports', 'not', expect.stringMatching(/atOnce/)],
    ['mails', 'partly', expect.stringMatching(/nobody wait/)],
    ['logins', 'partly', expect.stringMatching(/bans nobody/)],
    ['accounts', 'whole', undefined],
  ])
  expect((parse(text) as Filter[]).map(({ name }) => name)).toEqual([
    'spillway.mails',
    'spillway.logins',
    'spillway.accounts',
  ])
  expect(parse(exported({}).text)).toEqual([])
})

const missing = await envoy.missing()

describe.skipIf(missing !== undefined)(
  `a real Envoy${missing === undefined ? '' : `, skipped: ${missing}`}`,
  () => {
    async function behind(rules: Rules) {
      const server = await envoy.start({ filters: filtersOf(rules) })
      onTestFinished(() => server.stop())
      const { allowed } = asking(server.url, {
        user: 'x-user',
        device: 'x-device',
        plan: 'x-plan',
        from: 'x-forwarded-for',
      })
      return allowed
    }

    test('a burst gets no more than is said: by user, address, endpoint and plan', {
      timeout: 90_000,
    }, async () => {
      const allowed = await behind({
        posts: {
          atMost: 6,
          per: 'hour',
          by: 'user',
          // Together larger than Envoy takes in one expression.
          on: [
            'POST /posts',
            'PUT /posts/*',
            ...['a', 'b', 'c'].map((each) => `* /api/v1/${each}/posts/*`),
            `POST /${'-/'.repeat(4)}`,
          ],
        },
        accounts: { atMost: 10, per: 'day', by: 'address', on: 'POST /accounts' },
        pairs: {
          atMost: 4,
          per: 'week',
          by: ['user', { header: 'x-device' }],
          missing: 'skip',
          on: '* /pairs',
        },
        search: {
          capacity: { free: 2, pro: 6, [`name ${'long '.repeat(30)}`]: 9 },
          refill: { free: 1, pro: 1, [`name ${'long '.repeat(30)}`]: 1 },
          per: 'hour',
          by: 'user',
          on: 'GET /search',
        },
        all: { capacity: 3, refill: 1, per: 'hour', on: 'GET /all' },
        trial: { atMost: 1, per: 'hour', shadow: true },
        'q.x-y': { atMost: 1, per: 'hour', on: 'GET /q:"\'$' },
      } as Rules)
      let got = 0
      for (const path of [
        '/posts',
        '/posts?a=1',
        '//posts/',
        '/POSTS',
        '/%70osts',
        '/x/../posts',
        '/posts%2f',
      ])
        got += await allowed(3, { user: 'ann', method: 'POST', path })
      got += await allowed(3, { user: 'ann', method: 'PUT', path: '/posts/1' })
      for (const each of ['a', 'b'])
        got += await allowed(3, { user: 'ann', method: 'PATCH', path: `/api/v1/${each}/posts/7` })
      // Half of it is there; the rest comes within the hour.
      expect(got).toBe(3)
      expect(await allowed(9, { user: 'bob', method: 'POST', path: '/posts' })).toBe(3)
      expect(await allowed(9, { user: 'ann', path: '/posts' })).toBe(9)
      // Who says nobody, or says nothing, shares a bucket with all such.
      const nobody = await allowed(6, { method: 'POST', path: '/posts' })
      expect(nobody + (await allowed(6, { user: '', method: 'POST', path: '/posts' }))).toBe(3)

      let network = 0
      for (const from of ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:2:a:b:c:d'])
        network += await allowed(3, { from, method: 'POST', path: '/accounts' })
      expect(network).toBe(5)
      expect(await allowed(9, { from: '2001:db8:1:3::1', method: 'POST', path: '/accounts' })).toBe(5)
      expect(await allowed(9, { from: '203.0.113.7', method: 'POST', path: '/accounts' })).toBe(5)

      expect(await allowed(9, { user: 'ann', device: 'phone', method: 'PATCH', path: '/pairs' })).toBe(2)
      expect(await allowed(9, { user: 'ann', device: 'watch', path: '/pairs' })).toBe(2)
      expect(await allowed(9, { user: 'ann', path: '/pairs' })).toBe(9)

      for (const [user, plan, most] of [
        ['p', 'pro', 6],
        ['f', 'free', 2],
        ['u', 'PRO', 2],
        ['n', '', 2],
      ] as const)
        expect([user, await allowed(9, { user, plan, path: '/search' })]).toEqual([user, most])
      expect(await allowed(9, { user: 'nobody', path: '/search' })).toBe(2)
      expect(await allowed(9, { path: '/all' })).toBe(3)
      // However its letters are written.
      expect(
        (await allowed(4, { path: '/%71:%22%27$' })) + (await allowed(4, { path: "/q%3a%22'$?x" })),
      ).toBe(1)
    })
  },
)
