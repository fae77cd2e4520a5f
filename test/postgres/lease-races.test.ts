// Leases of queues without rules under attack: short ones that end all the time, divided, settled late, cancelled and purged, by many; who
// waits for whom, step by step; a process that freezes while it is given messages.
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { sessionSettings } from '../../src/engines/postgres/session.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { Settlement } from '../../src/ports/queue.ts'
import { looking, onServers } from './on-servers.ts'

const aClaim = { limit: 20, leaseMs: 60_000, waitMs: 0 }

await onServers('attacks on leases', { settings: { deadlock_timeout: '200ms' } }, (server) => {
  test('short leases: who settled had the last claim there was, nothing is handled twice, nothing is lost', async () => {
    const { url } = server()
    const engines = await Promise.all([1, 2, 3].map(() => postgres({ url, poolSize: 4 })))
    await engines[0]!.queue!.declare(['short'])
    const until = performance.now() + 8_000
    /** By message: the highest token that was given out, and those that ended a lease with it for good. */
    const highest = new Map<string, number>()
    const ended = new Map<string, number>()
    const sent = new Set<string>()
    const cancelled = new Set<string>()
    let purged = 0
    let sending = true
    const consume = async ({ queue }: Engine) => {
      while (sending || (await left(queue!)) > 0) {
        const batch = await queue!.claim('short', { limit: randomInt(1, 30), leaseMs: 100, waitMs: 20 })
        for (const { id, fencingToken } of batch) {
          expect(fencingToken, `the token of ${id} rises`).toBeGreaterThan(highest.get(id) ?? 0)
          highest.set(id, fencingToken)
        }
        // As long as the leases last, or a little less or more.
        await delay(randomInt(130))
        const some = batch.filter(() => randomInt(2) === 0).map(({ lease }) => lease)
        const both = [queue!.extend('short', some, 100 + randomInt(100))] as Promise<unknown>[]
        const settlements = batch.map(({ lease, id }): Settlement & { id: string } => {
          const chance = randomInt(10)
          const kind = chance === 0 ? 'release' : 'done'
          return chance === 1 ? { lease, id, kind: 'retry', delayMs: randomInt(150) } : { lease, id, kind }
        })
        const settling = queue!.settle('short', settlements)
        await Promise.all([...both, settling])
        for (const [at, result] of (await settling).entries()) {
          const { id, kind } = settlements[at]!
          if (result === 'stale' || kind !== 'done') continue
          expect(batch[at]!.fencingToken, `${id} was settled by its last holder`).toBe(highest.get(id))
          ended.set(id, (ended.get(id) ?? 0) + 1)
        }
      }
    }
    const consuming = engines.flatMap((engine) => [consume(engine), consume(engine), consume(engine)])
    const queue = engines[0]!.queue!
    while (performance.now() < until) {
      const messages = Array.from({ length: 40 }, (_, at) => ({ id: `${sent.size + at}`, body: '{}' }))
      for (const { id } of messages) sent.add(id)
      await queue.send('short', messages)
      await delay(randomInt(60))
      const ids = messages.slice(0, 3).map(({ id }) => id)
      const results = await queue.cancel('short', ids)
      for (const [at, result] of results.entries()) if (result !== 'unknown') cancelled.add(ids[at]!)
      if (randomInt(40) === 0) purged += await queue.purge('short', 'waiting')
    }
    sending = false
    await Promise.all(consuming)
    for (const [id, times] of ended) expect(times, `${id} was handled`).toBe(1)
    const gone = new Set([...ended.keys(), ...cancelled])
    expect(sent.size - gone.size).toBe(purged)
    const admin = looking(url)
    await expect
      .poll(
        async () => (await admin.query('select count(*)::int as rows from spillway.lease')).rows[0].rows,
        {
          timeout: 10_000,
        },
      )
      .toBe(0)
      .catch(async (thrown) => {
        // Nobody looks any more: the next claim ends what is over.
        await queue.claim('short', { ...aClaim, waitMs: 2_500 })
        expect((await admin.query('select * from spillway.lease')).rows, `${thrown}`).toEqual([])
      })
    await Promise.all([...engines.map((engine) => engine.close()), admin.end()])
  }, 120_000)

  test('who waited for a lease that was divided meanwhile does not take what has ended from its new holder', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    for (const call of ['settle', 'extend'] as const) {
      const name = `divided-${call}`
      await queue.declare([name])
      await queue.send(name, [
        { id: 'a', body: '{}' },
        { id: 'b', body: '{}' },
      ])
      const [a, b] = (await queue.claim(name, { ...aClaim, leaseMs: 1_000 })).map(held)
      await queue.send(name, [{ id: 'c', body: '{}' }])
      const [c] = (await queue.claim(name, aClaim)).map(held)
      const [divides, waits, claims, holds] = await Promise.all([1, 2, 3, 4].map(() => connected(url)))
      // The lease of c is held, so that whoever wants both waits for it after he has that of b.
      await holds!.query('begin')
      await holds!.query('select from spillway.lease where token = $1 for update', [c!.token])
      await divides!.query('begin')
      await divides!.query(extend, [[a!.id], [a!.token], [60_000], [null]])
      const both = [
        [b!.id, c!.id],
        [b!.token, c!.token],
      ]
      const waiting =
        call === 'settle'
          ? waits!.query(settle, both)
          : waits!.query(extend, [...both, [60_000, 60_000], [null, null]])
      await untilWaiting(holds!, 1)
      await divides!.query('commit')
      await delay(1_500)
      await claims!.query('begin')
      const claimed = await claims!.query(claim, [name])
      expect(claimed.rows.flatMap(({ message_id }) => message_id ?? [])).toEqual(['b'])
      await holds!.query('commit')
      // By now it has both locks, or waits for the claim.
      await delay(300)
      await claims!.query('commit')
      const { rows } = await waiting
      if (call === 'settle') expect(rows).toEqual([{ id: b!.id }])
      else expect(rows.map(({ id }) => id)).toEqual([c!.id])
      const left = (await queue.peek(name, { limit: 9 })).map(({ id, state }) => [id, state])
      expect(left.slice(0, 2)).toEqual([
        ['a', 'leased'],
        ['b', 'leased'],
      ])
      await Promise.all([divides, waits, claims, holds].map((client) => client!.end()))
    }
    await engine.close()
  }, 60_000)

  test('the token is above all that the message had, whatever the clock says', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    await queue.declare(['clock'])
    await queue.send('clock', [{ id: 'a', body: '{}' }])
    const admin = looking(url)
    const ahead = 8_000_000_000_000_000
    await admin.query(`update spillway.message set token = ${ahead} where message_id = 'a'`)
    for (let times = 1; times <= 3; times++) {
      const [message] = await queue.claim('clock', aClaim)
      expect(message!.fencingToken).toBe(ahead + times)
      expect(await queue.settle('clock', [{ lease: message!.lease, kind: 'release' }])).toEqual(['settled'])
    }
    await Promise.all([engine.close(), admin.end()])
  })

  test('a process that freezes while it is given messages leaves them to others', async () => {
    expect(Number(sessionSettings.tcp_user_timeout)).toBeGreaterThan(0)
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    await queue.declare(['frozen'])
    const many = Array.from({ length: 1_000 }, (_, at) => ({ id: `${at}`, body: 'x'.repeat(20_000) }))
    await queue.send('frozen', many)
    const settings = Object.entries({ ...sessionSettings, tcp_user_timeout: '1500' })
    const options = settings.map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`).join(' ')
    const frozen = new pg.Client({ connectionString: url, options })
    frozen.on('error', () => {})
    await frozen.connect()
    const { stream } = (frozen as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection
    stream.once('data', () => stream.pause())
    const asking = frozen.query(claim, ['frozen'])
    asking.catch(() => {})
    // It has the locks of all that it is given.
    await expect.poll(() => waitsToWrite(url), { timeout: 10_000 }).toBe(1)
    expect(await queue.claim('frozen', aClaim)).toEqual([])
    let claimed = 0
    await expect
      .poll(async () => (claimed += (await queue.claim('frozen', { ...aClaim, limit: 2_000 })).length), {
        timeout: 30_000,
        interval: 200,
      })
      .toBe(1_000)
    ;(stream as unknown as { destroy(): void }).destroy()
    await engine.close()
  }, 60_000)
})

const settle = 'select settle_done as id from spillway.settle_done($1, $2)'
const extend = 'select id from spillway.extend_leases($1, $2, $3, $4)'
const claim =
  'select * from spillway.claim_messages((select id from spillway.queue where name = $1), 1000, 60000, 0, 1e12, 1000)'

function held({ lease }: { readonly lease: string }): { readonly id: string; readonly token: string } {
  const [, id = '', token = ''] = lease.split('.')
  return { id, token }
}

async function left(queue: NonNullable<Engine['queue']>): Promise<number> {
  const { ready, delayed, leased } = await queue.count('short')
  return ready + delayed + leased
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function untilWaiting(client: pg.Client, count: number): Promise<void> {
  const waiting = `select count(*)::int as count from pg_stat_activity where wait_event_type = 'Lock'`
  await expect.poll(async () => (await client.query(waiting)).rows[0].count, { timeout: 10_000 }).toBe(count)
}

async function waitsToWrite(url: string): Promise<number> {
  const client = await connected(url)
  const { rows } = await client.query(
    `select count(*)::int as count from pg_stat_activity where wait_event = 'ClientWrite' and pid <> pg_backend_pid()`,
  )
  await client.end()
  return rows[0].count
}
