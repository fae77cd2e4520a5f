// The programs of the guide to calls run as they stand, each in an empty folder, and say what they should.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snippet-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function run(file: string): Promise<string> {
  const path = join(import.meta.dirname, file)
  const child = spawn(process.execPath, ['--conditions=@spillway/source', path], { cwd: folder })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  expect(code, output).toBe(0)
  return output
}

test('calls-run.ts', { timeout: 60_000 }, async () => {
  expect((await run('calls-run.ts')).trimEnd().split('\n')).toEqual([
    'bowl: reservation 1',
    'bowl: 4 wanted, 1 there',
    '1',
    '2',
    '2',
    'failed UNREACHABLE',
    "{ status: 'ok', value: { pieces: 0 }, fallback: true }",
    'closed',
  ])
})

test('calls-unknown.ts', { timeout: 60_000 }, async () => {
  expect((await run('calls-unknown.ts')).trimEnd().split('\n')).toEqual(['unknown', '7 true'])
})
