// Shared limits when more is asked than may be, by many at once, and when the store answers late, oddly, or not at all.
import { expect, test } from 'vitest'
import { SpillwayError } from '../../core/errors.ts'
import type { LimitPort } from '../../ports/limit.ts'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { memoryStore } from '../../testing/memory/store.ts'
import type { Decision } from '../decision.ts'
import type { Rules } from '../rule/rule.ts'
import { sharedLimits } from './shared-limits.ts'

/** A store that takes its time, on a clock that the test moves. */
function setup() {
  const clock = fakeClock()
  const { limit } = memory({ store: memoryStore({ clock }) })
  const state = { answerMs: 0, change: (answers: Awaited<ReturnType<LimitPort['exchange']>>) => answers }
  const store: LimitPort = {
    statement: '',
    sweep: () => limit!.sweep(),
    async exchange(requests) {
      const answers = await limit!.exchange(requests)
      if (state.answerMs > 0)
        await new Promise<void>((resolve) => clock.after(state.answerMs, () => resolve()))
      return state.change(answers)
    },
  }
  return { clock, state, open: (rules: Rules) => sharedLimits({ rules, store, clock }) }
}

test('many who are refused at once are not refused one after the other, and no more is allowed for it', async () => {
  const { clock, state, open } = setup()
  const rules: Rules = { all: { capacity: 300, refill: 1, per: 'hour' } }
  const [one, other] = [open(rules), open(rules)]
  let allowed = 0
  let answered = 0
  const ask = (limits: typeof one) =>
    limits.decide({}).then((decision) => {
      answered += 1
      if (decision.allowed) allowed += 1
    })
  state.answerMs = 10
  for (let i = 0; i < 400; i++) void ask(i % 2 ? one : other)
  await clock.advance(200)
  expect({ answered, allowed }).toEqual({ answered: 400, allowed: 300 })
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 100; i++) void ask(i % 2 ? one : other)
    await clock.advance(500)
  }
  expect({ answered, allowed }).toEqual({ answered: 900, allowed: 300 })
})

test('many for whom there is no place hear so together, and a place that is given back is there for the next', async () => {
  const { clock, state, open } = setup()
  const rules: Rules = { work: { atOnce: 3 }, all: { atMost: 1_000, per: 'minute' } }
  const limits = open(rules)
  const made: Decision[] = []
  const ask = (times: number) => {
    for (let i = 0; i < times; i++) void limits.decide({}).then((decision) => made.push(decision))
  }
  state.answerMs = 10
  ask(300)
  await clock.advance(100)
  const places = made.filter(({ allowed }) => allowed)
  expect([made.length, places.length]).toEqual([300, 3])
  const { outcome, rule, retryAfterMs, states } = made.findLast(({ allowed }) => !allowed)!
  expect({ outcome, rule, retryAfterMs }).toEqual({
    outcome: 'reject',
    rule: 'work',
    retryAfterMs: Number.POSITIVE_INFINITY,
  })
  expect(states).toMatchObject([
    { rule: 'work', refuses: true, remaining: 0, nextMs: Number.POSITIVE_INFINITY },
    { rule: 'all', refuses: false },
  ])
  expect(limits.counts()[0]).toMatchObject({ allowed: 3, refused: 297 })
  // A refusal is of those who were there when it was asked: who comes later hears of what was given back meanwhile.
  ask(1)
  await clock.advance(5)
  places[0]!.release()
  ask(1)
  await clock.advance(200)
  expect(made.slice(300).filter(({ allowed }) => allowed)).toHaveLength(1)
})

test('who refuses is named also where free places were leased in the same act', async () => {
  const { clock, open } = setup()
  const limits = open({
    work: { atOnce: 70 },
    posts: { atMost: 66, per: 'minute', over: 'wait', longestWait: '1s' },
  })
  for (let i = 0; i < 66; i++) expect((await limits.decide({})).allowed).toBe(true)
  // Four places are free, and this process would like to have them at hand.
  expect(await limits.decide({})).toMatchObject({ outcome: 'wait', rule: 'posts' })
  await clock.advance(500)
  expect(await limits.decide({})).toMatchObject({ outcome: 'wait', rule: 'posts' })
})

test('what refused and is there again when it is looked at, as where several nodes decide, is refused for a while', async () => {
  const { state, open } = setup()
  const limits = open({ posts: { atMost: 2, per: 'minute', by: 'user' }, work: { atOnce: 2 } })
  state.change = (answers) => answers.map((answer) => ({ ...answer, allowed: false }))
  const refused = await limits.decide({ user: 'u' })
  expect(refused).toMatchObject({ outcome: 'reject', reason: 'over', retryAfterMs: 1_000 })
})

test('a store that fails, in whatever way, is away; what is wrong with the question is told', async () => {
  const { clock, state, open } = setup()
  const limits = open({ all: { atMost: 2, per: 'minute' } })
  const fail = (code: 'ENGINE_FAILED' | 'ENGINE_UNAVAILABLE' | 'CONFIGURATION') => {
    state.change = () => {
      throw new SpillwayError(code, 'It failed.', { retryable: false })
    }
  }
  fail('CONFIGURATION')
  await expect(limits.decide({})).rejects.toMatchObject({ code: 'CONFIGURATION' })
  fail('ENGINE_FAILED')
  expect((await limits.decide({})).allowed).toBe(true)
  await clock.advance('1s')
  fail('ENGINE_UNAVAILABLE')
  expect((await limits.decide({})).allowed).toBe(true)
})

test('who is banned takes no place in a line', async () => {
  const { clock, open } = setup()
  const limits = open({
    all: { atMost: 5, per: 'minute', over: 'wait', line: 2, longestWait: '2m' },
    logins: { atMost: 1, per: 'minute', by: 'user', ban: { after: 1, for: 'hour' } },
  })
  for (let i = 0; i < 3; i++) await limits.decide({ user: 'eve' })
  for (const user of ['a', 'b', 'c', 'd']) expect((await limits.decide({ user })).allowed).toBe(true)
  void limits.admit({ user: 'ada' })
  await clock.advance('1s')
  await expect(limits.admit({ user: 'eve' })).resolves.toMatchObject({ reason: 'banned' })
  expect(limits.counts()[0]).toMatchObject({ waiting: 1 })
})

test('who waits is counted once as refused, however often it asks', async () => {
  const { clock, open } = setup()
  const limits = open({ work: { atOnce: 1, over: 'wait', longestWait: '10s' } })
  const first = await limits.decide({})
  const second = limits.admit({})
  await clock.advance('2s')
  first.release()
  await clock.advance('1s')
  expect((await second).allowed).toBe(true)
  expect(limits.counts()).toMatchObject([{ allowed: 2, refused: 1 }])
})

test('a store that comes and goes does not give a new share each time', async () => {
  const { clock, state, open } = setup()
  const limits = open({
    all: { atMost: 10, per: 'day', by: 'user', away: { share: 0.5 } },
    other: { atMost: 1_000, per: 'day', on: 'other' },
  })
  const working = state.change
  let allowed = 0
  for (let time = 0; time < 5; time++) {
    state.change = () => {
      throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
    }
    // What is asked is lost too.
    state.answerMs = 0
    await limits.decide({ on: 'other' })
    for (let i = 0; i < 9; i++) if ((await limits.decide({ user: 'u' })).allowed) allowed += 1
    state.change = working
    await clock.advance('20s')
    expect((await limits.decide({ on: 'other' })).allowed).toBe(true)
  }
  expect(allowed).toBe(5)
})

test('shares of an hour that is over make room for the keys of the next', async () => {
  const { clock, state, open } = setup()
  const limits = open({
    all: { atMost: 4, per: 'hour', window: 'calendar', by: 'user', away: { share: 0.5 } },
  })
  const working = state.change
  const away = () => {
    throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
  }
  state.change = away
  for (let i = 0; i < 10_000; i++) await limits.decide({ user: `u${i}` })
  state.change = working
  await clock.advance('1h')
  expect((await limits.decide({ user: 'u' })).allowed).toBe(true)
  state.change = away
  const users = ['a', 'b', 'c', 'd', 'e']
  const made = await Promise.all(users.map((user) => limits.decide({ user })))
  expect(made.map(({ allowed }) => allowed)).toEqual(users.map(() => true))
})
