// How many messages a second are kept: awaited one by one, with 100 in flight, and in bulk.
import type { Effort } from './job.ts'
import { type Payload, payload } from './payload.ts'

export const bulk = 1_000
const inFlight = 100

const payloads: readonly Payload[] = Array.from({ length: bulk }, (_, n) => payload(n))

/** For how long something is done: first without the clock, then with it. */
export type Lasting = Pick<Effort, 'seconds' | 'warmUpSeconds'>

export type Write = (payload: Payload) => Promise<unknown>
export type WriteMany = (payloads: readonly Payload[]) => Promise<unknown>

export function oneByOne(write: Write, lasting: Lasting): Promise<number> {
  return rate(lasting, async (until) => {
    let count = 0
    while (performance.now() < until) await write(payloads[count++ % bulk]!)
    return count
  })
}

/** 100 callers, each of which awaits its message before it sends the next. */
export function manyInFlight(write: Write, lasting: Lasting): Promise<number> {
  return rate(lasting, async (until) => {
    let count = 0
    const caller = async () => {
      while (performance.now() < until) await write(payloads[count++ % bulk]!)
    }
    await Promise.all(Array.from({ length: inFlight }, caller))
    return count
  })
}

export function inBulk(writeMany: WriteMany, lasting: Lasting): Promise<number> {
  return rate(lasting, async (until) => {
    let count = 0
    for (; performance.now() < until; count += bulk) await writeMany(payloads)
    return count
  })
}

/** Stores this many messages, a multiple of 1,000. */
export async function fill(writeMany: WriteMany, count: number): Promise<void> {
  for (let done = 0; done < count; done += bulk) await writeMany(payloads)
}

/** Once to warm up, then with the clock running until the last answer. */
async function rate(
  { seconds, warmUpSeconds }: Lasting,
  run: (until: number) => Promise<number>,
): Promise<number> {
  await run(performance.now() + warmUpSeconds * 1000)
  const start = performance.now()
  const count = await run(start + seconds * 1000)
  return count / ((performance.now() - start) / 1000)
}
