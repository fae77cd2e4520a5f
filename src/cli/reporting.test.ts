import { expect, test, vi } from 'vitest'
import { SpillwayError } from '../core/errors.ts'
import { reporting } from './reporting.ts'

test('names in an error do not steer the terminal', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const before = process.exitCode
  await reporting(async () => {
    throw new SpillwayError('UNKNOWN_STREAM', 'There is no such stream.', {
      remedy: 'These are here: \u001b[2J.',
    })
  })
  const said = write.mock.calls.flat().join('')
  write.mockRestore()
  process.exitCode = before
  expect(said).toContain('\\u001b[2J')
  expect(said).not.toContain('\u001b')
  expect(said.endsWith('\n')).toBe(true)
})
