// What a call costs that is awaited before the next begins.
import { percentile } from '../statistics.ts'
import type { Lasting } from './writing.ts'

/** So few that most batches end before anything else wants the processor. */
const batch = 500

/** Microseconds of a call: the median over batches, which the pauses of collector and machine do not move. */
export async function timeOfACall(call: () => Promise<unknown>, lasting: Lasting): Promise<number> {
  await times(call, lasting.warmUpSeconds)
  return percentile(await times(call, lasting.seconds), 0.5)
}

async function times(call: () => Promise<unknown>, seconds: number): Promise<number[]> {
  const all: number[] = []
  const until = performance.now() + seconds * 1000
  for (let start = performance.now(); start < until; ) {
    for (let done = 0; done < batch; done++) await call()
    const end = performance.now()
    all.push(((end - start) * 1000) / batch)
    start = end
  }
  return all
}
