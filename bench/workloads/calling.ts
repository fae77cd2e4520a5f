// What a call costs that is awaited before the next begins.
import { percentile } from '../statistics.ts'
import type { Lasting } from './writing.ts'

/** So few that most batches end before anything else wants the processor. */
const batchOfFunctions = 500

/** Microseconds of a call: the median over batches, which the pauses of collector and machine do not move. */
export async function timeOfACall(
  call: () => Promise<unknown>,
  lasting: Lasting,
  batch: number = batchOfFunctions,
): Promise<number> {
  await times(call, lasting.warmUpSeconds, batch)
  return percentile(await times(call, lasting.seconds, batch), 0.5)
}

/** Calls a second of so many callers, each of which awaits its call before the next. */
export async function rateOfCalls(
  call: () => Promise<unknown>,
  lasting: Lasting,
  callers: number,
): Promise<number> {
  await callsIn(call, lasting.warmUpSeconds, callers)
  return callsIn(call, lasting.seconds, callers)
}

async function callsIn(call: () => Promise<unknown>, seconds: number, callers: number): Promise<number> {
  let done = 0
  const start = performance.now()
  const until = start + seconds * 1000
  const caller = async () => {
    for (; performance.now() < until; done++) await call()
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return (done * 1000) / (performance.now() - start)
}

async function times(call: () => Promise<unknown>, seconds: number, batch: number): Promise<number[]> {
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
