// The programs of the guides to the inbox and to sagas are run, each in a folder of its own.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const said = {
  'inbox-keep': '1\n0\n',
  'inbox-store': 'broker\nmails.db.inbox\nsent to ada@example.org at attempt 1\n0\n',
  saga: `reserved A
A true [] []
B false [ 'payment' ] [ 'reserved' ]
reserved B
released B
`,
}

test.each(Object.entries(said))('%s', { timeout: 60_000 }, (name, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-guide-'))
  try {
    const file = resolve('docs/snippets', `${name}.ts`)
    const ran = spawnSync(process.execPath, ['--conditions=@spillway/source', file], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 50_000,
    })
    expect(ran.status, ran.stderr).toBe(0)
    // What several contexts say is in no order among them.
    expect(ran.stdout.split('\n').toSorted()).toEqual(expected.split('\n').toSorted())
  } finally {
    rmSync(folder, { recursive: true })
  }
})
