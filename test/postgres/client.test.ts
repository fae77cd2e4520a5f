// The client library: when it is missing, and when it is a pooler's, where no session lasts longer than a transaction.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import { expect, test } from 'vitest'
import type { PgPool } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { onServers } from './on-servers.ts'

test('without the package pg: CLIENT_MISSING says what to install', async () => {
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(specifier, context, next) {
      if (specifier !== 'pg') return next(specifier, context)
      throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`
  const engine = new URL('../../src/engines/postgres/engine.ts', import.meta.url).href
  const program = `import { postgres } from '${engine}'
    await postgres({ url: 'postgres://127.0.0.1:1/d' }).catch((error) => console.log(error.code, error.message))`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, '--input-type=module', '-e', program],
    { timeout: 20_000 },
  )
  expect(stdout).toMatch(/^CLIENT_MISSING .*npm install pg/)
})

await onServers('behind a pooler in transaction mode', {}, (server) => {
  /** Every statement outside a transaction, and every transaction, gets a session of its own. */
  function pooler(): PgPool & { end(): Promise<void> } {
    const pool = new pg.Pool({ connectionString: server().url, max: 8 })
    pool.on('error', () => {})
    const connect = async () => {
      const client = await pool.connect()
      const release = client.release.bind(client)
      client.release = () => release(true)
      return client
    }
    return {
      connect,
      async query(query, values) {
        const client = await connect()
        try {
          return await client.query(query as string, values)
        } finally {
          client.release()
        }
      },
      end: () => pool.end(),
    }
  }

  test('queue, stream, group and units work', async () => {
    const pool = pooler()
    const { url } = server()
    const engine = await postgres({ url, pool, listen: false })
    const { queue, stream } = { queue: engine.queue!, stream: engine.stream! }
    await queue.declare(['q'])
    const claiming = queue.claim('q', { limit: 2, leaseMs: 5_000, waitMs: 5_000 })
    await queue.send('q', [{ id: 'a', body: '{}' }])
    const [message] = await claiming
    expect(await queue.extend('q', [message!.lease], 9_000)).toEqual(['extended'])
    expect(await queue.settle('q', [{ lease: message!.lease, kind: 'retry', delayMs: 0 }])).toEqual([
      'settled',
    ])
    expect(await queue.settle('q', [{ lease: message!.lease, kind: 'done' }])).toEqual(['stale'])
    await stream.declare({ name: 's', partitions: 2 })
    await stream.append('s', [{ partition: 1, body: '{}' }])
    const held: number[] = []
    const membership = await stream.join('s', 'g', {
      sessionMs: 3_000,
      assigned: (partitions) => held.push(...partitions.map(({ partition }) => partition)),
      revoked: async () => {},
      failed() {},
    })
    await expect.poll(() => held.length, { timeout: 10_000 }).toBe(2)
    expect(await membership.commit([{ partition: 1, position: 1 }])).toEqual(['committed'])
    const database = await postgresDatabase({ pool }).open('pooled')
    const inbox = { consumer: 'c', ids: ['i'] }
    const effects = () => Promise.resolve()
    expect(await database.commit({ inbox, effects, outbox: [], timeoutMs: 5_000 })).toBe('committed')
    expect(await database.commit({ inbox, outbox: [], timeoutMs: 5_000 })).toBe('duplicate')
    await Promise.all([engine.close(), database.close()])
    await pool.end()
  }, 60_000)
})
