// What services have received and keep (`inbox: { mode: 'store' }`), for the commands of queues: one with what is on the engine.
import { statSync } from 'node:fs'
import { openEngine } from '../engine-of.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import { placeOf, receivedName, stores } from '../topology/received.ts'
import { ReceivedPort } from '../topology/received-port.ts'
import { servicesOf, type Topology } from '../topology/topology.ts'
import type { QueueAt } from '../transaction/forwarder.ts'

/** Gives `work` the queues of the engine together with what services of the topology keep; makes nothing that is not there. */
export async function withReceived(
  port: QueuePort,
  topology: Topology | undefined,
  work: (port: QueuePort) => Promise<void>,
): Promise<void> {
  const opened = new Map<string | Engine, Engine>()
  const kept = new Map<string, QueueAt>()
  try {
    for (const service of topology ? servicesOf(topology).filter(stores) : []) {
      const place = placeOf(service)
      if (typeof place === 'string' && !isThere(place)) continue
      const engine = opened.get(place) ?? (typeof place === 'string' ? await openEngine(place) : place)
      opened.set(place, engine)
      const names = new Set(await engine.queue?.names())
      for (const { queue } of service.works) {
        const name = receivedName(queue.queue)
        if (engine.queue && names.has(name)) kept.set(queue.queue, { port: engine.queue, queue: name })
      }
    }
    await work(kept.size === 0 ? port : new ReceivedPort(port, (queue) => kept.get(queue)))
  } finally {
    for (const [place, engine] of opened) if (typeof place === 'string') await engine.close()
  }
}

/** Opening a store would make it. */
function isThere(url: string): boolean {
  const path = /^sqlite:(.+)$/.exec(url)?.[1]
  return path === undefined || statSync(path, { throwIfNoEntry: false }) !== undefined
}
