/** A cluster of Redis on this machine: several nodes, each with its part of the slots, the first of them with replicas if it shall have some. */
import { setTimeout as delay } from 'node:timers/promises'
import { ask } from './ask.ts'
import type { RunningServer } from './launcher.ts'
import { redis } from './redis.ts'

export interface RedisCluster extends AsyncDisposable {
  /** All nodes that have slots: `redis://127.0.0.1:1,127.0.0.1:2`. */
  readonly url: string
  readonly nodes: readonly RunningServer[]
  /** Of the first node. */
  readonly replicas: readonly RunningServer[]
  stop(): Promise<void>
}

const slots = 16_384
const withinMs = 30_000

/** Resolves when every node says that the cluster is whole, and replicas have what their node has. Keeps nothing on disk. */
export async function redisCluster(count = 3, replicaCount = 0): Promise<RedisCluster> {
  const all: RunningServer[] = []
  const stop = async () => {
    await Promise.all(all.map((node) => node.stop()))
  }
  try {
    for (let at = 0; at < count + replicaCount; at++)
      all.push(await redis.start({ cluster: 'node', persistence: 'none' }))
    const ports = all.map(({ url }) => Number(new URL(url).port))
    for (const [at, port] of ports.entries()) {
      const [from, to] = [Math.floor((at * slots) / count), Math.floor(((at + 1) * slots) / count) - 1]
      if (at < count) await ask(port, `CLUSTER ADDSLOTSRANGE ${from} ${to}\r\n`, /^\+OK/)
      if (at > 0) await ask(ports[0]!, `CLUSTER MEET 127.0.0.1 ${port} ${await busPort(port)}\r\n`, /^\+OK/)
    }
    const wholly = new RegExp(
      `cluster_state:ok[^]*cluster_known_nodes:${all.length}\\r[^]*cluster_size:${count}\\r`,
    )
    for (const port of ports) await until(port, 'CLUSTER INFO', /cluster_size:\d+\r/, wholly)
    const id = /\$40\r\n(\w+)/.exec(await ask(ports[0]!, 'CLUSTER MYID\r\n', /\$40\r\n\w{40}/))![1]!
    for (const port of ports.slice(count)) {
      await ask(port, `CLUSTER REPLICATE ${id}\r\n`, /^\+OK/)
      await until(port, 'INFO replication', /master_link_status:\w+/, /master_link_status:up/)
    }
    const url = `redis://${ports
      .slice(0, count)
      .map((port) => `127.0.0.1:${port}`)
      .join(',')}`
    return { url, nodes: all.slice(0, count), replicas: all.slice(count), stop, [Symbol.asyncDispose]: stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

async function until(port: number, question: string, whole: RegExp, wanted: RegExp): Promise<void> {
  for (const end = performance.now() + withinMs; ; await delay(50)) {
    const answer = await ask(port, `${question}\r\n`, whole)
    if (wanted.test(answer)) return
    if (performance.now() > end) throw new Error(`The cluster was not whole in time:\n${answer}`)
  }
}

async function busPort(port: number): Promise<string> {
  const own = await ask(port, 'CLUSTER NODES\r\n', /@\d+[ ,]/)
  return /@(\d+)/.exec(own)![1]!
}
