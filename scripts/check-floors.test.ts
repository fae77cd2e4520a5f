import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { checkFloors } from './check-floors.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function plant(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'floors-'))
  folders.push(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return checkFloors(root)
}

test('our own sources keep to the floors', () => {
  expect(checkFloors('src')).toEqual([])
})

test.each([
  ['a floor above', { 'core/a.ts': "import '../queue/b.ts'", 'queue/b.ts': '' }, 'a floor above'],
  ['a neighbour', { 'queue/a.ts': "import { b } from '../stream/b.ts'", 'stream/b.ts': '' }, 'its neighbour'],
  [
    'a limit that knows queues',
    { 'limit/a.ts': "import { b } from '../queue/b.ts'", 'queue/b.ts': '' },
    'its neighbour',
  ],
  [
    'a type from above',
    { 'ports/a.ts': "import type { B } from '../topology/b.ts'", 'topology/b.ts': '' },
    'a floor above',
  ],
  [
    'an engine from a feature',
    { 'queue/a.ts': "await import('../engines/sqlite/b.ts')", 'engines/sqlite/b.ts': '' },
    'engine file',
  ],
  [
    'one engine from another',
    { 'engines/kafka/a.ts': "export * from '../sqlite/b.ts'", 'engines/sqlite/b.ts': '' },
    'engine file',
  ],
  [
    'a feature from an engine',
    { 'engines/kafka/a.ts': "import '../../queue/b.ts'", 'queue/b.ts': '' },
    'sees core and ports only',
  ],
  [
    'the memory engine from what tests services',
    { 'testing/memory/a.ts': "import '../services/b.ts'", 'testing/services/b.ts': '' },
    'sees core and ports only',
  ],
  [
    'a feature from what tests services',
    { 'topology/a.ts': "import '../testing/services/b.ts'", 'testing/services/b.ts': '' },
    'see testing',
  ],
  ['a client library elsewhere', { 'core/a.ts': "import pg from 'pg'" }, 'client library pg'],
  ['a folder on no floor', { 'attic/a.ts': "import '../core/b.ts'", 'core/b.ts': '' }, 'stands on no floor'],
  [
    'a circle',
    { 'core/a.ts': "import './b.ts'", 'core/b.ts': "export * from './a.ts'" },
    'circle: core/a.ts → core/b.ts → core/a.ts',
  ],
])('finds %s', (_, files, problem) => {
  expect(plant(files as Record<string, string>).join('\n')).toContain(problem)
})
