// Rules in a file: the same sentences, refusals with file and line, and reloading that serves no half file and mints nothing.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { limits } from '../limits.ts'
import { checkRules } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'
import { sharedLimits } from '../shared/shared-limits.ts'
import { loadRules } from './load-rules.ts'
import { parseRules } from './parse-rules.ts'
import { watchRules } from './watch-rules.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-rules-'))
afterAll(() => rmSync(folder, { recursive: true }))

const sentences = `
rules:
  posts:    { atMost: 2, per: second, by: user }
  accounts: { atMost: 10, per: day, by: address }
  rewards:  { atMost: 5, per: week, by: device }
`

test('the three sentences in YAML are the same rules as in code', async () => {
  const path = join(folder, 'limits.yaml')
  writeFileSync(path, sentences)
  const inCode = {
    posts: { atMost: 2, per: 'second', by: 'user' },
    accounts: { atMost: 10, per: 'day', by: 'address' },
    rewards: { atMost: 5, per: 'week', by: 'device' },
  } as const
  const rules = await loadRules(path)
  expect(rules).toEqual(inCode)
  expect(checkRules(rules)).toEqual(checkRules(inCode))
  expect(checkRules(await parseRules(JSON.stringify({ rules: inCode }), 'limits.json'))).toEqual(
    checkRules(inCode),
  )
  const gate = limits({ rules, clock: fakeClock() })
  const subject = { user: 'ada', address: '203.0.113.7', device: 'phone' }
  const rules5 = Array.from({ length: 5 }, () => gate.decide(subject).rule)
  expect(rules5).toEqual([undefined, undefined, 'posts', 'posts', 'posts'])
})

test('every form of the documentation holds, and * and on are what they look like', async () => {
  const rules = await parseRules(
    `
rules:
  uploads:  { capacity: 20, refill: 5, per: second, by: user, on: POST /uploads, cost: megabytes }
  mails:    { pace: 10, per: second, line: 50 }
  reports:  { atOnce: 4, by: user, over: defer }
  search:   { atMost: { free: 10, pro: 1000 }, per: minute, by: user }
  quota:    { atMost: 1000, per: day, by: user, window: calendar, timeZone: Europe/Berlin }
  pair:     { atMost: 3, per: 10s, by: [user, { header: X-Device }, { address: { prefix6: 56 } }], away: { share: 0.25 } }
`,
    'limits.yaml',
  )
  expect(checkRules(rules).map(({ name, bounds, over }) => [name, bounds[0].algorithm.kind, over])).toEqual([
    ['uploads', 'token-bucket', 'reject'],
    ['mails', 'token-bucket', 'wait'],
    ['reports', 'concurrency', 'defer'],
    ['search', 'sliding-window', 'reject'],
    ['quota', 'calendar-window', 'reject'],
    ['pair', 'log', 'reject'],
  ])
})

describe('refusals name file, line and reason', () => {
  test('all at once', async () => {
    const rules = await parseRules(
      `# limits
rules:
  none: { atMost: 0, per: minute }
  never:
    atMost: 5
    per: 0
  odd:
    atMost: 2.5
    per: minute
    by: usr
  both: { atMost: 5, capacity: 3, per: minute }
  typo: { atMost: 5, per: minute, shaddow: true }
  dear: { capacity: 3, refill: 1, per: minute, cost: 4 }
  long: { atMost: 5, per: month }
  zone: { atMost: 5, per: day, window: calendar, timeZone: Mars/Olympus }
  line: { atMost: 5, per: day, line: 5 }
  what: 17
`,
      'limits.yaml',
    )
    let message = ''
    try {
      checkRules(rules)
    } catch (thrown) {
      message = (thrown as Error).message
    }
    for (const said of [
      'limits.yaml:3: rule none, atMost: it is 0: such a rule would allow nothing',
      'limits.yaml:6: rule never, per: 0 is no time at all',
      "limits.yaml:8: rule odd, atMost: it is 2.5; it takes a whole number from 1 to 1,000,000,000,000; for less than one in a period write a longer one: 1 per '2s'",
      'limits.yaml:10: rule odd, by: there is no key "usr", did you mean user?',
      'limits.yaml:11: rule both, atMost: it says capacity and atMost at once',
      'limits.yaml:12: rule typo, shaddow: there is no such field; did you mean shadow?',
      'limits.yaml:13: rule dear, cost: it is 4, and the bound only 3',
      "limits.yaml:14: rule long, per: a month has no fixed length; write `window: calendar` with per: month, or a duration such as '30d'",
      'limits.yaml:15: rule zone, timeZone: it is "Mars/Olympus", which is none',
      'limits.yaml:16: rule line, line: nobody waits',
      'and 1 more',
    ])
      expect(message).toContain(said)
  })

  test.each([
    ['rules: [', 'limits.yaml:1'],
    ['rules:\n  a: { atMost: 1, per: day }\n  a: { atMost: 2, per: day }', 'limits.yaml:3: '],
    ['', 'it has no `rules`'],
    ['rules:', '`rules` is null'],
    ['rules: {}\nrule: {}', 'limits.yaml:2: "rule" stands beside `rules`'],
    ['{"rules": {"a": {"atMost": 1,', 'limits.yaml:1'],
  ])('%j', async (text, said) => {
    await expect(parseRules(text, 'limits.yaml')).rejects.toThrow(said)
  })

  test.each([
    ['rules: {a: {capacity: 9, refill: 2, per: constructor}}', '"constructor" is no period'],
    ['rules: {a: {capacity: 9, refill: 2, per: __proto__}}', '"__proto__" is no period'],
    ['rules: {a: {atMost: 9, per: day, by: {header: "a b"}}}', '"a b" is no name of a header'],
    ['rules: !!set {a}', 'is no set of rules'],
    ['rules: !!omap [a: {atMost: 9, per: day}]', 'is no set of rules'],
  ])('%s is refused: no rule is taken for another, or for none', async (text, said) => {
    const rules = await parseRules(text, 'limits.yaml')
    expect(() => checkRules(rules)).toThrow(said)
  })

  test('what a record has of its prototype is no header', () => {
    const gate = limits({ rules: { a: { atMost: 1, per: 'day', by: { header: 'constructor' } } } })
    expect([{}, {}].map((headers) => gate.decide({ headers }).allowed)).toEqual([true, false])
  })

  test('a bound that cannot be counted exactly, and an exception that is no range', () => {
    expect(() => checkRules({ slow: { capacity: 1_000, refill: 1, per: '365d' } })).toThrow(/counted exactly/)
    expect(() =>
      checkRules({ a: { atMost: 1, per: 'day', by: 'address', except: ['10.0.0.0/33'] } }),
    ).toThrow(/rule a, except: .*10\.0\.0\.0\/33/)
    // Beside another key a name is a name; what looks like an address has to be a range.
    const both = (...except: string[]) =>
      checkRules({ a: { atMost: 1, per: 'day', by: ['address', 'user'], except } })
    expect(both('root', '10.0.0.0/8', '10.0.0')).toHaveLength(1)
    for (const odd of ['fe80::1%x;}', '1.2.3.4:80', '[::1]:80', '10.0.0.1/8'])
      expect(() => both('root', odd)).toThrow(/rule a, except: /)
  })
})

describe('reload', () => {
  const write = (path: string, text: string) => writeFileSync(path, text)

  test('takes a changed file when it is whole, and keeps the rules when it is not right', async () => {
    const path = join(folder, 'watched.yaml')
    write(path, 'rules:\n  a: { atMost: 2, per: day, by: user }\n')
    const gate = limits({ rules: await loadRules(path) })
    const [onReload, onRefused] = [vi.fn(), vi.fn()]
    using _ = watchRules(path, gate, { every: 20, onReload, onRefused })
    await vi.waitFor(() => expect(onReload).toHaveBeenCalledTimes(1), 10_000)
    gate.decide({ user: 'ada' })

    write(path, 'rules:\n  a: { atMost: 0, per: day, by: user }\n')
    await vi.waitFor(() => expect(onRefused).toHaveBeenCalledTimes(1), 10_000)
    expect(onRefused.mock.calls[0]![0].message).toContain(`${path}:2: rule a, atMost: it is 0`)
    expect(gate.decide({ user: 'ada' }).states[0]).toMatchObject({ limit: 2, remaining: 0 })

    write(`${path}.new`, 'rules:\n  a: { atMost: 3, per: day, by: user }\n')
    renameSync(`${path}.new`, path)
    await vi.waitFor(() => expect(onReload).toHaveBeenCalledTimes(2), 10_000)
    expect(gate.decide({ user: 'ada' }).states[0]).toMatchObject({ limit: 3, remaining: 0 })

    rmSync(path)
    await vi.waitFor(() => expect(onRefused).toHaveBeenCalledTimes(2), 10_000)
    expect(gate.decide({ user: 'ada' }).rule).toBe('a')
  })

  test('keeps the buckets of rules that did not change, and carries over what was spent where numbers did', () => {
    const clock = fakeClock()
    const gate = limits({
      clock,
      rules: {
        same: { capacity: 10, refill: 1, per: 'minute', by: 'user' },
        more: { atMost: 5, per: 'hour', by: 'user' },
        other: { atMost: 5, per: 'hour', by: 'user' },
        held: { atOnce: 9, by: 'user' },
        gone: { atMost: 100, per: 'hour' },
      },
    })
    const subject = { user: 'ada' }
    const decisions = [1, 2, 3, 4].map(() => gate.decide(subject))
    gate.reload({
      same: { capacity: 10, refill: 1, per: 'minute', by: 'user', shadow: true },
      more: { atMost: 7, per: 'hour', by: 'user' },
      other: { capacity: 6, refill: 1, per: 'hour', by: 'user' },
      held: { atOnce: 5, by: 'user' },
      fresh: { atMost: 100, per: 'hour' },
    })
    const remaining = () =>
      gate.decide({ ...subject, cost: 0 }).states.map(({ rule, remaining }) => [rule, remaining])
    expect(remaining()).toEqual([
      ['same', 6],
      ['more', 3],
      ['other', 2],
      ['held', 1],
      ['fresh', 100],
    ])
    for (const decision of decisions) decision.release()
    expect(remaining()[3]).toEqual(['held', 5])
    expect(gate.decide({ user: 'ben', cost: 0 }).states[1]).toMatchObject({ remaining: 7 })
    expect(() => gate.reload({ same: { atMost: 0, per: 'day' } })).toThrow(/rule same, atMost/)
    expect(remaining()[0]).toEqual(['same', 6])
  })
})

test('limits that processes share follow a file too', async () => {
  const path = join(folder, 'shared.yaml')
  writeFileSync(path, 'rules: { a: { capacity: 2, refill: 1, per: day, by: user } }')
  await using shared = sharedLimits({
    rules: await loadRules(path),
    store: memory().limit!,
    timeoutMs: 10_000,
  })
  await shared.decide({ user: 'ada' })
  writeFileSync(path, 'rules: { a: { capacity: 5, refill: 1, per: day, by: user } }')
  using _ = watchRules(path, shared, { every: 20 })
  await vi.waitFor(
    async () =>
      expect((await shared.decide({ user: 'ada', cost: 0 })).states[0]).toMatchObject({
        limit: 5,
        remaining: 4,
      }),
    10_000,
  )
})

test('rules that nobody waited for are none', () => {
  const rules = loadRules(join(folder, 'limits.yaml')) as unknown as Rules
  expect(() => limits({ rules })).toThrow(/await loadRules/)
})
