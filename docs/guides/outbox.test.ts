// The programs of this guide are run, each in a folder of its own.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { embeddedPostgres } from '../../test/servers/index.ts'

function ran(name: string, variables: Record<string, string> = {}): string {
  const cwd = mkdtempSync(join(tmpdir(), 'spillway-guide-'))
  try {
    const file = resolve('docs/snippets', `${name}.ts`)
    const env = { ...process.env, ...variables }
    const options = { cwd, env, encoding: 'utf8', timeout: 60_000 } as const
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@spillway/source', file],
      options,
    )
    expect(status, stderr).toBe(0)
    return stdout
  } finally {
    rmSync(cwd, { recursive: true })
  }
}

test('outbox-shop', { timeout: 90_000 }, () => {
  expect(ran('outbox-shop').split('\n').toSorted()).toEqual([
    '',
    '4712: the card was declined',
    'mail for 4711',
  ])
})

const missing = await embeddedPostgres.missing()
test.skipIf(missing !== undefined)('outbox-join', { timeout: 120_000 }, async () => {
  await using server = await embeddedPostgres.start()
  expect(ran('outbox-join', { DATABASE_URL: server.url })).toBe('4711 placed\n4711 paid\n')
})
