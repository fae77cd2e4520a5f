// Several processes at the same buckets, also when one of them is killed: together they never get more than the rule.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { logOf } from '../../src/core/bucket/log.ts'
import { tokenBucket } from '../../src/core/bucket/token-bucket.ts'
import type { BucketAsk, LimitExchange } from '../../src/ports/limit.ts'
import { type EngineAddress, openAt } from './engines.ts'
import type { Order, Report } from './limit-process.ts'

const program = fileURLToPath(new URL('./limit-process.ts', import.meta.url))
const testMs = 60_000

/** The tests, for a store that the address names. `forMs`: how long processes hammer. */
export function certifyProcesses(address: () => EngineAddress, forMs: number = 1_500): void {
  test(
    'three processes are never allowed more in any window than a log says, and as much again',
    async () => {
      const [limit, perUs] = [40, 150_000]
      const allowedUs = await hammered(address(), ask({ algorithm: logOf(limit, perUs), cost: 1 }), forMs)
      for (let i = limit; i < allowedUs.length; i++)
        expect(allowedUs[i]! - allowedUs[i - limit]!).toBeGreaterThanOrEqual(perUs)
      expect(allowedUs.length).toBeGreaterThan(2 * limit)
    },
    testMs,
  )

  test(
    'three processes are never allowed more in any time than a token bucket says, and as much again',
    async () => {
      const [capacity, refill] = [30, 400]
      const algorithm = tokenBucket(capacity, refill, 1_000_000)!
      const allowedUs = await hammered(address(), ask({ algorithm, cost: 1 }), forMs)
      // The one at `first` is there too: of all that came since then at most so many.
      for (const first of allowedUs.keys())
        for (let last = first; last < Math.min(first + 200, allowedUs.length); last++)
          if (last - first + 1 > capacity + ((allowedUs[last]! - allowedUs[first]!) * refill) / 1_000_000)
            throw new Error(`${last - first + 1} in ${allowedUs[last]! - allowedUs[first]!} µs`)
      expect(allowedUs.length).toBeGreaterThan(2 * capacity)
    },
    testMs,
  )

  test(
    'leases of three processes, of which one is killed, sum to the rule',
    async () => {
      const [capacity, refill] = [100, 500]
      const algorithm = tokenBucket(capacity, refill, 1_000_000)!
      const bucket = fresh()
      let began = 0
      const used = await withHolders(address(), 3, async (holders) => {
        let sum = 0
        began = performance.now()
        const runs = holders.map((holder, index) => {
          holder.process.on('message', (report: Report) => {
            if ('used' in report) sum += report.used
          })
          const lease = ask({ bucket, algorithm, hold: 20 }, { holder: `h${index}`, leaseMs: 300 })
          return holder.do({ lease, forMs })
        })
        runs[0]!.catch(() => {})
        setTimeout(() => holders[0]!.process.kill('SIGKILL'), forMs / 2)
        await Promise.all(runs.slice(1))
        return sum
      })
      const elapsedMs = performance.now() - began
      expect(used).toBeLessThanOrEqual(capacity + (refill * elapsedMs) / 1_000)
      expect(used).toBeGreaterThan(capacity)
    },
    testMs,
  )

  test(
    'what a killed process held is there again when its lease has ended, and not before',
    async () => {
      const algorithm = { kind: 'concurrency', limit: 10 } as const
      const bucket = fresh()
      const engine = await openAt(address())
      try {
        const look = async () =>
          (await engine.limit!.exchange([ask({ bucket, algorithm }, { holder: 'looker' })]))[0]!
        await withHolders(address(), 1, async ([holder]) => {
          const before = await look()
          const held = ask({ bucket, algorithm, cost: 6 }, { holder: 'killed', leaseMs: 1_200 })
          expect(await holder!.do({ ask: held })).toEqual({ held: 6 })
          const asked = await look()
          const exit = once(holder!.process, 'exit')
          holder!.process.kill('SIGKILL')
          await exit
          for (;;) {
            const { nowUs, buckets } = await look()
            const { available } = buckets[0]!
            if (nowUs < before.nowUs + 1_200_000) expect(available).toBe(4)
            if (nowUs >= asked.nowUs + 1_200_000) expect(available).toBe(10)
            if (available === 10) break
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
        })
      } finally {
        await engine.close()
      }
    },
    testMs,
  )
}

/** When each was allowed, in order. */
async function hammered(
  address: EngineAddress,
  request: LimitExchange,
  forMs: number,
): Promise<readonly number[]> {
  return await withHolders(address, 3, async (holders) => {
    const reports = await Promise.all(
      holders.map((holder) => holder.do({ hammer: request, atOnce: 8, forMs })),
    )
    const allowedUs = reports.map((report) => ('allowedUs' in report ? report.allowedUs : []))
    // Else it was one process's.
    expect(allowedUs.filter((times) => times.length > 0).length).toBeGreaterThan(1)
    return allowedUs.flat().sort((a, b) => a - b)
  })
}

interface Holder {
  readonly process: ChildProcess
  /** Resolves with the report that ends the order. */
  do(order: Order): Promise<Report>
}

async function withHolders<T>(
  address: EngineAddress,
  count: number,
  work: (holders: readonly Holder[]) => Promise<T>,
): Promise<T> {
  const holders = Array.from({ length: count }, () => holderOf(fork(program, { execArgv: [] })))
  try {
    await Promise.all(holders.map((holder) => holder.do({ open: address })))
    return await work(holders)
  } finally {
    for (const { process } of holders) process.kill('SIGKILL')
  }
}

function holderOf(process: ChildProcess): Holder {
  return {
    process,
    do: (order) =>
      new Promise((resolve, reject) => {
        const end = () => {
          process.off('message', hear)
          process.off('exit', gone)
        }
        const hear = (report: Report) => {
          if ('used' in report) return
          end()
          if ('failed' in report) reject(new Error(report.failed))
          else resolve(report)
        }
        const gone = (code: number | null, signal: string | null) => {
          end()
          reject(new Error(`the process ended with ${code ?? signal}`))
        }
        process.on('message', hear)
        process.on('exit', gone)
        process.send(order)
      }),
  }
}

let buckets = 0

function fresh(): string {
  return `processes ${++buckets} ${Math.random()}`
}

function ask(
  one: Partial<BucketAsk> & Pick<BucketAsk, 'algorithm'>,
  more: Partial<LimitExchange> = {},
): LimitExchange {
  return {
    holder: 'h',
    leaseMs: 1_000,
    asks: [{ bucket: fresh(), used: 0, cost: 0, hold: 0, ...one }],
    ...more,
  }
}
