// Other rules put in force while work is under way, and while somebody waits.
import { expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { limits } from './limits.ts'
import type { Rules } from './rule/rule.ts'
import type { Subject } from './subject.ts'

function at(rules: Rules) {
  const clock = fakeClock()
  const all = limits({ rules, clock, keys: { user: true, other: true, megabytes: true } })
  const allowed = (subject: Subject, times: number) =>
    Array.from({ length: times }, () => all.decide(subject)).filter((each) => each.allowed).length
  return { clock, limits: all, allowed }
}

test.each([
  [
    'log',
    { atMost: { free: 4, pro: 60 }, per: 'hour', by: 'user' },
    { atMost: { free: 5, pro: 60 }, per: 'hour', by: 'user' },
  ],
  [
    'sliding',
    { atMost: { free: 4, pro: 100 }, per: 'hour', by: 'user' },
    { atMost: { free: 5, pro: 100 }, per: 'hour', by: 'user' },
  ],
  [
    'bucket',
    { capacity: { free: 4, pro: 100 }, refill: { free: 1, pro: 1 }, per: 'day', by: 'user' },
    { capacity: { free: 5, pro: 100 }, refill: { free: 1, pro: 1 }, per: 'day', by: 'user' },
  ],
  [
    'window',
    { atMost: { free: 4, pro: 100 }, per: 'hour', by: 'user', window: 'key' },
    { atMost: { free: 5, pro: 100 }, per: 'hour', by: 'user', window: 'key' },
  ],
] as const)('of the largest plan nothing that was spent comes back: %s', (_name, before, after) => {
  const { limits, allowed } = at({ rule: before })
  expect(allowed({ user: 'u', plan: 'pro' }, 200)).toBe(Object.values(before)[0].pro)
  limits.reload({ rule: after })
  expect(allowed({ user: 'u', plan: 'pro' }, 200)).toBe(0)
})

test('what keys without a bucket of their own have spent together stays spent', () => {
  const all = limits({ rules: { rule: { atMost: 4, per: 'hour', by: 'user' } }, maxKeys: 1 })
  const ask = (user: string) => all.decide({ user }).allowed
  ask('a')
  expect(['b', 'c', 'd', 'e', 'f'].filter(ask)).toHaveLength(4)
  all.reload({ rule: { atMost: 5, per: 'hour', by: 'user' } })
  expect(['b', 'c', 'd', 'e', 'f'].filter(ask)).toHaveLength(1)
})

const work = (more: object = {}): Rules => ({ work: { atOnce: 2, ...more } })

test('a place is given back also when the rule is about something else by then', () => {
  const { limits, allowed } = at({ work: { atOnce: 2, by: 'user', on: 'GET /a' } })
  const held = [1, 2].map(() => limits.decide({ user: 'u', on: 'GET /a' }))
  limits.reload({ work: { atOnce: 2, by: 'user', on: 'GET /b', except: ['v'] } })
  expect(allowed({ user: 'u', on: 'GET /b' }, 3)).toBe(0)
  for (const each of held) each.release()
  expect(allowed({ user: 'u', on: 'GET /b' }, 3)).toBe(2)
})

test('a place is given back where it was taken only', () => {
  const { limits, allowed } = at({ work: { atOnce: 2, by: 'user' } })
  const subject = { user: 'u', other: 'o' }
  const held = [1, 2].map(() => limits.decide(subject))
  limits.reload({ work: { atOnce: 2, by: 'other' } })
  expect(allowed(subject, 3)).toBe(2)
  for (const each of held) each.release()
  expect(allowed(subject, 3)).toBe(0)
})

test('nor to a rule that was away meanwhile', () => {
  const { limits, allowed } = at(work())
  const held = [1, 2].map(() => limits.decide({}))
  limits.reload({})
  limits.reload(work())
  expect(allowed({}, 3)).toBe(2)
  for (const each of held) each.release()
  expect(allowed({}, 3)).toBe(0)
})

test('no more is given back than was taken, whatever it costs by then', () => {
  const { limits, allowed } = at(work({ atOnce: 10 }))
  const held = Array.from({ length: 10 }, () => limits.decide({}))
  limits.reload(work({ atOnce: 10, cost: 5 }))
  held[0]!.release()
  expect(allowed({}, 3)).toBe(0)
  for (const each of held.slice(1, 5)) each.release()
  expect(allowed({}, 3)).toBe(1)
})

test('who waits is told what is wrong with the request by the new rules', async () => {
  const { limits } = at({ posts: { atMost: 1, per: 'second', over: 'wait' } })
  limits.decide({})
  const waits = limits.admit({ megabytes: -1 })
  limits.reload({ posts: { atMost: 1, per: 'second', over: 'wait', cost: 'megabytes' } })
  await expect(waits).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('what a function throws about the first of a line the first is told, and the next goes on', async () => {
  let wrong = false
  const cost = ({ user }: Subject) => {
    if (wrong && user === 'a') throw new Error('not now')
    return 1
  }
  const { clock, limits } = at({ posts: { atMost: 1, per: 'second', over: 'wait', cost } })
  limits.decide({})
  const [first, second] = [limits.admit({ user: 'a' }), limits.admit({ user: 'b' })]
  const told = expect(first).rejects.toThrow('not now')
  wrong = true
  await clock.advance('1s')
  await told
  expect((await second).allowed).toBe(true)
})

test('what was used becomes no place that nobody gives back', () => {
  const { limits, allowed } = at({ rule: { atMost: 2, per: 'day' } })
  expect(allowed({}, 3)).toBe(2)
  limits.reload({ rule: { atOnce: 2 } })
  expect(allowed({}, 3)).toBe(2)
})

test('who waits for a place in the line of another rule gets it when it is free', async () => {
  const { clock, limits } = at({
    posts: { atMost: 1, per: 'second', over: 'wait', on: 'POST /' },
    work: { atOnce: 1, over: 'wait' },
  })
  limits.decide({ on: 'POST /' }).release()
  const second = limits.admit({ on: 'POST /' })
  const first = limits.decide({ on: 'GET /' })
  await clock.advance('5s')
  first.release()
  const begun = clock.elapsed()
  let waitedMs: number | undefined
  void second.then(() => {
    waitedMs = clock.elapsed() - begun
  })
  await clock.advance('1s')
  expect(waitedMs).toBeLessThan(100)
})
