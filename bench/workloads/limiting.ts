// What a decision about a limit costs, and what a key takes in memory.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { percentile } from '../statistics.ts'
import type { BenchLimits } from '../systems/system.ts'
import type { Lasting } from './writing.ts'

const batch = 500
const manyKeys = 100_000
const rememberedKeys = 1_000_000

/** 20 characters, flat as those that come from a parser. */
const keyOf = (index: number) => Buffer.from(`user-${String(index).padStart(15, '0')}`).toString('latin1')

/** Microseconds of a decision: the median over batches. With many keys each comes in its turn, spread over all. */
export async function timeOfADecision(
  limits: BenchLimits,
  rules: 1 | 3,
  keys: 'one' | 'many',
  lasting: Lasting,
): Promise<number> {
  const all = Array.from({ length: keys === 'one' ? 1 : manyKeys }, (_, index) => keyOf(index))
  let at = 0
  const next = () => {
    at = (at + 7_919) % all.length
    return all[at]!
  }
  const batches = Array.from({ length: manyKeys / batch }, () => Array.from({ length: batch }, next))
  // Every key is known before it is measured.
  for (const each of batches) await limits.decide(rules, each)
  const times: number[] = []
  const run = async (seconds: number) => {
    const until = performance.now() + seconds * 1_000
    for (let index = 0; performance.now() < until; index++) {
      const start = performance.now()
      await limits.decide(rules, batches[index % batches.length]!)
      times.push(((performance.now() - start) * 1_000) / batch)
    }
  }
  await run(lasting.warmUpSeconds)
  times.length = 0
  await run(lasting.seconds)
  return percentile(times, 0.5)
}

/** Bytes that each of a million keys takes, garbage collected. */
export async function bytesOfAKey(limits: BenchLimits): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  await limits.remember(keyOf(0))
  const before = used()
  for (let index = 1; index <= rememberedKeys; index++) {
    await limits.remember(keyOf(index))
    // Promises of a million keys are not what is measured.
    if (index % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return (used() - before) / rememberedKeys
}
