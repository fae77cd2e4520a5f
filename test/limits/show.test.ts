import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run-limits.ts'

let folder: string

const rules = `
rules:
  posts:    { atMost: 2, per: second, by: user, on: POST /posts }
  accounts: { atMost: 10, per: day, by: address, away: closed }
  search:   { atMost: { free: 10, pro: 1000 }, per: minute, by: team, missing: skip }
  quota:    { atMost: 1000, per: day, window: calendar, shadow: true }
  mails:    { pace: 10, per: second, line: 50 }
`

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-show-'))
  writeFileSync(join(folder, 'limits.yaml'), rules)
  writeFileSync(
    join(folder, 'wrong.yaml'),
    'rules:\n  a: { atMost: 0, per: second }\n  b:\n    atMost: 1\n    per: second\n    by: usr\n',
  )
})
afterAll(() => rmSync(resolve(folder), { recursive: true }))

test('what each rule says, allows at worst, and what to mind', async () => {
  const { out, err, code } = await run(folder, '', 'show', 'limits.yaml', '--keys', 'team')
  expect([err, code]).toEqual(['', 0])
  const line = (start: string) => out.split('\n').find((each) => each.startsWith(start))
  expect(line('posts ')).toMatch(/^posts +log of times, exact +user +POST \/posts +refused +open +40$/)
  expect(line('accounts ')).toMatch(/address \(IPv6 by \/64\) +refused +closed +104$/)
  expect(line('quota ')).toMatch(/calendar window +all together +counted only/)
  expect(line('mails ')).toMatch(/leaky bucket that shapes +all together +waits \(line 50, 30s at most\)/)
  expect(out).toContain('\n  at most 2 for each key in any second, wherever it begins')
  expect(out).toContain('\n  pro: at most 1000 for each key in any minute')
  expect(out.match(/! remembers a day or more/g)).toHaveLength(2)
  expect(out).toContain('! in shadow')
  expect(out).toContain('! across the border of the day twice the bound')
  expect(out).toContain('! who has no team is not bounded')
  expect(out).toContain('! a plan that it does not name, or none, has the numbers of free')
})

test('--json says the same for programs, of the standard input too', async () => {
  const { out, code } = await run(folder, rules, 'show', '-', '--keys', 'team', '--json')
  expect(code).toBe(0)
  const { rules: shown } = JSON.parse(out)
  expect(shown[2]).toMatchObject({
    name: 'search',
    algorithm: 'sliding window counter',
    by: ['team'],
    plans: [
      { plan: 'free', limit: 10, windowMs: 60_000, most: 10 },
      { plan: 'pro', limit: 1_000, windowMs: 60_000, most: 1_000 },
    ],
    over: 'reject',
    bytes: 168,
  })
  expect(shown[3]).toMatchObject({ shadow: true, plans: [{ limit: 1_000, most: 2_000 }] })
})

test('a file that does not hold: every problem with its line, and exit code 1', async () => {
  const { out, err, code } = await run(folder, '', 'show', 'wrong.yaml')
  expect([out, code]).toEqual(['', 1])
  expect(err.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^wrong\.yaml:2: rule a, atMost: it is 0/),
    expect.stringMatching(/^wrong\.yaml:6: rule b, by: there is no key "usr", did you mean user\?/),
  ])
  const json = await run(folder, '', 'show', 'wrong.yaml', '--json')
  expect(JSON.parse(json.out).problems).toMatchObject([
    { rule: 'a', field: 'atMost', line: 2 },
    { rule: 'b', field: 'by', line: 6 },
  ])
  expect([json.err, json.code]).toEqual(['', 1])
  expect(await run(folder, 'rules: [', 'show', '-')).toMatchObject({ code: 1, out: '' })
  expect((await run(folder, '', 'show', 'none.yaml')).err).toMatch(/^none\.yaml: it cannot be read/)
})
