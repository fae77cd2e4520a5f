// npm test on a machine that has next to nothing: it says what it could not exercise, and how to get it.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const empty = mkdtempSync(join(tmpdir(), 'spillway-run-'))
afterAll(() => rmSync(empty, { recursive: true }))

function npmTest(env: NodeJS.ProcessEnv, ...args: string[]) {
  const bare = { PATH: join(root, 'node_modules/.bin'), JAVA_HOME: '', SPILLWAY_SERVERS: empty }
  const options = { cwd: root, encoding: 'utf8', env: { ...process.env, ...bare, ...env } } as const
  return spawnSync(process.execPath, ['test/run.ts', ...args], options)
}

test('what is missing is named at the end, with how to get it; what did not run whole was not exercised', () => {
  const { stdout, status } = npmTest({ SPILLWAY_REQUIRE: '' }, 'src/core/duration.test.ts')
  expect(status).toBe(0)
  for (const part of ['kafka', 'redis', 'nats', 'gcc'])
    expect(stdout).toMatch(new RegExp(`^not exercised: .*get-servers\\.ts --only ${part}`, 'm'))
  expect(stdout).toMatch(/^not exercised: the durability proof: /m)
  expect(stdout).not.toMatch(/^exercised/m)
  expect(stdout).toMatch(/ passed, 0 failed, 0 skipped\n$/)
})

test('with SPILLWAY_REQUIRE=all it fails before it begins', () => {
  const { stdout, stderr, status } = npmTest({ SPILLWAY_REQUIRE: 'all' }, 'src/core/duration.test.ts')
  expect(status).toBe(1)
  expect(stdout).toBe('')
  for (const what of ['kafka', 'redis', 'nats', 'the durability proof'])
    expect(stderr).toMatch(new RegExp(`^required and missing: ${what}: `, 'm'))
})
