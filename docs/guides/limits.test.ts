// The programs of this guide are run, each in a folder of its own; its rules hold, and can be exported as it says.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { toNginx } from '../../src/limit/export/nginx.ts'
import { parseRules } from '../../src/limit/file/parse-rules.ts'
import { checkRules } from '../../src/limit/rule/read-rules.ts'
import { runSnippet } from '../run-snippet.ts'

async function ran(name: string): Promise<string> {
  const { status, stdout, stderr } = await runSnippet(name, { timeoutMs: 60_000 })
  expect(status, stderr).toBe(0)
  return stdout
}

test('limits-rules', { timeout: 90_000 }, async () => {
  const said = (await ran('limits-rules')).split('\n')
  // The second of a machine that is slow may be over before the third.
  expect(said.slice(0, 2)).toEqual(['allow undefined undefined false', 'allow undefined undefined false'])
  expect(said[2]).toMatch(/^(?:reject posts over true|allow undefined undefined false)$/)
  expect(said.slice(3, 7)).toEqual([
    'search 1000 999',
    expect.stringMatching(/^all 2000 (?:199[7-9]|2000)$/),
    expect.stringMatching(/^free: at most 10 for each key in any minute/),
    expect.stringMatching(/^pro: at most 1000 for each key in any minute/),
  ])
})

test('limits-file', { timeout: 90_000 }, async () => {
  expect((await ran('limits-file')).split('\n')).toEqual([
    'true',
    'true',
    'true',
    "[ { rule: 'posts', allowed: 2, refused: 1 } ]",
    expect.stringMatching(/limits\.yaml:2: rule posts, atMost: it is 0/),
    'other rules false',
    '',
  ])
})

test('limits-shared', { timeout: 90_000 }, async () => {
  expect(await ran('limits-shared')).toBe('3\nfalse\n')
})

test('the rules of the page hold, in code and in the file', async () => {
  const page = readFileSync('docs/guides/limits.md', 'utf8')
  const [, yaml] = /```yaml\n([^`]*)```/.exec(page)!
  expect(checkRules(await parseRules(yaml!, 'limits.yaml'))).toHaveLength(3)
  const { rules } = toNginx(checkRules({ six: { atMost: 6, per: 'minute' } }), { keys: {}, plan: undefined })
  expect(rules[0]).toMatchObject({ held: 'whole', bounds: [{ most: 6, ruleMost: 6 }] })
})
