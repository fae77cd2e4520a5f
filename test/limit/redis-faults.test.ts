// What goes wrong with a real Redis server, and what is said of it: a failover behind an address, forgotten scripts, certificates, logins and permissions.
import { createClient } from '@redis/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { logOf } from '../../src/core/bucket/log.ts'
import { redis as open } from '../../src/engines/redis/engine.ts'
import { wordOf } from '../../src/engines/redis/errors.ts'
import type { LimitExchange } from '../../src/ports/limit.ts'
import { authority } from '../servers/certificates.ts'
import { type RunningServer, redis } from '../servers/index.ts'
import { NetworkProxy } from '../servers/proxy.ts'
import { command } from './redis-command.ts'

const missing = await redis.missing()
const soon = { timeout: 20_000, interval: 50 }
const day = logOf(1_000, 86_400_000_000)

function taking(bucket: string): LimitExchange {
  return {
    holder: 'h',
    leaseMs: 1_000,
    asks: [{ bucket, algorithm: day, used: 0, cost: 1, hold: 0 }],
  }
}

test('what went wrong in a script is told alike by old servers and new ones', () => {
  const old = new Error(
    "ERR Error running script (call to f_0123): @user_script:117: @user_script: 117: -READONLY You can't write against a read only replica.",
  )
  expect(wordOf(old)).toBe('READONLY')
  expect(wordOf(new Error("READONLY You can't write against a read only replica. script: 01"))).toBe(
    'READONLY',
  )
  expect(wordOf(new Error('ERR Error running script (call to f_0123): a nil value'))).toBe('ERR')
})

describe.skipIf(missing !== undefined)(`Redis${missing === undefined ? '' : ` (${missing})`}`, () => {
  let server: RunningServer
  beforeAll(async () => {
    server = await redis.start({ persistence: 'none' })
  })
  afterAll(() => server?.stop())

  test('after a failover behind one address a connection to what became a replica is given up', async () => {
    // In this order: a server waits for its replica before it ends.
    await using second = await redis.start({ persistence: 'none' })
    await using first = await redis.start({ persistence: 'none' })
    const proxy = await NetworkProxy.start()
    const portOf = ({ url }: RunningServer) => new URL(url).port
    proxy.target = Number(portOf(first))
    const engine = await open({ url: proxy.through(first.url) })
    try {
      const take = async () => (await engine.limit!.exchange([taking('failover')]))[0]!
      expect((await take()).allowed).toBe(true)
      // The connection stands: nobody closes it.
      await command(first, 'REPLICAOF', '127.0.0.1', portOf(second))
      await expect(take()).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
        retryable: true,
        details: { redis: 'READONLY' },
      })
      proxy.target = Number(portOf(second))
      await vi.waitFor(async () => expect((await take()).allowed).toBe(true), soon)
    } finally {
      await engine.close()
      await proxy.close()
    }
  }, 60_000)

  test('scripts that the server forgets in the middle of traffic are told it again, and nothing is counted twice or lost', async () => {
    const engine = await open({ url: server.url })
    let flushed = 0
    let allowed = 0
    const over = { is: false }
    const flush = (async () => {
      const client = await createClient({ url: server.url }).connect()
      while (!over.is) {
        await client.sendCommand(['SCRIPT', 'FLUSH', 'SYNC'])
        flushed += 1
      }
      client.destroy()
    })()
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        for (let count = 0; count < 50; count++)
          if ((await engine.limit!.exchange([taking('scripts')]))[0]!.allowed) allowed += 1
      }),
    )
    over.is = true
    await flush
    const [last] = await engine.limit!.exchange([taking('scripts')])
    expect({ allowed, available: last!.buckets[0]!.available }).toEqual({ allowed: 500, available: 499 })
    expect(flushed).toBeGreaterThan(1)
    await engine.close()
  }, 60_000)

  test('logins and permissions: what the page of the engine lists is enough, and what is lacking is said', async () => {
    const { host } = new URL(server.url)
    const setUser = (name: string, ...rules: string[]) =>
      command(server, 'ACL', 'SETUSER', name, 'reset', ...rules)
    const enough = [
      '~spillway:*',
      '+evalsha',
      '+eval',
      '+get',
      '+set',
      '+time',
      '+info',
      '+ping',
      '+client|setname',
    ]
    await setUser('app', 'on', '>p@ss:w/r?d', ...enough)
    await setUser('blind', 'on', '>secret', ...enough, '-info')
    await setUser('idle', 'on', '>secret', ...enough, '-evalsha')
    await setUser('reader', 'on', '>secret', ...enough, '-set')
    await setUser('elsewhere', 'on', '>secret', ...enough, 'resetkeys', '~other:*')
    const app = await open({ url: `redis://app:${encodeURIComponent('p@ss:w/r?d')}@${host}` })
    await expect(app.limit!.exchange([taking('login')])).resolves.toMatchObject([{ allowed: true }])
    await app.close()
    const refused = async (user: string, password: string) => {
      const error: unknown = await open({ url: server.url, user, password })
        .then(
          async (engine) => engine.limit!.exchange([taking('login')]).finally(() => engine.close()),
          (thrown: unknown) => thrown,
        )
        .catch((thrown: unknown) => thrown)
      expect(String(error)).not.toContain(password)
      return error
    }
    expect(await refused('app', 'wr0ng')).toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      retryable: false,
      message: expect.stringMatching(/refused the login.*Check the login/s),
    })
    for (const user of ['blind', 'idle', 'reader', 'elsewhere'])
      expect(await refused(user, 'secret'), user).toMatchObject({
        code: 'CONFIGURATION',
        message: expect.stringContaining('ACL SETUSER'),
      })
  }, 60_000)

  test('a server that wants a password says so to whoever has none', async () => {
    await using locked = await redis.start({ persistence: 'none' })
    await command(locked, 'CONFIG', 'SET', 'requirepass', 'secret')
    await expect(open({ url: locked.url })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      retryable: false,
      message: expect.stringContaining('refused the login'),
    })
    const engine = await open({ url: locked.url.replace('//', '//:secret@') })
    await expect(engine.limit!.exchange([taking('locked')])).resolves.toMatchObject([{ allowed: true }])
    await engine.close()
  }, 60_000)

  test('TLS: what is vouched for is spoken to, and nothing else', async () => {
    const ours = authority()
    const here = await redis.start({
      persistence: 'none',
      tls: ours.issue({ name: 'here', hosts: ['127.0.0.1'] }),
    })
    const there = await redis.start({
      persistence: 'none',
      tls: ours.issue({ name: 'there', hosts: ['redis.example'] }),
    })
    try {
      const engine = await open({ url: here.url, tls: { ca: ours.ca } })
      await expect(engine.limit!.exchange([taking('tls')])).resolves.toMatchObject([{ allowed: true }])
      await engine.close()
      const refusedFor = (url: string, ca: string | undefined, what: RegExp) =>
        expect(open({ url, ...(ca === undefined ? {} : { tls: { ca } }) })).rejects.toMatchObject({
          code: 'ENGINE_UNAVAILABLE',
          retryable: false,
          message: expect.stringMatching(what),
        })
      await refusedFor(here.url, undefined, /option `tls: \{ ca \}`/)
      await refusedFor(here.url, authority('Somebody Else').ca, /option `tls: \{ ca \}`/)
      await refusedFor(there.url, ours.ca, /redis\.example/)
      const named = await open({ url: there.url, tls: { ca: ours.ca, serverName: 'redis.example' } })
      await named.close()
    } finally {
      await Promise.all([here.stop(), there.stop()])
    }
  }, 60_000)
})
