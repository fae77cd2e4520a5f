// The snippets of the guide to queues run as they stand, each in an empty folder, and say what their comments say.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

async function run(name: string): Promise<string> {
  const { status, output } = await runSnippet(name)
  expect(status, output).toBe(0)
  return output
}

test.each([
  ['queue-rules.ts', ['true', '1 2 3 4 5']],
  ['queue-flow.ts', ['0 1', 'Norway', "[ 'large.jpg', 'small.jpg' ]"]],
  ['queue-stop.ts', ['finished 1', 'for the next process: 2 0']],
  ['queue-batches.ts', ["[ 'no such row' ]"]],
  ['queue-schedules.ts', ['pulse for 0 ms past a second', 'nightly 0 3 * * * Europe/Berlin once true']],
  [
    'queue-control.ts',
    [
      expect.stringMatching(/ ready short$/),
      expect.stringMatching(/ ready long$/),
      expect.stringMatching(/ ready broken$/),
      'removed',
      'signalled',
      "true attempt 2 of 2: frame 12 is missing [ 'frame 12 is missing' ]",
      'true',
      '1',
      '1',
    ],
  ],
])('%s', { timeout: 60_000 }, async (file, lines) => {
  expect((await run(file.replace(/\.ts$/, ''))).trimEnd().split('\n')).toEqual(lines)
})
