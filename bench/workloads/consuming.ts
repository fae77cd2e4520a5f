// How many messages a second are handled and acknowledged, from a backlog, by a handler that does nothing.
import type { BenchQueue } from '../systems/system.ts'
import { bulk, fill } from './writing.ts'

const concurrency = 100
const withinMs = 60_000

/** First a small backlog, to warm up and to learn the pace; then one that lasts for at most the seconds asked for. */
export async function consumeRate(queue: BenchQueue, seconds: number): Promise<number> {
  const pace = await drain(queue, 3 * bulk)
  const count = Math.ceil((pace * seconds) / bulk) * bulk
  return drain(queue, Math.min(Math.max(count, 2 * bulk), 500 * bulk))
}

/** From the start of the first handler until everything is acknowledged, which is checked. */
async function drain(queue: BenchQueue, count: number): Promise<number> {
  await fill((payloads) => queue.sendMany(payloads), count)
  let handled = 0
  let start = 0
  const all = Promise.withResolvers<void>()
  const late = setTimeout(
    () => all.reject(new Error(`${handled} of ${count} messages were handled in ${withinMs} ms`)),
    withinMs,
  )
  const consuming = await queue.consume!(() => {
    if (handled++ === 0) start = performance.now()
    if (handled === count) all.resolve()
  }, concurrency)
  await all.promise.finally(() => clearTimeout(late))
  await consuming.stop()
  const seconds = (performance.now() - start) / 1000
  const left = await queue.left!()
  if (left !== 0 || handled !== count)
    throw new Error(`${count} messages were sent, ${handled} handled, and ${left} are not acknowledged`)
  return count / seconds
}
