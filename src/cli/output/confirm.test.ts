import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Declined, UsageError } from '../usage.ts'
import { confirm, requireConsent } from './confirm.ts'

function terminal(isTTY: boolean) {
  const input = Object.assign(new PassThrough(), { isTTY })
  const output = Object.assign(new PassThrough(), { isTTY })
  return { input, output }
}

test.each(['y', 'Y', 'yes', ' YES '])('%j is a yes', async (answer) => {
  const both = terminal(true)
  const asked = confirm('Remove all?', undefined, both)
  both.input.write(`${answer}\n`)
  await asked
  expect(String(both.output.read())).toContain('Remove all? [y/N]')
})

test.each(['', 'n', 'no', 'yesterday', 'j'])('%j is a no', async (answer) => {
  const both = terminal(true)
  const asked = confirm('Remove all?', undefined, both)
  both.input.write(`${answer}\n`)
  await expect(asked).rejects.toThrow(Declined)
})

test('the end of the input is a no', async () => {
  const both = terminal(true)
  const asked = confirm('Remove all?', undefined, both)
  both.input.end()
  await expect(asked).rejects.toThrow(Declined)
})

test('nobody is asked with --yes, and without a terminal nothing is done', async () => {
  const both = terminal(false)
  expect(() => requireConsent(undefined, both)).toThrow(UsageError)
  requireConsent(true, both)
  await confirm('Remove all?', true, both)
  expect(both.output.read()).toBe(null)
  requireConsent(undefined, terminal(true))
})
