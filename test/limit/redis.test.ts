// Limits on a real Redis server: it dies and comes back, it is silent, several processes ask at once, keys end, a cluster.
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createClient } from '@redis/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Algorithm } from '../../src/core/bucket/algorithm.ts'
import { exchange, freshBucket, isForgettable, type SharedBucket } from '../../src/core/bucket/exchange.ts'
import { logOf } from '../../src/core/bucket/log.ts'
import { slidingWindow } from '../../src/core/bucket/sliding-window.ts'
import { tokenBucket } from '../../src/core/bucket/token-bucket.ts'
import { redis as open } from '../../src/engines/redis/engine.ts'
import type { BucketAsk, LimitExchange } from '../../src/ports/limit.ts'
import { type RunningServer, redis } from '../servers/index.ts'
import { perUs, quick, scarce, type Told } from './redis-process.ts'

const missing = await redis.missing()
const soon = { timeout: 20_000, interval: 50 }
const day = logOf(10, 86_400_000_000)

function request(bucket: string, algorithm: Algorithm, more: Partial<BucketAsk> = {}): LimitExchange {
  return { holder: 'h', leaseMs: 1_000, asks: [{ bucket, algorithm, used: 0, cost: 0, hold: 0, ...more }] }
}

describe.skipIf(missing !== undefined)(`Redis${missing === undefined ? '' : ` (${missing})`}`, () => {
  let server: RunningServer
  beforeAll(async () => {
    server = await redis.start()
  })
  afterAll(() => server?.stop())

  test('the server is killed and started again: refused soon, kept, and going on by itself', async () => {
    const engine = await open({ url: server.url })
    const limit = engine.limit!
    await limit.exchange([request('kept', day, { cost: 3 })])
    await server.kill()
    const began = performance.now()
    for (const outcome of await Promise.allSettled(
      Array.from({ length: 300 }, () => limit.exchange([request('kept', day)])),
    ))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_UNAVAILABLE' } })
    expect(performance.now() - began).toBeLessThan(5_000)
    await server.restart()
    await vi.waitFor(async () => {
      const [verdict] = await limit.exchange([request('kept', day)])
      expect(verdict?.buckets[0]?.available).toBe(7)
    }, soon)
    await engine.close()
  }, 60_000)

  test('a silent server: whoever asks has an answer in time, and it goes on with the server', async () => {
    const engine = await open({ url: server.url, timeoutMs: 300 })
    const limit = engine.limit!
    await limit.exchange([request('silent', day, { cost: 1 })])
    process.kill(server.pid!, 'SIGSTOP')
    try {
      const began = performance.now()
      const calls = Array.from({ length: 500 }, () => limit.exchange([request('silent', day)]))
      for (const outcome of await Promise.allSettled(calls))
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_UNAVAILABLE' } })
      expect(performance.now() - began).toBeLessThan(5_000)
    } finally {
      process.kill(server.pid!, 'SIGCONT')
    }
    await vi.waitFor(async () => {
      const [verdict] = await limit.exchange([request('silent', day)])
      expect(verdict?.buckets[0]?.available).toBe(9)
    }, soon)
    await engine.close()
  }, 60_000)

  test('several processes, one of them killed, never exceed the rule; leases sum to it', async () => {
    const program = fileURLToPath(new URL('./redis-process.ts', import.meta.url))
    const allowed: number[] = []
    const used = new Map<ChildProcess, number>()
    const ended: Promise<unknown>[] = []
    const are = { ready: 0, settled: 0 }
    const children = Array.from({ length: 4 }, () => {
      const child = fork(program, [server.url], { execArgv: [] })
      ended.push(new Promise((resolve) => child.once('exit', resolve)))
      used.set(child, 0)
      child.on('message', (told: Told) => {
        allowed.push(...told.allowedUs)
        used.set(child, used.get(child)! + told.used)
        if (told.is) are[told.is] += 1
      })
      return child
    })
    await vi.waitFor(() => expect(are.ready).toBe(4), soon)
    for (const child of children) child.send('go')
    const busy = () => {
      expect([...used.values()].every((units) => units > 20)).toBe(true)
      expect(allowed.length).toBeGreaterThan(60)
    }
    await vi.waitFor(busy, soon)
    children[0]!.kill('SIGKILL')
    const before = allowed.length
    await vi.waitFor(() => expect(allowed.length).toBeGreaterThan(before + 40), soon)
    for (const child of children.slice(1)) child.send('over')
    await Promise.all(ended)
    expect(are.settled).toBe(3)
    allowed.sort((a, b) => a - b)
    for (const [index, at] of allowed.entries()) {
      const earlier = allowed[index - quick.algorithm.limit]
      if (earlier !== undefined) expect(at - earlier).toBeGreaterThanOrEqual(perUs)
    }
    // The lease of the killed one ends: what it had counts as used.
    const engine = await open({ url: server.url })
    await vi.waitFor(async () => {
      const [verdict] = await engine.limit!.exchange([request(scarce.bucket, scarce.algorithm)])
      const total = [...used.values()].reduce((sum, units) => sum + units, 0)
      const left = verdict!.buckets[0]!.available
      expect(total + left).toBeLessThanOrEqual(scarce.algorithm.capacity)
      // It may have been killed before it told of its last.
      expect(total + left).toBeGreaterThanOrEqual(scarce.algorithm.capacity - 2)
    }, soon)
    await engine.close()
  }, 60_000)

  test('every key ends, and none before its bucket says the same as one that nobody used', async () => {
    const engine = await open({ url: `${server.url}?prefix=ends` })
    const client = createClient({ url: server.url })
    client.on('error', () => {})
    await client.connect()
    const calendar = () =>
      ({ kind: 'calendar-window', limit: 5, endUs: Date.now() * 1_000 + 50_000 }) as const
    const kinds: readonly (() => Algorithm)[] = [
      () => tokenBucket(20, 3, 700_000)!,
      () => tokenBucket(1_000, 1, 60_000_000)!,
      () => logOf(6, 900_000),
      () => slidingWindow(80, 3_000_000),
      () => ({ kind: 'fixed-window', limit: 8, perUs: 400_000 }),
      calendar,
      () => ({ kind: 'concurrency', limit: 9 }),
    ]
    const model = new Map<string, SharedBucket>()
    const algorithms = new Map<string, Algorithm>()
    const below = (bound: number) => Math.floor(Math.random() * bound)
    for (let step = 0; step < 200; step++) {
      const kind = below(kinds.length)
      const [bucket, algorithm] = [`${kind} ${below(6)}`, kinds[kind]!()]
      const isHeld = algorithm.kind === 'concurrency'
      const asked: LimitExchange = {
        holder: `h${below(3)}`,
        leaseMs: 1 + below(3_000),
        asks: [
          {
            bucket,
            algorithm,
            used: below(3),
            cost: below(4),
            hold: below(3) * below(4),
            ...(isHeld ? {} : { penalty: below(5) === 0 ? below(9) : 0 }),
          },
        ],
      }
      const [verdict] = await engine.limit!.exchange([asked])
      const kept = model.get(bucket) ?? freshBucket(algorithm)
      model.set(bucket, kept)
      algorithms.set(bucket, algorithm)
      expect(verdict).toEqual(exchange([kept], asked, verdict!.nowUs))
    }
    const clock = await client.sendCommand(['TIME'])
    const [seconds, micros] = clock as unknown as [string, string]
    const nowUs = Number(seconds) * 1_000_000 + Number(micros)
    const keys = await client.keys('ends:*')
    assert.ok(keys.length > 20)
    for (const key of keys) {
      const leftMs = await client.pTTL(key)
      expect(leftMs, key).toBeGreaterThan(0)
      expect(leftMs, key).toBeLessThan(3_600_000 + 20_000_000)
      const name = key.slice('ends:limit:'.length)
      const bucket = structuredClone(model.get(name)!)
      const algorithm = algorithms.get(name)!
      if (algorithm.kind === 'calendar-window') {
        // Its leases end in its window, and then the next one comes.
        isForgettable(bucket, nowUs + leftMs * 1_000)
        bucket.algorithm = { ...algorithm, endUs: nowUs + leftMs * 1_000 }
      }
      expect(isForgettable(bucket, nowUs + leftMs * 1_000), key).toBe(true)
    }
    await client.close()
    await engine.close()
  }, 60_000)
})
