// How long the event loop is held up while 100 callers send and a consumer handles, both as fast as they can.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { BenchQueue } from '../systems/system.ts'
import { type Lasting, manyInFlight } from './writing.ts'

/** The 99th percentile in milliseconds of the time between two ticks of a timer of 1 ms: that millisecond is part of it. */
export async function eventLoopDelay(
  queue: BenchQueue,
  { seconds, warmUpSeconds }: Lasting,
): Promise<number> {
  const consuming = await queue.consume!(() => {}, 100)
  const send = (lasting: Lasting) => manyInFlight((payload) => queue.send!(payload), lasting)
  await send({ seconds: 0, warmUpSeconds })
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  await send({ seconds, warmUpSeconds: 0 })
  delays.disable()
  await consuming.stop()
  return delays.percentile(99) / 1e6
}
