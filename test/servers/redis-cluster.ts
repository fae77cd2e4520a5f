/** A cluster of Redis on this machine: several nodes, each with its part of the slots, none with a replica. */
import { setTimeout as delay } from 'node:timers/promises'
import { ask } from './ask.ts'
import type { RunningServer } from './launcher.ts'
import { redis } from './redis.ts'

export interface RedisCluster extends AsyncDisposable {
  /** All nodes: `redis://127.0.0.1:1,127.0.0.1:2`. */
  readonly url: string
  readonly nodes: readonly RunningServer[]
  stop(): Promise<void>
}

const slots = 16_384
const withinMs = 30_000

/** Resolves when every node says that the cluster is whole. Keeps nothing on disk. */
export async function redisCluster(count = 3): Promise<RedisCluster> {
  const nodes: RunningServer[] = []
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    for (let at = 0; at < count; at++) nodes.push(await redis.start({ cluster: 'node', persistence: 'none' }))
    const ports = nodes.map(({ url }) => Number(new URL(url).port))
    for (const [at, port] of ports.entries()) {
      const [from, to] = [Math.floor((at * slots) / count), Math.floor(((at + 1) * slots) / count) - 1]
      await ask(port, `CLUSTER ADDSLOTSRANGE ${from} ${to}\r\n`, /^\+OK/)
      if (at > 0) await ask(ports[0]!, `CLUSTER MEET 127.0.0.1 ${port} ${await busPort(port)}\r\n`, /^\+OK/)
    }
    const end = performance.now() + withinMs
    for (const port of ports)
      for (;;) {
        const info = await ask(port, 'CLUSTER INFO\r\n', /cluster_size:\d+/)
        if (/cluster_state:ok/.test(info) && info.includes(`cluster_size:${count}`)) break
        if (performance.now() > end) throw new Error(`The cluster was not whole in time:\n${info}`)
        await delay(50)
      }
    const url = `redis://${ports.map((port) => `127.0.0.1:${port}`).join(',')}`
    return { url, nodes, stop, [Symbol.asyncDispose]: stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function busPort(port: number): Promise<string> {
  const own = await ask(port, 'CLUSTER NODES\r\n', /@\d+[ ,]/)
  return /@(\d+)/.exec(own)![1]!
}
