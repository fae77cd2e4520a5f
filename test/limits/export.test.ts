import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run-limits.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-export-'))
  writeFileSync(
    join(folder, 'limits.yaml'),
    `
rules:
  posts:    { capacity: 20, refill: 5, per: second, by: user, on: POST /posts }
  accounts: { atMost: 10, per: day, by: address }
`,
  )
  writeFileSync(
    join(folder, 'fine.yaml'),
    'rules: { posts: { capacity: 20, refill: 5, per: second, by: user } }',
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

test('the fragment on standard output, and what is not held on standard error', async () => {
  const { out, err, code } = await run(
    folder,
    '',
    'export',
    'limits.yaml',
    '--to',
    'nginx',
    '--key',
    'user=X-User',
  )
  expect(code).toBe(0)
  expect(out).toContain('limit_req_zone $spillway_posts_key zone=spillway_posts:10m rate=5r/s;')
  expect(out).toContain('limit_req zone=spillway_posts burst=19 nodelay;')
  expect(out).toContain('# NOT HELD, rule accounts: 10 per day is too slow')
  expect(err).toContain('posts: at most 25 requests for each key in any second (as the rule)\n')
  expect(err).toContain('accounts: NOT held: 10 per day is too slow')
  expect(err).toContain('nginx holds 1 of 2 rules, 0 in part, 1 not.')
})

test('--strict fails when something could not be held, and only then', async () => {
  const strict = ['--to', 'nginx', '--strict', '--key', 'user=x-user']
  const [some, all] = await Promise.all([
    run(folder, '', 'export', 'limits.yaml', ...strict),
    run(folder, '', 'export', 'fine.yaml', ...strict),
  ])
  expect([some.code, all.code]).toEqual([1, 0])
  expect(some.out).toContain('limit_req zone=spillway_posts')
})

test('wrong usage, and rules that do not hold', async () => {
  const [gateway, none, address, key, rules] = await Promise.all([
    run(folder, '', 'export', 'fine.yaml', '--to', 'haproxy'),
    run(folder, '', 'export', 'fine.yaml'),
    run(folder, '', 'export', 'fine.yaml', '--to', 'nginx', '--key', 'address=x-real-ip'),
    run(folder, '', 'export', 'fine.yaml', '--to', 'nginx', '--key', 'user=$http'),
    run(folder, 'rules: { a: { atMost: 0, per: second } }', 'export', '-', '--to', 'nginx'),
  ])
  expect([gateway.code, none.code, address.code, key.code, rules.code]).toEqual([2, 2, 2, 2, 1])
  expect(rules.out).toBe('')
  expect(rules.err).toContain('(standard input):1: rule a, atMost: it is 0')
})
