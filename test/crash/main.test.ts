// The crash test's command line: mistakes are told in one line, and kill nothing.
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

test.each([
  [['inbox'], /^the only word that it takes is outbox$/m],
  [['--bogus'], /^Unknown option '--bogus'/],
  [['--kills', 'many'], /^--kills and --seed take whole numbers$/m],
  [['--plant', 'roses'], /^--plant takes one of /],
])('%j is refused', (args, said) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['test/crash/main.ts', ...args], {
    encoding: 'utf8',
  })
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toMatch(said)
  expect(stderr).not.toMatch(/^ {4}at /m)
})
