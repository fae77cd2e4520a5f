// The programs of the guide to pointer events are run, each in a folder of its own, and say what the guide says.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

async function ran(name: string, ...flags: readonly string[]): Promise<string> {
  const { status, stdout, output } = await runSnippet(name, { flags })
  expect(status, output).toBe(0)
  return stdout
}

test('the program says what the guide says', { timeout: 60_000 }, async () => {
  const said = await ran('pointer-run')
  expect(said.split('\n')).toHaveLength(4)
  expect(readFileSync('docs/guides/pointer-events.md', 'utf8')).toContain(`\`\`\`\n${said}\`\`\``)
})

test('its tests pass', { timeout: 60_000 }, async () => {
  expect(await ran('pointer-test', '--test-reporter=tap')).toContain('# pass 2')
})
