// Requests over several slots of a real Redis cluster of three nodes: all or nothing, whoever asks at the same time, and whoever is killed in between.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { exchange, freshBucket, type SharedBucket } from '../../src/core/bucket/exchange.ts'
import { logOf } from '../../src/core/bucket/log.ts'
import { slidingWindow } from '../../src/core/bucket/sliding-window.ts'
import { tokenBucket } from '../../src/core/bucket/token-bucket.ts'
import { loadClient } from '../../src/engines/redis/client.ts'
import { redis as open } from '../../src/engines/redis/engine.ts'
import { script } from '../../src/engines/redis/exchange-script.ts'
import { openLink } from '../../src/engines/redis/link.ts'
import { decideOverSlots } from '../../src/engines/redis/over-slots.ts'
import { packed, unpacked } from '../../src/engines/redis/pack.ts'
import { slotOf } from '../../src/engines/redis/slot.ts'
import { parseUrl } from '../../src/engines/redis/url.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { BucketAsk, LimitExchange, LimitVerdict } from '../../src/ports/limit.ts'
import { type RedisCluster, redis, redisCluster } from '../servers/index.ts'
import { inFlight, names, scarce, type Told } from './redis-cluster-process.ts'

const missing = await redis.missing()
const soon = { timeout: 20_000, interval: 50 }
const dayUs = 86_400_000_000
/** Nothing comes back of these while a test lasts. */
const slow: readonly BucketAsk['algorithm'][] = [
  tokenBucket(20, 1, dayUs)!,
  logOf(6, dayUs),
  slidingWindow(70, 16 * dayUs),
  { kind: 'fixed-window', limit: 9, perUs: dayUs },
  { kind: 'concurrency', limit: 5 },
  { kind: 'ban', limit: 5, withinUs: dayUs, forUs: dayUs, upToUs: 4 * dayUs },
]

function request(
  asks: readonly (Partial<BucketAsk> & Pick<BucketAsk, 'bucket' | 'algorithm'>)[],
  holder = 'h',
): LimitExchange {
  return {
    holder,
    leaseMs: 600_000,
    asks: asks.map((ask) => ({ used: 0, cost: 0, hold: 0, ...ask })),
  }
}

let runs = 0

describe.skipIf(missing !== undefined)(`three nodes${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: RedisCluster
  let engines: readonly Engine[] = []
  beforeAll(async () => {
    cluster = await redisCluster(3)
    // On a machine that is busy an answer takes its time.
    const patient = () => open({ url: cluster.url, timeoutMs: 10_000 })
    engines = [await patient(), await patient(), await patient()]
  }, 60_000)
  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close()))
    await cluster?.stop()
  })
  const ask = async (asked: LimitExchange, by = 0): Promise<LimitVerdict> =>
    (await engines[by]!.limit!.exchange([asked]))[0]!
  const availableOf = async (bucket: string, algorithm: BucketAsk['algorithm']): Promise<number> =>
    (await ask(request([{ bucket, algorithm }], 'looks'))).buckets[0]!.available

  test('one after the other they are answered as the arithmetic answers them: what is refused consumes nothing', async () => {
    const one = fc.record({
      holder: fc.constantFrom('h0', 'h1'),
      asks: fc.uniqueArray(
        fc.record({
          kind: fc.nat(slow.length - 1),
          bucket: fc.nat(1),
          used: fc.nat(3),
          cost: fc.nat(4),
          hold: fc.nat(3),
          penalty: fc.constantFrom(0, 0, 0, 2),
        }),
        { selector: ({ kind, bucket }) => `${kind} ${bucket}`, minLength: 1, maxLength: 5 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 5, maxLength: 12 }), async (steps) => {
        runs += 1
        const model = new Map<string, SharedBucket>(
          slow.flatMap((algorithm, kind) =>
            [0, 1].map((bucket) => [`${runs} ${kind} ${bucket}`, freshBucket(algorithm)] as const),
          ),
        )
        for (const { holder, asks } of steps) {
          const asked = request(
            asks.map(({ kind, bucket, penalty, ...rest }) => ({
              ...rest,
              bucket: `${runs} ${kind} ${bucket}`,
              algorithm: slow[kind]!,
              ...(slow[kind]!.kind === 'concurrency' ? {} : { penalty }),
            })),
            holder,
          )
          const verdict = await ask(asked)
          const buckets = asked.asks.map(({ bucket }) => model.get(bucket)!)
          const expected = exchange(buckets, asked, verdict.nowUs)
          const seen = ({ allowed, buckets }: LimitVerdict) => ({
            allowed,
            buckets: buckets.map(({ available, held }) => ({ available, held })),
          })
          expect(seen(verdict), JSON.stringify(asked)).toEqual(seen(expected))
        }
      }),
      { numRuns: 25 },
    )
  }, 60_000)

  test('several at the same time never take more than there is, and what is refused is there for others', async () => {
    const wish = fc.record({
      by: fc.nat(2),
      buckets: fc.uniqueArray(fc.nat(4), { minLength: 2, maxLength: 4 }),
      cost: fc.constantFrom(1, 1, 2),
    })
    const algorithm = logOf(8, dayUs)
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { minLength: 10, maxLength: 40 }), async (wishes) => {
        runs += 1
        const name = (bucket: number) => `${runs} ${bucket}`
        const taken = [0, 0, 0, 0, 0]
        await Promise.all(
          wishes.map(async ({ by, buckets, cost }) => {
            const asks = buckets.map((bucket) => ({ bucket: name(bucket), algorithm, cost }))
            if ((await ask(request(asks), by)).allowed) for (const bucket of buckets) taken[bucket]! += cost
          }),
        )
        // Whatever was held for those that were refused has been given back, and not a unit more.
        for (const [bucket, units] of taken.entries())
          expect(await availableOf(name(bucket), algorithm)).toBe(algorithm.limit - units)
      }),
      { numRuns: 15 },
    )
  }, 60_000)

  test('what was taken is given back to the unit, by the time that was told of its bucket', async () => {
    const asked = slow
      .filter(({ kind }) => kind !== 'concurrency' && kind !== 'ban')
      .map((algorithm, index) => ({ bucket: `refund ${index}`, algorithm, cost: 3 }))
    const { allowed, buckets } = await ask(request(asked))
    expect(allowed).toBe(true)
    const back = asked.map((one, index) => ({
      ...one,
      cost: 0,
      refund: { units: 3, takenUs: buckets[index]!.takenUs },
    }))
    const { buckets: after } = await ask(request(back))
    const fresh = await ask(request(asked.map((one) => ({ ...one, cost: 0, bucket: `fresh ${one.bucket}` }))))
    expect(after.map(({ available }) => available)).toEqual(fresh.buckets.map(({ available }) => available))
  })

  test('who is killed between the phases holds what he held until its end; then it counts as used, once, and what was leased is free', async () => {
    const link = await openLink(await loadClient(), parseUrl(cluster.url), {}, 5_000)
    const [log, concurrency] = [logOf(10, dayUs), { kind: 'concurrency', limit: 10 } as const]
    const costing = ['killed a', 'killed b', 'killed c'].map((bucket) => ({
      bucket,
      algorithm: log,
      cost: 4,
    }))
    const dead: LimitExchange = {
      ...request([...costing, { bucket: 'killed d', algorithm: concurrency, cost: 4 }], 'dead'),
      leaseMs: 1_500,
    }
    const held: boolean[] = []
    // The second phase is never sent.
    const die = (asked: LimitExchange) =>
      void decideOverSlots(
        asked,
        asked.asks.map(({ bucket }) => slotOf(`spillway:limit:${bucket}`)),
        {
          name: `dead ${Math.random()}`,
          holdMs: 1_500,
          async submit(requests, _slot, anyway) {
            if (anyway) return await new Promise(() => {})
            const args = packed(requests, 'spillway:limit:', Number.MAX_SAFE_INTEGER)
            const answer = (await link.send(args[1] as string, ['EVAL', script, ...args])) as number[]
            const verdicts = unpacked(requests, answer)
            held.push(verdicts[0]!.allowed)
            return verdicts
          },
        },
      )
    die(dead)
    await vi.waitFor(() => expect(held).toHaveLength(4), soon)
    expect(held).toEqual([true, true, true, true])
    const look = async () =>
      Promise.all(dead.asks.map(({ bucket, algorithm }) => availableOf(bucket, algorithm)))
    // It may be over already where the machine is slow: what is counted then is the same, and what is in use is free.
    const before = await look()
    expect(before.slice(0, 3)).toEqual([6, 6, 6])
    await vi.waitFor(async () => expect(await look()).toEqual([6, 6, 6, 10]), soon)
    const more = await ask(request(costing.map((one) => ({ ...one, cost: 6 }))))
    expect(more.allowed).toBe(true)
    expect(await look()).toEqual([0, 0, 0, 10])
    await link.close()
  }, 60_000)

  test('processes that ask over all nodes, one of them killed, never get more than there is', async () => {
    const program = fileURLToPath(new URL('./redis-cluster-process.ts', import.meta.url))
    const allowed = new Map<ChildProcess, number>()
    const ended: Promise<unknown>[] = []
    let ready = 0
    const children = Array.from({ length: 3 }, () => {
      const child = fork(program, [cluster.url], { execArgv: [] })
      ended.push(new Promise((resolve) => child.once('exit', resolve)))
      child.on('message', (told: Told) => {
        if (told === 'ready') ready += 1
        else allowed.set(child, (allowed.get(child) ?? 0) + told)
      })
      return child
    })
    await vi.waitFor(() => expect(ready).toBe(3), soon)
    for (const child of children) child.send('go')
    await vi.waitFor(() => expect(children.every((child) => (allowed.get(child) ?? 0) > 20)).toBe(true), soon)
    children[0]!.kill('SIGKILL')
    const total = () => [...allowed.values()].reduce((sum, one) => sum + one, 0)
    const then = total()
    await vi.waitFor(() => expect(total()).toBeGreaterThan(then + 50), soon)
    for (const child of children.slice(1)) child.send('over')
    await Promise.all(ended)
    await vi.waitFor(async () => {
      const left = await Promise.all(names.map((bucket) => availableOf(bucket, scarce)))
      for (const units of left) {
        expect(total() + units).toBeLessThanOrEqual(scarce.limit)
        // What the killed one held, or had not told of.
        expect(total() + units).toBeGreaterThanOrEqual(scarce.limit - 2 * inFlight)
      }
    }, soon)
  }, 60_000)

  test('who closes the engine is answered what was asked before, also between the phases', async () => {
    const engine = await open({ url: cluster.url })
    const asks = ['closed a', 'closed b', 'closed c'].map((bucket) => ({
      bucket,
      algorithm: logOf(10, dayUs),
      cost: 4,
    }))
    const asked = Array.from({ length: 3 }, () => engine.limit!.exchange([request(asks)]))
    const closing = engine.close()
    const verdicts = (await Promise.all(asked)).map(([verdict]) => verdict!.allowed)
    await closing
    const allowed = verdicts.filter((each) => each).length
    for (const { bucket, algorithm } of asks)
      expect(await availableOf(bucket, algorithm)).toBe(10 - 4 * allowed)
  })

  test('requests of one bucket each go to as many slots as there are buckets', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `bucket ${index % 100}`)
    const algorithm = logOf(10, dayUs)
    const verdicts = await engines[0]!.limit!.exchange(
      names.map((bucket) => request([{ bucket, algorithm, cost: 1 }])),
    )
    expect(verdicts.map(({ buckets }) => buckets[0]!.available)).toEqual(
      names.map((_, index) => (index < 100 ? 9 : 8)),
    )
    expect(engines[0]!.durability.weaknesses.join()).toMatch(/failover/)
  })
})
