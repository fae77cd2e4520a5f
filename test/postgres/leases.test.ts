// Leases of queues without rules: rows of their own, which the server may forget when it crashes (decision 14).
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { ClaimedMessage, Settlement } from '../../src/ports/queue.ts'
import { looking, onServers } from './on-servers.ts'

const patience = { timeout: 20_000, interval: 50 }

/** From the answer of a claim to the call that ends it: for so long nobody else may have it. */
interface Holding {
  readonly id: string
  readonly token: number
  readonly from: number
  readonly to: number
}

await onServers('leases', { settings: { deadlock_timeout: '200ms' } }, (server) => {
  test('many claims of few messages each: none has two holders, none is handled twice, and no lease stays', async () => {
    const { url } = server()
    const admin = looking(url)
    const engines = await Promise.all([1, 2, 3, 4].map(() => postgres({ url, poolSize: 4 })))
    await engines[0]!.queue!.declare(['many'])
    const total = 3_000
    const holdings: Holding[] = []
    const ended = new Map<string, number>()
    const cancelled = new Set<string>()
    let left = true
    const consume = async ({ queue }: Engine) => {
      while (left) {
        const batch = await queue!.claim('many', { limit: randomInt(1, 12), leaseMs: 60_000, waitMs: 50 })
        const from = performance.now()
        const some = batch.filter(() => randomInt(4) === 0).map(({ lease }) => lease)
        // Divides the lease.
        for (const result of await queue!.extend('many', some, 50_000)) expect(result).not.toBe('stale')
        const settlements = batch.map(({ lease }) => settlement(lease))
        const to = performance.now()
        const parts = [settlements.slice(0, 3), settlements.slice(3)]
        const results = (await Promise.all(parts.map((part) => queue!.settle('many', part)))).flat()
        for (const [at, { id, fencingToken }] of batch.entries()) {
          holdings.push({ id, token: fencingToken, from, to })
          expect(results[at], `settling ${id}`).toBe('settled')
          if (settlements[at]!.kind === 'done') ended.set(id, (ended.get(id) ?? 0) + 1)
        }
      }
    }
    const consuming = engines.flatMap((engine) => [consume(engine), consume(engine)])
    for (let sent = 0; sent < total; sent += 100) {
      const messages = Array.from({ length: 100 }, (_, at) => ({ id: `${sent + at}`, body: '{}' }))
      await engines[sent % 3]!.queue!.send('many', messages)
      if (sent % 500 === 0) {
        const ids = [`${sent + 7}`, `${sent + 8}`]
        const results = await engines[3]!.queue!.cancel('many', ids)
        for (const [at, result] of results.entries()) if (result !== 'unknown') cancelled.add(ids[at]!)
      }
    }
    await expect
      .poll(
        async () => {
          const { ready, delayed, leased, dead } = await engines[0]!.queue!.count('many')
          return { waiting: ready + delayed + leased, dead }
        },
        { timeout: 60_000, interval: 200 },
      )
      .toEqual({ waiting: 0, dead: 0 })
    left = false
    await Promise.all(consuming)
    for (const [id, times] of ended) expect(times, `${id} was handled`).toBe(1)
    const all = new Set([...ended.keys(), ...cancelled])
    expect(all.size).toBe(total)
    const latest = new Map<string, Holding>()
    for (const holding of holdings.toSorted((a, b) => a.token - b.token)) {
      const before = latest.get(holding.id)
      if (before) expect(before.to, `${holding.id} was held by one`).toBeLessThanOrEqual(holding.from)
      if (before) expect(before.token).toBeLessThan(holding.token)
      latest.set(holding.id, holding)
    }
    expect((await admin.query('select * from spillway.lease')).rows).toEqual([])
    await Promise.all([...engines.map((engine) => engine.close()), admin.end()])
  }, 120_000)

  test('who was claimed together and is not extended comes again in its time, suspect and with a start more', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    await queue.declare(['divided'])
    await queue.send(
      'divided',
      ['a', 'b', 'c', 'd'].map((id) => ({ id, body: '{}' })),
    )
    const first = await claim(engine, 'divided', 4, 1_500)
    expect(first.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
    const [a, b, c, d] = first.map(({ lease }) => lease)
    expect(await queue.extend('divided', [a!, c!], 60_000)).toEqual(['extended', 'extended'])
    expect(await queue.settle('divided', [{ lease: b!, kind: 'done' }])).toEqual(['settled'])
    expect((await queue.peek('divided', { limit: 9 })).map(({ id, state }) => [id, state])).toEqual([
      ['a', 'leased'],
      ['c', 'leased'],
      ['d', 'leased'],
    ])
    const again = await queue.claim('divided', { limit: 9, leaseMs: 60_000, waitMs: 20_000 })
    expect(again.map(({ id, starts, suspect }) => [id, starts, suspect])).toEqual([['d', 2, true]])
    expect(again[0]!.fencingToken).toBeGreaterThan(first[3]!.fencingToken)
    const ends = [a!, b!, c!, d!].map((lease): Settlement => ({ lease, kind: 'done' }))
    expect(await queue.settle('divided', ends)).toEqual(['settled', 'stale', 'settled', 'stale'])
    expect(await queue.count('divided')).toMatchObject({ ready: 0, leased: 1 })
    await engine.close()
  }, 60_000)

  test('the server crashes: leases are forgotten, their holders stale, no message is lost and none comes that was cancelled', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const queue = engine.queue!
    await queue.declare(['crash'])
    await queue.send(
      'crash',
      ['a', 'b', 'c', 'd'].map((id) => ({ id, body: '{}' })),
    )
    const held = await claim(engine, 'crash', 4, 60_000)
    const [a, b, c, d] = held.map(({ lease }) => lease)
    expect(await queue.cancel('crash', ['b'])).toEqual(['signalled'])
    await queue.settle('crash', [
      { lease: c!, kind: 'retry', delayMs: 0 },
      { lease: d!, kind: 'done' },
    ])
    await server().kill()
    await server().restart()
    await expect
      .poll(() => queue.count('crash').catch(() => undefined), patience)
      .toMatchObject({ ready: 2, leased: 0 })
    for (const lease of [a!, b!])
      expect(await queue.settle('crash', [{ lease, kind: 'done' }])).toEqual(['stale'])
    expect(await queue.extend('crash', [a!], 60_000)).toEqual(['stale'])
    const again: ClaimedMessage[] = []
    await expect
      .poll(async () => {
        again.push(...(await claim(engine, 'crash', 9, 60_000)))
        return again.map(({ id }) => id).sort()
      }, patience)
      .toEqual(['a', 'c'])
    for (const message of again)
      expect(message.fencingToken).toBeGreaterThan(held.find(({ id }) => id === message.id)!.fencingToken)
    expect(await queue.settle('crash', [{ lease: a!, kind: 'done' }])).toEqual(['stale'])
    const ends = again.map(({ lease }): Settlement => ({ lease, kind: 'done' }))
    expect(await queue.settle('crash', ends)).toEqual(['settled', 'settled'])
    expect(await queue.count('crash')).toMatchObject({ ready: 0, delayed: 0, leased: 0 })
    await delay(300)
    expect(await claim(engine, 'crash', 9, 60_000)).toEqual([])
    await engine.close()
  }, 120_000)
})

function claim({ queue }: Engine, name: string, limit: number, leaseMs: number): Promise<ClaimedMessage[]> {
  return queue!.claim(name, { limit, leaseMs, waitMs: 0 })
}

function settlement(lease: string): Settlement {
  const chance = randomInt(10)
  if (chance === 0) return { lease, kind: 'retry', delayMs: randomInt(20), reason: 'again' }
  if (chance === 1) return { lease, kind: 'release' }
  return { lease, kind: 'done' }
}
