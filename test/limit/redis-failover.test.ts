// Nodes of a real Redis cluster that fail: a replica takes over, and a node that was never reached takes slots and dies.
import { describe, expect, test, vi } from 'vitest'
import { logOf } from '../../src/core/bucket/log.ts'
import { redis as open } from '../../src/engines/redis/engine.ts'
import { slotOf } from '../../src/engines/redis/slot.ts'
import type { LimitPort } from '../../src/ports/limit.ts'
import { type RunningServer, redis, redisCluster } from '../servers/index.ts'
import { command } from './redis-command.ts'

const missing = await redis.missing()
const soon = { timeout: 40_000, interval: 100 }
const day = logOf(100, 86_400_000_000)

/** A bucket whose slot is in the `third` third. */
function bucketIn(third: number): string {
  for (let number = 0; ; number++) {
    const slot = slotOf(`spillway:limit:${number}`)
    if (Math.floor((slot * 3) / 16_384) === third) return `${number}`
  }
}
const buckets = [0, 1, 2].map(bucketIn)

/** Of each, one unit or none; what is left. */
async function take(limit: LimitPort, names: readonly string[], cost: number): Promise<readonly number[]> {
  const asks = names.map((bucket) => ({ bucket, algorithm: day, used: 0, cost, hold: 0 }))
  const [verdict] = await limit.exchange([{ holder: 'h', leaseMs: 1_000, asks }])
  return verdict!.buckets.map(({ available }) => available)
}

/** Makes it known to the cluster of the other. */
async function meet(known: RunningServer, node: RunningServer): Promise<void> {
  const [, busPort] = /@(\d+)/.exec(String(await command(node, 'CLUSTER', 'NODES')))!
  await command(known, 'CLUSTER', 'MEET', '127.0.0.1', new URL(node.url).port, busPort!)
}

describe.skipIf(missing !== undefined)(`a cluster${missing === undefined ? '' : ` (${missing})`}`, () => {
  test('a node dies and its replica takes over: running processes go on with what was taken, and others can be started', async () => {
    await using cluster = await redisCluster(3, 1)
    const engine = await open({ url: cluster.url })
    expect(await take(engine.limit!, buckets, 3)).toEqual([97, 97, 97])
    await vi.waitFor(async () => {
      const info = String(await command(cluster.nodes[0]!, 'INFO', 'replication'))
      expect(/slave0:.*offset=(\d+)/.exec(info)?.[1]).toBe(/master_repl_offset:(\d+)/.exec(info)![1])
    }, soon)
    await cluster.nodes[0]!.kill()
    await vi.waitFor(async () => expect(await take(engine.limit!, buckets, 0)).toEqual([97, 97, 97]), soon)
    // The first node of its url is away.
    const later = await open({ url: cluster.url })
    expect(await take(later.limit!, buckets, 1)).toEqual([96, 96, 96])
    await Promise.all([later.close(), engine.close()])
  }, 90_000)

  test('a node that was never reached gets slots and dies: who asks for those is told, others are answered, and it goes on when another has them', async () => {
    await using cluster = await redisCluster(3)
    await using fourth = await redis.start({ cluster: 'node', persistence: 'none' })
    const engine = await open({ url: cluster.url })
    expect(await take(engine.limit!, buckets, 1)).toEqual([99, 99, 99])
    const everybody = [...cluster.nodes, fourth]
    for (const node of everybody) await command(node, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    await meet(cluster.nodes[0]!, fourth)
    const id = String(await command(fourth, 'CLUSTER', 'MYID'))
    await vi.waitFor(async () => {
      for (const node of everybody)
        expect(await command(node, 'CLUSTER', 'NODES')).toMatch(new RegExp(`${id} \\S+ (myself,)?master `))
    }, soon)
    const lost = '{moved}'
    for (const node of [fourth, ...cluster.nodes])
      await command(node, 'CLUSTER', 'SETSLOT', `${slotOf(lost)}`, 'NODE', id)
    await fourth.kill()
    // Many more than may be on their way at a time.
    const asked = Array.from({ length: 3_000 }, () => take(engine.limit!, [lost], 1))
    for (const outcome of await Promise.allSettled(asked))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_UNAVAILABLE' } })
    await vi.waitFor(async () => expect(await take(engine.limit!, buckets, 0)).toEqual([99, 99, 99]), soon)
    // Nobody tells the engine: for this slot it asks the dead one.
    const first = String(await command(cluster.nodes[0]!, 'CLUSTER', 'MYID'))
    for (const node of cluster.nodes)
      await command(node, 'CLUSTER', 'SETSLOT', `${slotOf(lost)}`, 'NODE', first)
    await vi.waitFor(async () => expect(await take(engine.limit!, [lost], 0)).toEqual([100]), soon)
    await engine.close()
  }, 90_000)

  test('several hosts that are no cluster are refused: it would be one of them, and who knows which', async () => {
    await using one = await redis.start({ persistence: 'none' })
    await expect(open({ url: `${one.url},127.0.0.1:1` })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  }, 60_000)
})
