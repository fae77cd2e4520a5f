// The programs of this guide are run, each in a folder of its own.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

async function ran(name: string): Promise<string> {
  const { status, stdout, stderr } = await runSnippet(name, { timeoutMs: 60_000 })
  expect(status, stderr).toBe(0)
  return stdout
}

test('limits-door', { timeout: 90_000 }, async () => {
  // The seconds of a machine that is slow may be fewer.
  const said = await ran('limits-door')
  expect(said).toContain('200 "posts";r=1;t=1 true\n"posts";q=2;w=1\n200 "posts";r=')
})

test('limits-back-off', { timeout: 90_000 }, async () => {
  expect(await ran('limits-back-off')).toBe('[ 200, 200, 200, 200 ]\ntrue\n')
})

test('limits-frameworks', { timeout: 90_000 }, async () => {
  expect(await ran('limits-frameworks')).toBe('Express "each";r=2\nFastify "each";r=1\nHono "each";r=0\n')
})

test('limits-deferred', { timeout: 90_000 }, async () => {
  expect(await ran('limits-deferred')).toBe(
    "201\n202\ntrue\ndone { status: 201, body: 'placed 4712' }\n[ '4711', '4712' ]\n",
  )
})
