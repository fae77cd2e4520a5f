// The tests of this guide are run by the runner that they are written for, each in a folder of its own.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

const counts = { 'testing-handler': 3, 'testing-spy': 1, 'testing-time': 1, 'calls-testing': 2 }

test.each(Object.entries(counts))('%s', { timeout: 60_000 }, async (name, count) => {
  const ran = await runSnippet(name, { flags: ['--test-reporter=tap'] })
  expect(ran.status, ran.output).toBe(0)
  expect(ran.stdout).toContain(`# pass ${count}`)
})
