// Emptying the queues that the cases made, as far as the ports allow, and counting what stays. No port removes a queue or a
// stream: an empty queue costs a name.
import { isSpillwayError } from '../../core/errors.ts'
import type { Engine } from '../../ports/engine.ts'
import type { QueuePort } from '../../ports/queue.ts'
import { eachOf } from '../at-once.ts'
import type { Ledger } from './ledger.ts'

export interface LeftBehind {
  readonly queues: number
  /** In those queues: leased by cases that are over, mostly. */
  readonly messages: number
  readonly streams: number
}

const leaseMs = 60_000
const patienceMs = 20_000

export async function cleanUp(
  engine: Engine,
  ledger: Ledger,
  onQueue: (done: number) => void,
): Promise<LeftBehind> {
  const left = { queues: 0, messages: 0, streams: 0 }
  const { queue: queues, stream: streams } = engine
  if (queues) {
    const made = new Set(await queues.names())
    let done = 0
    await eachOf(
      [...ledger.queues].filter((name) => made.has(name)),
      async (name) => {
        left.queues++
        left.messages += await emptied(queues, name).catch(() => 0)
        onQueue(++done)
      },
    )
  }
  if (streams) {
    const made = new Set(await streams.names())
    left.streams = [...ledger.streams].filter((name) => made.has(name)).length
  }
  return left
}

/** Resolves with how many messages stay. */
async function emptied(port: QueuePort, queue: string): Promise<number> {
  const { capabilities } = port
  if (capabilities.pause) await port.resume(queue)
  if (capabilities.schedules)
    for (const { name } of (await port.schedules(queue, 'all')).schedules)
      await port.removeSchedule(queue, name)
  if (capabilities.purge) {
    await port.purge(queue, 'waiting')
    await port.purge(queue, 'dead')
    await cancelLeased(port, queue)
  } else {
    await claimAll(port, queue)
    const dead = await port.deadLetters(queue, { limit: 1_000 })
    if (dead.length > 0) {
      await port.redrive(
        queue,
        dead.map(({ handle }) => handle),
      )
      await claimAll(port, queue)
    }
  }
  const { ready, delayed, leased, dead } = await port.count(queue)
  return ready + delayed + leased + dead
}

/** What a case that is over still holds goes when its lease ends, and comes to nobody again. */
async function cancelLeased(port: QueuePort, queue: string): Promise<void> {
  if (!port.capabilities.cancel || !port.capabilities.peek) return
  const held = await port.peek(queue, { limit: 1_000 })
  if (held.length > 0)
    await port.cancel(
      queue,
      held.map(({ id }) => id),
    )
}

async function claimAll(port: QueuePort, queue: string): Promise<void> {
  const end = performance.now() + patienceMs
  try {
    while (performance.now() < end) {
      const claimed = await port.claim(queue, { limit: 500, leaseMs, waitMs: 0 })
      if (claimed.length === 0) return
      await port.settle(
        queue,
        claimed.map(({ lease }) => ({ lease, kind: 'done' })),
      )
    }
  } catch (thrown) {
    if (!isSpillwayError(thrown)) throw thrown
  }
}
