// Logging in by URL and by options, on real servers; and what is said when it does not work. With TLS: test/engines/tls-nats.test.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, nats as server } from '../../../test/servers/index.ts'
import { type NatsOptions, nats } from './engine.ts'

const missing = await server.missing()

async function works(options: NatsOptions): Promise<string> {
  const engine = await nats({ timeoutMs: 3_000, ...options })
  await engine.queue!.declare(['orders'])
  await engine.close()
  return engine.url
}

function at(started: RunningServer, login: string, query = ''): string {
  return `nats://${login}127.0.0.1:${new URL(started.url).port}${query}`
}

describe.skipIf(missing)('user and password', () => {
  let started: RunningServer
  beforeAll(async () => {
    started = await server.start({ lines: ['authorization { user: "or:ders", password: "p@ss/wörd" }'] })
  })
  afterAll(() => started?.stop())

  test('in the URL, percent-encoded, and not shown', async () => {
    const url = at(started, `${encodeURIComponent('or:ders')}:${encodeURIComponent('p@ss/wörd')}@`)
    expect(await works({ url })).toBe(at(started, ''))
  })

  test('as options', async () => {
    await works({ url: at(started, ''), user: 'or:ders', password: 'p@ss/wörd' })
  })

  test('a wrong one is refused at once, and trying again is of no use', async () => {
    const start = performance.now()
    const url = at(started, 'orders:wrong@')
    await expect(nats({ url })).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: false })
    await expect(nats({ url: at(started, '') })).rejects.toMatchObject({ retryable: false })
    expect(performance.now() - start).toBeLessThan(3_000)
  })

  test('two ways to log in are one too many', async () => {
    await expect(nats({ url: at(started, 'a:b@'), token: 't' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  })
})

test.skipIf(missing)('a token, by URL and as option', async () => {
  await using started = await server.start({ lines: ['authorization { token: "s3cret" }'] })
  await works({ url: at(started, 's3cret@') })
  await works({ url: at(started, ''), token: 's3cret' })
})

test.skipIf(missing)('an NKey: the seed, or a file with it', async () => {
  const pair = nkeys.createUser()
  const seed = new TextDecoder().decode(pair.getSeed())
  await using started = await server.start({
    lines: [`authorization { users: [ { nkey: ${pair.getPublicKey()} } ] }`],
  })
  await works({ url: at(started, ''), nkey: seed })
  const folder = mkdtempSync(join(tmpdir(), 'spillway-nkey-'))
  writeFileSync(join(folder, 'seed'), `${seed}\n`)
  await works({ url: at(started, '', `?nkey=${encodeURIComponent(join(folder, 'seed'))}`) })
  rmSync(folder, { recursive: true })
})

test('nobody there: said at once', async () => {
  await expect(nats({ url: 'nats://127.0.0.1:1' })).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    retryable: true,
    engine: 'nats',
  })
})

test.skipIf(missing)('an account without JetStream: said at once', async () => {
  await using started = await server.start({
    lines: [
      'accounts { A: { jetstream: enabled, users: [{ user: a, password: a }] }, B: { users: [{ user: b, password: b }] } }',
    ],
  })
  await works({ url: at(started, 'a:a@') })
  await expect(nats({ url: at(started, 'b:b@'), timeoutMs: 3_000 })).rejects.toMatchObject({
    code: 'ENGINE_FAILED',
    message: expect.stringContaining('not enabled'),
  })
})
