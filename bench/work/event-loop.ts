// How long the event loop is held up while 100 callers send and a consumer handles, both as fast as they can.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { BenchQueue } from '../systems/system.ts'
import { manyInFlight } from './writing.ts'

/** The 99th percentile in milliseconds of the time between two ticks of a timer of 1 ms: that millisecond is part of it. */
export async function eventLoopDelay(queue: BenchQueue, seconds: number): Promise<number> {
  const consuming = await queue.consume!(() => {}, 100)
  const send = (length: number) => manyInFlight((payload) => queue.send!(payload), length)
  await send(0.2)
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  await send(seconds)
  delays.disable()
  await consuming.stop()
  return delays.percentile(99) / 1e6
}
