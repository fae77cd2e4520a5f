// The process of a holder: does what its parent orders with buckets that other processes ask for at the same time. It ends with its parent.
import type { LimitExchange } from '../../src/ports/limit.ts'
import { type EngineAddress, openAt } from './engines.ts'

export type Order =
  | { readonly open: EngineAddress }
  /** Asks again and again, so many at once, until the time is over; the answer is when each was allowed. */
  | { readonly hammer: LimitExchange; readonly atOnce: number; readonly forMs: number }
  /** Leases, uses all of it, settles and leases again until the time is over; tells what it used after each lease. */
  | { readonly lease: LimitExchange; readonly forMs: number }
  | { readonly ask: LimitExchange }

export type Report =
  | { readonly done: true }
  | { readonly allowedUs: readonly number[]; readonly asked: number }
  | { readonly used: number }
  | { readonly held: number }
  | { readonly failed: string }

const tell = (report: Report) => process.send!(report)
let engine: Awaited<ReturnType<typeof openAt>> | undefined
const exchange = async (request: LimitExchange) => (await engine!.limit!.exchange([request]))[0]!

async function hammer(request: LimitExchange, atOnce: number, forMs: number): Promise<void> {
  const until = performance.now() + forMs
  const allowedUs: number[] = []
  let asked = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (performance.now() < until) {
        const { allowed, nowUs } = await exchange(request)
        asked += 1
        if (allowed) allowedUs.push(nowUs)
      }
    }),
  )
  tell({ allowedUs, asked })
}

async function lease(request: LimitExchange, forMs: number): Promise<void> {
  const until = performance.now() + forMs
  const one = request.asks[0]!
  for (let used = 0; performance.now() < until; ) {
    const askedAt = performance.now()
    const { buckets } = await exchange({ ...request, asks: [{ ...one, used }] })
    // What is over by the holder's own clock, from before it asked, is not used.
    used = performance.now() - askedAt < request.leaseMs ? buckets[0]!.held : 0
    tell({ used })
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  tell({ done: true })
}

async function obey(order: Order): Promise<void> {
  if ('open' in order) {
    engine = await openAt(order.open)
    // Once, so that all begin at the same time.
    await engine.limit!.sweep()
    tell({ done: true })
  } else if ('hammer' in order) await hammer(order.hammer, order.atOnce, order.forMs)
  else if ('lease' in order) await lease(order.lease, order.forMs)
  else tell({ held: (await exchange(order.ask)).buckets[0]!.held })
}

process.on('disconnect', () => process.exit())
process.on('message', (order: Order) => {
  obey(order).catch((error: Error) => tell({ failed: `${error.message}\n${error.stack}` }))
})
