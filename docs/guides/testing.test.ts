// The tests of this guide are run by the runner that they are written for, each in a folder of its own.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const counts = { 'testing-handler': 3, 'testing-spy': 1, 'testing-time': 1, 'calls-testing': 2 }

test.each(Object.entries(counts))('%s', { timeout: 60_000 }, (name, count) => {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-guide-'))
  try {
    const file = resolve('docs/snippets', `${name}.ts`)
    const arguments_ = ['--conditions=@spillway/source', '--test-reporter=tap', file]
    const ran = spawnSync(process.execPath, arguments_, { cwd: folder, encoding: 'utf8', timeout: 50_000 })
    expect(ran.status, ran.stdout + ran.stderr).toBe(0)
    expect(ran.stdout).toContain(`# pass ${count}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
