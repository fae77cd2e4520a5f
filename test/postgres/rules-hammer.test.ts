// All rules at once, several engines, and connections that are cut at random: what was given to whom is written down, and checked
// afterwards. A cut connection leaves the caller without an answer, and the server with or without the deed.
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { ClaimedMessage, OutgoingMessage, Settlement } from '../../src/ports/queue.ts'
import { looking, onServers } from './on-servers.ts'

const rules = {
  keyOrder: true,
  priority: true,
  dedup: true,
  groups: { concurrency: 3 },
  concurrency: 6,
  rate: { count: 20, perMs: 100 },
}
const leaseMs = 1_500
const perKey = 60
const keys = Array.from({ length: 8 }, (_, at) => ({ key: `k${at}`, group: `g${at % 3}` }))
const free = 120

/** From the answer of the claim to the call that ends it, or to the earliest end of its lease: somebody surely holds it. */
interface Holding {
  readonly id: string
  readonly key: string | undefined
  readonly group: string
  readonly from: number
  to: number
}

class Journal {
  readonly holdings: Holding[] = []
  readonly starts: number[] = []
  /** Settled as done or as a dead letter, and the answer was heard. */
  readonly ended = new Map<string, number>()
  readonly errors = new Map<string, number>()

  claimed(message: ClaimedMessage, asked: number): Holding {
    const key = message.key
    const group = message.id.split(' ')[1]!
    const from = performance.now()
    const holding = { id: message.id, key, group, from, to: asked + leaseMs }
    this.holdings.push(holding)
    this.starts.push(from)
    return holding
  }

  failed(thrown: unknown): void {
    const { code } = thrown as { code?: string }
    this.errors.set(`${code}`, (this.errors.get(`${code}`) ?? 0) + 1)
    if (code !== 'ENGINE_UNAVAILABLE') throw thrown
  }
}

/** The most that are held at one time. */
function most(holdings: readonly Holding[]): number {
  const changes = holdings
    .filter(({ from, to }) => to > from)
    .flatMap(({ from, to }) => [
      { at: from, by: 1 },
      { at: to, by: -1 },
    ])
    .sort((a, b) => a.at - b.at || a.by - b.by)
  let now = 0
  let highest = 0
  for (const { by } of changes) {
    now += by
    highest = Math.max(highest, now)
  }
  return highest
}

/** Sends one after another, each until it is told that it is there: its deduplication key makes that once. */
async function send(engine: Engine, journal: Journal, messages: readonly OutgoingMessage[]): Promise<void> {
  for (const message of messages)
    for (;;) {
      try {
        await engine.queue!.send('q', [message])
        break
      } catch (thrown) {
        journal.failed(thrown)
      }
    }
}

async function consume(engine: Engine, journal: Journal, over: () => boolean): Promise<void> {
  const queue = engine.queue!
  while (!over()) {
    try {
      const asked = performance.now()
      const batch = await queue.claim('q', { limit: randomInt(1, 5), leaseMs, waitMs: 200 })
      const held = batch.map((message) => ({ message, holding: journal.claimed(message, asked) }))
      for (const { message, holding } of held) {
        await delay(randomInt(0, 12))
        const { lease } = message
        const chance = randomInt(10)
        const settlement: Settlement =
          chance === 0
            ? { lease, kind: 'retry', delayMs: randomInt(30), reason: 'again' }
            : chance === 1
              ? { lease, kind: 'release' }
              : chance === 2
                ? { lease, kind: 'dead-letter', reason: 'broken' }
                : { lease, kind: 'done' }
        if (chance === 3) await queue.extend('q', [lease], leaseMs)
        holding.to = Math.min(holding.to, performance.now())
        const [result] = await queue.settle('q', [settlement])
        if (result === 'settled' && chance > 1)
          journal.ended.set(message.id, (journal.ended.get(message.id) ?? 0) + 1)
      }
    } catch (thrown) {
      journal.failed(thrown)
    }
  }
}

await onServers('rules under fire', { settings: { deadlock_timeout: '200ms' } }, (server) => {
  test('limits, lines and keys hold while connections are cut', async () => {
    const { url } = server()
    const admin = looking(url)
    const engines = await Promise.all([1, 2, 3].map(() => postgres({ url, poolSize: 4 })))
    await engines[0]!.queue!.declare(['q'], rules)
    const journal = new Journal()
    const start = performance.now()
    let left = true
    let cuts = 0
    const cutting = (async () => {
      while (performance.now() - start < 6_000) {
        await delay(randomInt(20, 80))
        const { rowCount } = await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'spillway' and pid <> pg_backend_pid() order by random() limit 1`)
        cuts += rowCount ?? 0
      }
    })()
    const total = keys.length * perKey + free
    const sending = [
      ...keys.map(({ key, group }, at) =>
        send(
          engines[at % 3]!,
          journal,
          Array.from({ length: perKey }, (_, n) => ({
            id: `${n} ${group} ${key}`,
            key,
            group,
            body: '{}',
            priority: randomInt(-2, 3),
            dedup: { key: `${key} ${n}`, forMs: 600_000 },
          })),
        ),
      ),
      send(
        engines[0]!,
        journal,
        Array.from({ length: free }, (_, n) => ({
          id: `${n} g${n % 3} free`,
          group: `g${n % 3}`,
          body: '{}',
          dedup: { key: `free ${n}`, forMs: 600_000 },
        })),
      ),
    ]
    const consuming = [0, 1, 2, 0, 1, 2].map((at) => consume(engines[at]!, journal, () => !left))
    await Promise.all([...sending, cutting])
    for (;;) {
      // Idle connections that were cut are told of by the next calls on them.
      const counted = await engines[0]!.queue!.count('q').catch((thrown) => journal.failed(thrown))
      if (counted && counted.ready + counted.delayed + counted.leased === 0) break
      expect(performance.now() - start, 'all is handled').toBeLessThan(60_000)
      await delay(100)
    }
    left = false
    await Promise.all(consuming)

    expect(cuts).toBeGreaterThan(20)
    const { holdings, starts, ended } = journal
    expect(new Set(holdings.map(({ id }) => id)).size, 'all were given to somebody').toBe(total)
    expect(most(holdings)).toBeLessThanOrEqual(6)
    for (const group of ['g0', 'g1', 'g2'])
      expect(most(holdings.filter((one) => one.group === group))).toBeLessThanOrEqual(3)
    for (const { key } of keys) {
      const line = holdings.filter((one) => one.key === key)
      expect(most(line), `of ${key} at once`).toBe(1)
      const numbers = line.map(({ id }) => Number.parseInt(id, 10))
      expect(numbers, `the order of ${key}`).toEqual(numbers.toSorted((a, b) => a - b))
    }
    for (const [id, times] of ended) expect(times, `${id} ended`).toBe(1)
    for (const [at, time] of starts.toSorted((a, b) => a - b).entries())
      expect(time - start, `start ${at + 1}`).toBeGreaterThan((at + 1 - 20) * 5 - 5)
    const { rows } = await admin.query(
      'select deadlocks::int from pg_stat_database where datname = current_database()',
    )
    expect(rows[0].deadlocks).toBe(0)
    await Promise.all(engines.map((engine) => engine.close()))
    await admin.end()
  }, 90_000)
})
