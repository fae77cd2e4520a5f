// Bans that several processes share: what one found holds for all, it is told as in memory, and who is banned costs no question.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SpillwayError } from '../../core/errors.ts'
import type { LimitPort } from '../../ports/limit.ts'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { memoryStore } from '../../testing/memory/store.ts'
import { limits } from '../limits.ts'
import type { Rules } from '../rule/rule.ts'
import type { Subject } from '../subject.ts'
import { sharedLimits } from './shared-limits.ts'

const minute = 60_000
const logins: Rules = {
  logins: { atMost: 2, per: 'minute', by: 'user', ban: { after: 3, within: '10m', for: '5m', upTo: '1h' } },
}

function store() {
  const clock = fakeClock()
  const { limit } = memory({ store: memoryStore({ clock }) })
  const state = { away: false, calls: 0 }
  const port: LimitPort = {
    statement: limit!.statement,
    async exchange(requests) {
      state.calls += 1
      if (state.away) throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
      return limit!.exchange(requests)
    },
    sweep: () => limit!.sweep(),
  }
  return { clock, state, open: (rules: Rules = logins) => sharedLimits({ rules, store: port, clock }) }
}

async function reasons(all: ReturnType<ReturnType<typeof store>['open']>, subject: Subject, times: number) {
  const found: string[] = []
  for (let i = 0; i < times; i++) {
    const { outcome, reason } = await all.decide(subject)
    found.push(reason ?? outcome)
  }
  return found
}

test('offences count together, whichever process refused; the last one is told of the ban, and all refuse', async () => {
  const { clock, open } = store()
  const [one, two] = [open(), open()]
  expect(await reasons(one, { user: 'eve' }, 3)).toEqual(['allow', 'allow', 'over'])
  expect(await reasons(two, { user: 'eve' }, 1)).toEqual(['over'])
  expect(await one.decide({ user: 'eve' })).toMatchObject({
    outcome: 'reject',
    rule: 'logins',
    reason: 'banned',
    retryAfterMs: 5 * minute,
  })
  const told = await two.decide({ user: 'eve' })
  expect([told.reason, told.retryAfterMs]).toEqual(['banned', 5 * minute])
  expect(told.states).toMatchObject([{ refuses: true, remaining: 0, nextMs: 5 * minute }])
  expect(await reasons(two, { user: 'ada' }, 1)).toEqual(['allow'])
  await clock.advance(5 * minute)
  expect(await reasons(two, { user: 'eve' }, 5)).toEqual(['allow', 'allow', 'over', 'over', 'banned'])
  expect((await one.decide({ user: 'eve' })).retryAfterMs).toBe(10 * minute)
  expect([one.counts()[0]!.bans, two.counts()[0]!.bans]).toEqual([1, 1])
})

test('nobody is asked about who is known to be banned, and it consumes nothing', async () => {
  const { open, state } = store()
  const all = open({ all: { atMost: 50, per: 'day' }, ...logins })
  await reasons(all, { user: 'eve' }, 5)
  const before = state.calls
  expect(new Set(await reasons(all, { user: 'eve' }, 200))).toEqual(new Set(['banned']))
  expect(state.calls).toBe(before)
  const { states } = await all.decide({ user: 'ada' })
  expect(states.map(({ remaining }) => remaining)).toEqual([47, 1])
})

test('a ban outlives the process that found it, and other rules; while the store is away it goes on', async () => {
  const { open, state } = store()
  const one = open()
  await reasons(one, { user: 'eve' }, 5)
  await one.close()
  const two = open()
  expect(await reasons(two, { user: 'eve' }, 1)).toEqual(['banned'])
  two.reload({ logins: { ...logins.logins!, atMost: 60 } as Rules[string] })
  state.away = true
  expect(await reasons(two, { user: 'eve' }, 1)).toEqual(['banned'])
  expect(await reasons(two, { user: 'ada' }, 1)).toEqual(['allow'])
})

test('penalties are offences, told soon; nobody is banned in shadow, excepted, or without a key', async () => {
  const { clock, open } = store()
  const all = open()
  for (let i = 0; i < 3; i++) all.penalize({ user: 'eve' }, 2)
  await clock.advance(20)
  expect(await reasons(all, { user: 'eve' }, 1)).toEqual(['banned'])
  expect((await reasons(all, {}, 9)).slice(2)).toEqual(Array(7).fill('over'))
  const rule = logins.logins!
  const shadowed = open({ shadowed: { ...rule, shadow: true }, excepted: { ...rule, except: ['bob'] } })
  expect(await reasons(shadowed, { user: 'bob' }, 9)).toEqual(Array(9).fill('allow'))
})

test('two processes decide as limits in one memory do: who is allowed, why not, and until when', async () => {
  const whole = (min: number, max: number) => fc.integer({ min, max })
  await fc.assert(
    fc.asyncProperty(
      whole(1, 4),
      whole(0, 3),
      fc.array(fc.tuple(whole(0, 900), whole(0, 2), fc.boolean(), whole(0, 9)), {
        minLength: 30,
        maxLength: 80,
        size: 'max',
      }),
      async (after, longer, acts) => {
        const rules: Rules = {
          each: { atMost: 2, per: '1s', by: 'user', ban: { after, for: '300ms', upTo: 300 * (1 + longer) } },
        }
        const { clock, open } = store()
        const shared = [open(rules), open(rules)]
        const alone = limits({ rules, clock })
        for (const [step, user, which, what] of acts) {
          // Many at once, then a while nothing.
          if (what > 4) await clock.advance(step)
          const subject = { user: `u${user}` }
          const told = await shared[which ? 0 : 1]!.decide(subject)
          const expected = alone.decide(subject)
          const { outcome, rule, reason, retryAfterMs } = expected
          expect([told.outcome, told.rule, told.reason]).toEqual([outcome, rule, reason])
          expect(told.retryAfterMs).toBeCloseTo(retryAfterMs, 2)
        }
        await Promise.all(shared.map((each) => each.close()))
      },
    ),
    { numRuns: 25 },
  )
})

test('of whom other rules would have banned by now, nobody is before he offends again', async () => {
  const { clock, open } = store()
  const rule = logins.logins!
  const many = { logins: { ...rule, ban: { after: 9, within: '1h', for: '5m' } } } as Rules
  const all = open(many)
  await reasons(all, { user: 'ada' }, 7)
  all.reload({ logins: { ...rule, ban: { after: 3, within: '1h', for: '5m' } } } as Rules)
  await clock.advance(minute)
  expect(await reasons(all, { user: 'ada' }, 3)).toEqual(['allow', 'allow', 'banned'])
  expect(all.counts()[0]!.bans).toBe(1)
})
