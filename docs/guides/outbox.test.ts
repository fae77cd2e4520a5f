// The programs of this guide are run, each in a folder of its own.
import { expect, test } from 'vitest'
import { embeddedPostgres } from '../../test/servers/index.ts'
import { runSnippet } from '../run-snippet.ts'

async function ran(name: string, env: Record<string, string> = {}): Promise<string> {
  const { status, stdout, stderr } = await runSnippet(name, { env, timeoutMs: 60_000 })
  expect(status, stderr).toBe(0)
  return stdout
}

test('outbox-shop', { timeout: 90_000 }, async () => {
  expect((await ran('outbox-shop')).split('\n').toSorted()).toEqual([
    '',
    '4712: the card was declined',
    'mail for 4711',
  ])
})

const missing = await embeddedPostgres.missing()
test.skipIf(missing !== undefined)('outbox-join', { timeout: 120_000 }, async () => {
  await using server = await embeddedPostgres.start()
  expect(await ran('outbox-join', { DATABASE_URL: server.url })).toBe('4711 placed\n4711 paid\n')
})
