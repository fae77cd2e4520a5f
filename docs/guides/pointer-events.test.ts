// The programs of the guide to pointer events are run, each in a folder of its own, and say what the guide says.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

function ran(name: string, ...more: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-guide-'))
  try {
    const file = resolve('docs/snippets', `${name}.ts`)
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@spillway/source', ...more, file],
      { cwd: folder, encoding: 'utf8', timeout: 50_000 },
    )
    expect(status, stdout + stderr).toBe(0)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the program says what the guide says', { timeout: 60_000 }, () => {
  const said = ran('pointer-run')
  expect(said.split('\n')).toHaveLength(4)
  expect(readFileSync('docs/guides/pointer-events.md', 'utf8')).toContain(`\`\`\`\n${said}\`\`\``)
})

test('its tests pass', { timeout: 60_000 }, () => {
  expect(ran('pointer-test', '--test-reporter=tap')).toContain('# pass 2')
})
