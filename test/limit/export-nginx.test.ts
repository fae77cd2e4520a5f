// What is exported for nginx: by its documented algorithm no window ever has more than is said; and a real nginx takes it, and keeps it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Exported } from '../../src/limit/export/exported.ts'
import { toNginx } from '../../src/limit/export/nginx.ts'
import { guaranteeOf } from '../../src/limit/guarantee.ts'
import { checkRules } from '../../src/limit/rule/read-rules.ts'
import type { Rule, Rules } from '../../src/limit/rule/rule.ts'
import { nginx } from '../servers/index.ts'
import { asking } from './burst.ts'
import { letThrough, limitsIn, type NginxLimit } from './nginx-model.ts'

const options = { keys: { user: 'x-user' }, plan: 'x-plan' }
const exported = (rules: Rules): Exported => toNginx(checkRules(rules), options)

const whole = (min: number, max: number) => fc.integer({ min, max })
const per = fc.constantFrom('second', 'minute', '10s', '700ms', 'hour') as fc.Arbitrary<'second'>
const waiting = fc.constantFrom({}, { over: 'wait', line: 5 } as const)
const rules: Readonly<Record<string, fc.Arbitrary<Rule>>> = {
  atMost: fc.tuple(whole(1, 90), per, waiting).map(([atMost, per, wait]) => ({ atMost, per, ...wait })),
  bucket: fc
    .tuple(whole(1, 40), whole(1, 200), per, whole(1, 3), waiting)
    .map(([capacity, refill, per, cost, wait]) => ({ capacity: capacity + 3, refill, per, cost, ...wait })),
  pace: fc.tuple(whole(1, 50), per).map(([pace, per]) => ({ pace, per, line: 7 })),
}

/** The most in any window [t, t + windowMs). */
function mostIn(times: readonly number[], windowMs: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  let most = 0
  let to = 0
  for (const [from, time] of sorted.entries()) {
    while (to < sorted.length && sorted[to]! < time + windowMs) to += 1
    most = Math.max(most, to - from)
  }
  return most
}

/** Bursts, steady asking, and pauses, over a few windows. */
function traffic(steps: readonly number[], windowMs: number): number[] {
  let time = 1_000
  return steps.flatMap((step) => {
    time += step < 10 ? 0 : step < 20 ? step / 7 : step < 28 ? windowMs / (step * 3) : windowMs / 2
    return step % 5 === 0 ? [time, time, time, time] : [time]
  })
}

describe.each(Object.keys(rules))('%s', (form) => {
  test('by the algorithm of nginx no window has more than is said, and that is no more than the rule', () => {
    let held = 0
    const check = (counts: (limit: NginxLimit) => NginxLimit) =>
      fc.property(
        rules[form]!,
        fc.array(whole(0, 30), { minLength: 80, maxLength: 250, size: 'max' }),
        (rule, steps) => {
          const {
            text,
            rules: [report],
          } = exported({ rule })
          if (report!.held === 'not') return
          held += 1
          const limit = counts(limitsIn(text).get('spillway_rule')!)
          const [{ windowMs, most, ruleMost }] = report!.bounds as [Exported['rules'][0]['bounds'][0]]
          const waits = rule.over === 'wait' || 'pace' in rule
          const ours = Math.floor(
            guaranteeOf(rule)[0]!.most / (typeof rule.cost === 'number' ? rule.cost : 1),
          )
          assert.equal(ruleMost, ours)
          // Who waits is let go by a timer, and it is said.
          assert.ok(most <= ours + (waits && 'capacity' in rule ? 1 : 0), `${most}, and the rule ${ours}`)
          const found = mostIn(letThrough(limit, traffic(steps, windowMs!)), windowMs!)
          assert.ok(found <= most, `${found} let through in ${windowMs} ms, and ${most} are said`)
        },
      )
    fc.assert(
      check((limit) => limit),
      { numRuns: 150, seed: 7 },
    )
    expect(held).toBeGreaterThan(40)
    // The check sees one more in the burst.
    const faulty = fc.check(
      check((limit) => ({ ...limit, burst: limit.burst + 1, delay: limit.delay + 1 })),
      {
        numRuns: 150,
        seed: 7,
      },
    )
    expect(faulty.failed).toBe(true)
  })
})

test('what nginx cannot hold is said, and is not exported', () => {
  const { text, rules } = exported({
    accounts: { atMost: 10, per: 'day', by: 'address' },
    quota: { atMost: 1_000, per: 'day', window: 'calendar' },
    first: { atMost: 10, per: 'minute', window: 'key' },
    uploads: { capacity: 20, refill: 5, per: 'second', cost: 'megabytes' },
    devices: { atMost: 5, per: 'second', by: 'device' },
    calls: { atMost: 5, per: 'second', on: 'orders.place' },
    known: { atMost: 5, per: 'second', by: { header: 'x-known' }, missing: 'reject' },
    trial: { atMost: 5, per: 'second', shadow: true },
    own: { atMost: 5, per: 'second', by: () => 'x' },
    reports: { atOnce: 4, over: 'defer' },
    logins: { atMost: 5, per: 'minute', by: 'address', ban: { after: 3, for: '1m' } },
    fine: { atMost: 5, per: 'second', by: 'user' },
  })
  expect(rules.map(({ rule, held, lost }) => [rule, held, lost[0]])).toEqual([
    ['accounts', 'not', expect.stringMatching(/10 per day is too slow/)],
    ['quota', 'not', expect.stringMatching(/window of the calendar/)],
    ['first', 'not', expect.stringMatching(/first request/)],
    ['uploads', 'not', expect.stringMatching(/what each costs \(megabytes\)/)],
    ['devices', 'not', expect.stringMatching(/--key device=<header>/)],
    ['calls', 'not', expect.stringMatching(/nginx sees no calls/)],
    ['known', 'not', expect.stringMatching(/missing: reject/)],
    ['trial', 'not', expect.stringMatching(/limit_req_dry_run/)],
    ['own', 'not', expect.stringMatching(/function/)],
    ['reports', 'partly', expect.stringMatching(/over: defer/)],
    ['logins', 'partly', expect.stringMatching(/bans nobody/)],
    ['fine', 'whole', undefined],
  ])
  expect([...limitsIn(text).keys()]).toEqual(['spillway_logins', 'spillway_fine'])
  expect(text.match(/NOT HELD, rule (\w+)/g)).toHaveLength(9)
})

test('more at the same time than limit_conn counts to is as many as it does, and is said', () => {
  const { text, rules } = exported({ many: { atOnce: 100_000, by: 'user' } })
  expect(text).toContain('limit_conn spillway_many 65535;')
  expect(rules[0]).toMatchObject({ held: 'whole', bounds: [{ most: 65_535, ruleMost: 100_000 }] })
})

test('an excepted range of IPv4 is one, however it is written', () => {
  const except = ['::ffff:10.0.0.0/104', '2001:DB8:0::/32', '192.0.2.1']
  const { text } = exported({ few: { atMost: 5, per: 'second', by: 'address', except } })
  expect(text).toMatch(
    /geo \$spillway_few_except \{\s+default 0;\s+10\.0\.0\.0\/8 1;\s+2001:db8::\/32 1;\s+192\.0\.2\.1\/32 1;\s+\}/,
  )
})

const missing = await nginx.missing()

describe.skipIf(missing !== undefined)(
  `a real nginx${missing === undefined ? '' : `, skipped: ${missing}`}`,
  () => {
    const upstream = createServer()
    const answer = (_request: IncomingMessage, response: ServerResponse) => response.end('done')
    beforeAll(async () => {
      upstream.on('request', answer)
      upstream.listen(0, '127.0.0.1')
      await once(upstream, 'listening')
    })
    afterAll(() => upstream.close())

    /** Puts the rules in force and gives a way to ask. */
    async function behind(rules: Rules, workers = 1) {
      const { port } = upstream.address() as AddressInfo
      const server = await nginx.start({ fragment: exported(rules).text, upstream: port, workers })
      onTestFinished(() => server.stop())
      const { ask, allowed } = asking(server.url, { user: 'x-user', plan: 'x-plan', from: 'x-test-address' })
      return { ask, allowed, server }
    }

    test('takes every form, however rules, plans and headers are called', { timeout: 60_000 }, async () => {
      const { allowed } = await behind({
        posts: { atMost: 500, per: 'second', by: 'user', on: ['POST /posts', 'get /ünïcode/*/"x"', '*'] },
        'posts.2': {
          capacity: 500,
          refill: 100,
          per: 'second',
          by: ['address', 'user', { header: 'X-Device' }],
        },
        'posts-2': { pace: 1_000, per: 'second', line: 50, by: 'user', missing: 'skip' },
        both: { capacity: 200, refill: 50, per: 'second', over: 'wait', line: 9 },
        plans: {
          atMost: { 'free "tier"': 600, 'p$o\\': 900 },
          per: 'second',
          by: { address: { prefix6: 52, prefix4: 20 } },
        },
        // Longer than names of variables and of captures may be, and alike as far as they may.
        [`created${'_for_each_account'.repeat(4)}`]: { atMost: 500, per: 'second', by: 'user', on: '*' },
        [`created${'_for_each_account'.repeat(5)}`]: {
          atMost: 500,
          per: 'second',
          by: [{ header: 'x-goog-authenticated-user-email-of-a-proxy' }, { header: `x-${'a'.repeat(60)}` }],
          missing: 'skip',
        },
        both_again: { atMost: 500, per: 'second', by: ['address', 'user'], except: ['10.0.0.0/8', 'root'] },
        many: { atOnce: 100_000, by: 'user' },
        places: { atOnce: 50, by: 'user', except: ['root', '10.0.0.0/8'] },
        hosts: { atOnce: 60, by: 'address', except: ['10.0.0.0/8', '2001:db8::/32'] },
      })
      expect(await allowed(3, { user: 'ann', plan: 'p$o\\', method: 'POST', path: '/posts' })).toBe(3)
    })

    test('a burst gets no more than is said, by each key, however the path is written', {
      timeout: 60_000,
    }, async () => {
      const rules = { posts: { atMost: 6, per: 'minute', by: 'user', on: 'POST /posts' } } as const
      const { allowed } = await behind(rules)
      const [bound] = exported(rules).rules[0]!.bounds
      expect(bound).toMatchObject({ most: 6, ruleMost: 6 })
      let got = 0
      for (const path of ['/posts', '/posts?a=1', '//posts/', '/POSTS', '/%70osts', '/x/../posts'])
        got += await allowed(3, { user: 'ann', method: 'POST', path })
      // What is at once, and what comes while a machine is slow.
      expect(got).toBeGreaterThanOrEqual(3)
      expect(got).toBeLessThanOrEqual(6)
      expect(await allowed(8, { user: 'bob', method: 'POST', path: '/posts' })).toBeGreaterThanOrEqual(3)
      expect(await allowed(20, { user: 'ann', path: '/posts' })).toBe(20)
      expect(await allowed(20, { user: 'ann', method: 'POST', path: '/posts/4711' })).toBe(20)
      // Who says nobody shares a bucket with all such.
      expect(await allowed(8, { method: 'POST', path: '/posts' })).toBeLessThanOrEqual(6)
    })

    test('several workers together keep it', { timeout: 60_000 }, async () => {
      const { allowed } = await behind({ all: { atMost: 40, per: 'minute' } }, 4)
      const got = await allowed(120)
      expect(got).toBeGreaterThanOrEqual(20)
      expect(got).toBeLessThanOrEqual(40)
    })

    test('an IPv6 client is its /64, and IPv4 is the same however it comes', {
      timeout: 60_000,
    }, async () => {
      const { allowed } = await behind({
        few: {
          capacity: 2,
          refill: 1,
          per: 'minute',
          by: 'address',
          except: ['10.0.0.0/8', '2001:db8:f::/48'],
        },
      })
      const two = async (...from: string[]) => {
        let got = 0
        for (const each of from) got += await allowed(2, { from: each })
        // One more where it took a minute.
        expect([2, 3]).toContain(got)
      }
      await two('2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:2:0a0a:a0a:0d0d:1')
      await two('2001:db8:1:3::1', '2001:db8:1:3::2')
      await two('203.0.113.7', '::ffff:203.0.113.7', '64:ff9b::203.0.113.7')
      await two('203.0.113.8')
      expect(await allowed(5, { from: '10.1.2.3' })).toBe(5)
      expect(await allowed(5, { from: '2001:db8:f::1' })).toBe(5)
    })

    test('plans by their header; one that is not named has the smallest', { timeout: 60_000 }, async () => {
      const { allowed } = await behind({
        search: { capacity: { free: 2, pro: 6 }, refill: { free: 1, pro: 1 }, per: 'minute', by: 'user' },
      })
      for (const [plan, least] of [
        ['pro', 6],
        ['free', 2],
        ['PRO', 2],
        ['', 2],
      ] as const)
        expect([least, least + 1]).toContain(
          await allowed(9, { user: `one of ${plan || 'none'} ${least}`, plan }),
        )
    })

    test.each(['all first', 'all last'])(
      'what one rule refuses is counted in none: %s',
      { timeout: 60_000 },
      async (order) => {
        const all = { capacity: 3, refill: 1, per: 'minute' } as const
        const each = { capacity: 1, refill: 1, per: 'minute', by: 'user' } as const
        const { allowed } = await behind(order === 'all first' ? { all, each } : { each, all })
        expect([1, 2]).toContain(await allowed(10, { user: 'ann' }))
        let others = 0
        for (const user of ['bob', 'cleo', 'dan', 'eve']) others += await allowed(1, { user })
        expect([1, 2, 3]).toContain(others)
        // Ten refusals would have left nothing for anybody.
      },
    )

    test('a line is let go one after the other, and who has no place in it is refused', {
      timeout: 60_000,
    }, async () => {
      const { allowed } = await behind({ mails: { pace: 5, per: 'second', line: 3 } })
      const got = await allowed(60)
      expect(got).toBeGreaterThanOrEqual(4)
      expect(got).toBeLessThan(60)
    })

    test('so many at the same time, and a place is free when a response has ended', {
      timeout: 60_000,
    }, async () => {
      const { ask } = await behind({ places: { atOnce: 3, by: 'user' } })
      const held: ServerResponse[] = []
      upstream.off('request', answer)
      const hold = (_request: IncomingMessage, response: ServerResponse) => void held.push(response)
      upstream.on('request', hold)
      onTestFinished(() => {
        upstream.off('request', hold)
        upstream.on('request', answer)
      })
      const first = [ask({ user: 'ann' }), ask({ user: 'ann' }), ask({ user: 'ann' })]
      await vi.waitFor(() => expect(held).toHaveLength(3), { timeout: 20_000 })
      expect(await ask({ user: 'ann' })).toBe(429)
      const other = ask({ user: 'bob' })
      await vi.waitFor(() => expect(held).toHaveLength(4), { timeout: 20_000 })
      for (const response of held) response.end('done')
      expect(await Promise.all([...first, other])).toEqual([200, 200, 200, 200])
      const again = ask({ user: 'ann' })
      await vi.waitFor(() => expect(held).toHaveLength(5), { timeout: 20_000 })
      held[4]!.end()
      expect(await again).toBe(200)
    })

    test('in shadow nothing is refused, and it is logged', { timeout: 60_000 }, async () => {
      const { allowed, server } = await behind({ trial: { atMost: 2, per: 'minute', shadow: true } })
      expect(await allowed(9)).toBe(9)
      await vi.waitFor(
        async () => {
          const { readFileSync } = await import('node:fs')
          expect(readFileSync(`${server.folder}/server.log`, 'utf8')).toContain('dry run')
        },
        { timeout: 20_000 },
      )
    })
  },
)
