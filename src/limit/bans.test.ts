// What rules with a ban decide in memory: who is shut out, for how long, what it is told, and who never is.
import { describe, expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { guaranteeOf } from './guarantee.ts'
import { refusal } from './http/door/reply.ts'
import { FieldWriter } from './http/door/state-fields.ts'
import { type LimitsOptions, limits } from './limits.ts'
import type { Rule, Rules } from './rule/rule.ts'
import type { Subject } from './subject.ts'

const logins: Rule = {
  atMost: 2,
  per: 'minute',
  by: 'user',
  ban: { after: 3, within: '10m', for: '5m', upTo: '1h' },
}
const minute = 60_000

function at(rules: Rules, options: Partial<LimitsOptions> = {}) {
  const clock = fakeClock()
  const all = limits({ rules, clock, ...options })
  const ask = (subject: Subject, times: number) =>
    Array.from({ length: times }, () => all.decide(subject)).map(({ outcome, reason }) => reason ?? outcome)
  return { clock, limits: all, ask }
}

describe('a rule with a ban', () => {
  test('shuts out who is refused again and again, for a time that doubles and is told', async () => {
    const { clock, limits, ask } = at({ logins })
    expect(ask({ user: 'eve' }, 4)).toEqual(['allow', 'allow', 'over', 'over'])
    expect(limits.decide({ user: 'eve' })).toMatchObject({
      outcome: 'reject',
      rule: 'logins',
      reason: 'banned',
      retryAfterMs: 5 * minute,
    })
    expect(ask({ user: 'ada' }, 1)).toEqual(['allow'])
    await clock.advance(5 * minute - 1)
    const told = limits.decide({ user: 'eve' })
    expect([told.reason, told.retryAfterMs]).toEqual(['banned', 1])
    expect(told.states).toMatchObject([{ rule: 'logins', refuses: true, remaining: 0, nextMs: 1 }])
    await clock.advance(1)
    expect(ask({ user: 'eve' }, 5)).toEqual(['allow', 'allow', 'over', 'over', 'banned'])
    expect(limits.decide({ user: 'eve' }).retryAfterMs).toBe(10 * minute)
    expect(limits.counts()).toMatchObject([{ rule: 'logins', bans: 2, refused: 8 }])
  })

  test('forgets offences that are far apart, and bans of who behaves', async () => {
    const { clock, limits, ask } = at({ logins })
    ask({ user: 'ada' }, 4)
    await clock.advance(10 * minute)
    expect(ask({ user: 'ada' }, 4)).toEqual(['allow', 'allow', 'over', 'over'])
    expect(ask({ user: 'ada' }, 1)).toEqual(['banned'])
    await clock.advance(10 * minute)
    ask({ user: 'ada' }, 5)
    expect(limits.decide({ user: 'ada' }).retryAfterMs).toBe(5 * minute)
  })

  test('is told with what the bucket says where that is later', () => {
    const { limits, ask } = at({
      codes: { atMost: 1, per: 'day', by: 'user', ban: { after: 1, for: 'minute' } },
    })
    expect(ask({ user: 'eve' }, 2)).toEqual(['allow', 'banned'])
    expect(limits.decide({ user: 'eve' }).retryAfterMs).toBe(24 * 60 * minute)
  })

  test('counts what knocks while it is shut for nothing', async () => {
    const { clock, ask } = at({ logins })
    ask({ user: 'eve' }, 500)
    await clock.advance(5 * minute)
    expect(ask({ user: 'eve' }, 1)).toEqual(['allow'])
  })

  test('consumes nothing in any rule of who is banned', () => {
    const { limits, ask } = at({ all: { atMost: 50, per: 'day' }, logins })
    ask({ user: 'eve' }, 40)
    expect(limits.decide({ user: 'ada' }).states).toMatchObject([{ remaining: 47 }, { remaining: 1 }])
  })

  test('counts only its own refusals, and none of what costs more than it ever allows', () => {
    const { ask } = at({ all: { atMost: 1, per: 'day' }, logins })
    expect(ask({ user: 'ada' }, 9).slice(1)).toEqual(Array(8).fill('over'))
    const other = at({ logins })
    expect(other.ask({ user: 'ada', cost: 3 }, 9)).toEqual(Array(9).fill('cost'))
    expect(other.ask({ user: 'ada' }, 1)).toEqual(['allow'])
  })

  test('of whom other rules would have banned by now, nobody is before he offends again', async () => {
    const { clock, limits, ask } = at({ logins: { ...logins, ban: { after: 9, within: '1h', for: '5m' } } })
    ask({ user: 'ada' }, 7)
    limits.reload({ logins: { ...logins, ban: { after: 3, within: '1h', for: '5m' } } })
    await clock.advance(minute)
    expect(ask({ user: 'ada' }, 3)).toEqual(['allow', 'allow', 'banned'])
    expect(limits.decide({ user: 'ada' }).retryAfterMs).toBe(5 * minute)
    expect(limits.counts()[0]!.bans).toBe(1)
  })

  test('counts penalties, each as one', () => {
    const { limits, ask } = at({ logins: { ...logins, atMost: 50 } })
    for (let i = 0; i < 3; i++) limits.decide({ user: 'eve' }).penalize(7)
    limits.penalize({ user: 'ada' }, 40)
    limits.penalize({ user: 'ada' }, 0)
    limits.penalize({ user: 'ada' }, 0)
    expect([...ask({ user: 'eve' }, 1), ...ask({ user: 'ada' }, 1)]).toEqual(['banned', 'allow'])
  })

  test('bans nobody in shadow, nobody who is excepted, and not all who have no key', () => {
    const shadowed = at({ logins: { ...logins, shadow: true } })
    const decisions = Array.from({ length: 9 }, () => shadowed.limits.decide({ user: 'eve' }))
    expect(decisions.every(({ allowed }) => allowed)).toBe(true)
    shadowed.limits.reload({ logins })
    expect(shadowed.ask({ user: 'eve' }, 1)).toEqual(['over'])
    const { ask } = at({ logins: { ...logins, except: ['root'] } })
    expect(ask({ user: 'root' }, 9)).toEqual(Array(9).fill('allow'))
    expect(ask({}, 9).slice(2)).toEqual(Array(7).fill('over'))
    const pairs = at({ logins: { ...logins, by: ['user', 'device'] } })
    expect(pairs.ask({}, 9).slice(2)).toEqual(Array(7).fill('over'))
    expect(pairs.ask({ device: 'd' }, 6).at(-1)).toBe('banned')
  })

  test('shuts out only from what it bounds', () => {
    const { ask } = at({ logins: { ...logins, on: 'POST /login' } })
    ask({ user: 'eve', on: 'POST /login' }, 5)
    expect(ask({ user: 'eve', on: 'GET /' }, 1)).toEqual(['allow'])
  })

  test('keeps its bans when other numbers are put in force, and lets them go with the ban', async () => {
    const { clock, limits, ask } = at({ logins })
    ask({ user: 'eve' }, 5)
    limits.reload({ logins: { ...logins, atMost: 80 } })
    expect(limits.decide({ user: 'eve' })).toMatchObject({ reason: 'banned', retryAfterMs: 5 * minute })
    await clock.advance('1m')
    const { ban: _, ...without } = logins
    limits.reload({ logins: without })
    // What she spent is still spent.
    expect(ask({ user: 'eve' }, 1)).toEqual(['over'])
  })

  test('is not moved by the clock of the wall, also with windows of a calendar', async () => {
    const clock = fakeClock()
    let stepMs = 0
    const codes: Rule = {
      atMost: 1,
      per: 'hour',
      window: 'calendar',
      by: 'user',
      ban: { after: 1, for: '2h' },
    }
    const { limits, ask } = at({ codes }, { clock: { ...clock, now: () => clock.now() + stepMs } })
    ask({ user: 'eve' }, 2)
    stepMs = 300 * minute
    expect(limits.decide({ user: 'eve' })).toMatchObject({ reason: 'banned', retryAfterMs: 120 * minute })
    stepMs = -240 * minute
    await clock.advance('119m')
    expect(ask({ user: 'eve' }, 1)).toEqual(['banned'])
  })

  test('bans nobody for whom there is no room: who shares a ban might be innocent', () => {
    const { limits, ask } = at({ logins }, { maxKeys: 4 })
    for (let i = 0; i < 20; i++) ask({ user: `u${i}` }, 5)
    expect(limits.counts()[0]!.bans).toBeLessThanOrEqual(4)
    expect(ask({ user: 'ada' }, 3)).toEqual(['over', 'over', 'over'])
  })
})

test('at a door a ban is told as what it is, with the time of its end', () => {
  const { limits, ask } = at({ logins })
  ask({ user: 'eve' }, 5)
  const reply = refusal(limits.decide({ user: 'eve' }), new FieldWriter('own'), () => 0)
  expect([reply.status, Number(reply.headers['Retry-After'])]).toEqual([429, 300])
  expect(JSON.parse(reply.body)).toMatchObject({
    type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
    'violated-policies': ['logins'],
  })
})

test('a ban that cannot hold is refused with its reason', () => {
  const reasonOf = (rule: object): string => {
    try {
      guaranteeOf(rule as Rule)
      return ''
    } catch (thrown) {
      return (thrown as Error).message
    }
  }
  const per = { atMost: 2, per: 'minute', by: 'user' }
  const good = { after: 3, for: 'minute' }
  expect(reasonOf({ ...per, ban: good })).toBe('')
  for (const [rule, said] of [
    [{ ...per, ban: true }, 'write { after: 5, for: minute, upTo: day }'],
    [{ ...per, ban: { for: 'minute' } }, 'for `after`'],
    [{ ...per, ban: { after: 0, for: 'minute' } }, 'whole number from 1'],
    [{ ...per, ban: { after: 3 } }, 'it says no for'],
    [{ ...per, ban: { ...good, upTo: '10s' } }, 'its upTo is shorter than its for'],
    [{ ...per, ban: { ...good, upTo: '900d' } }, 'more than a year'],
    [{ ...per, ban: { ...good, within: 'month' } }, 'within: a month has no fixed length'],
    [{ ...per, ban: { ...good, upto: 'day' } }, 'it has no upto; did you mean upTo?'],
    [{ atMost: 2, per: 'minute', ban: good }, 'would shut out everybody'],
    [{ atOnce: 2, by: 'user', ban: good }, 'it does not go with atOnce'],
    [{ ...per, over: 'defer', ban: good }, 'is deferred has not been refused'],
    [{ pace: 2, per: 'minute', by: 'user', ban: good }, 'who waits has not been refused'],
  ] as const)
    expect(reasonOf(rule)).toContain(said)
})
