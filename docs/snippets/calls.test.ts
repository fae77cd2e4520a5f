// The programs of the guide to calls run as they stand, each in an empty folder, and say what they should.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

async function run(name: string): Promise<string> {
  const { status, output } = await runSnippet(name)
  expect(status, output).toBe(0)
  return output
}

test('calls-run.ts', { timeout: 60_000 }, async () => {
  expect((await run('calls-run')).trimEnd().split('\n')).toEqual([
    'bowl: reservation 1',
    'bowl: 4 wanted, 1 there',
    '1',
    '2',
    '2',
    'failed UNREACHABLE',
    "{ status: 'ok', value: { pieces: 0 }, fallback: true }",
    'closed',
  ])
})

test('calls-unknown.ts', { timeout: 60_000 }, async () => {
  expect((await run('calls-unknown')).trimEnd().split('\n')).toEqual(['unknown', '7 true'])
})
