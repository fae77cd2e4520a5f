// How long a message takes from the call of send to the start of its handler, at 100 messages a second, on an otherwise
// idle system.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchQueue } from '../systems/system.ts'
import { now, payload } from './payload.ts'

const everyMs = 10
const warmUp = 20
const concurrency = 10
const graceMs = 20_000

/** Milliseconds for each message, sent by this process. */
export function latencies(queue: BenchQueue, count: number): Promise<number[]> {
  return record(queue, count, () => sendPaced(queue, count + warmUp))
}

/** The same, sent by a process of its own. */
export function latenciesFromOtherProcess(
  queue: BenchQueue,
  count: number,
  system: string,
  url: string,
): Promise<number[]> {
  return record(queue, count, async () => {
    const sender = fork(`${import.meta.dirname}/sender.ts`, [system, url, String(count + warmUp)])
    const [code] = await once(sender, 'exit')
    if (code !== 0) throw new Error(`The sending process ended with ${code}`)
  })
}

async function record(queue: BenchQueue, count: number, send: () => Promise<void>): Promise<number[]> {
  const waits: number[] = []
  const all = Promise.withResolvers<void>()
  const consuming = await queue.consume!(({ at }) => {
    waits.push((now() - at) / 1000)
    if (waits.length === count + warmUp) all.resolve()
  }, concurrency)
  await send()
  const late = delay(graceMs, undefined, { ref: false }).then(() => {
    throw new Error(`${waits.length} of ${count + warmUp} messages arrived`)
  })
  await Promise.race([all.promise, late])
  await consuming.stop()
  return waits.slice(warmUp)
}

/** By the clock and not by the answers: a slow answer holds no message back. */
export async function sendPaced(queue: BenchQueue, count: number): Promise<void> {
  const sent: Promise<unknown>[] = []
  const start = performance.now()
  for (let n = 0; n < count; n++) {
    const wait = start + n * everyMs - performance.now()
    if (wait > 0) await delay(wait)
    sent.push(queue.send!(payload(n, now())))
  }
  await Promise.all(sent)
}
