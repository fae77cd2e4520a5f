// Faults of the limit port, planted in front of the in-memory store.
import { logOf } from '../../../src/core/bucket/log.ts'
import type { BucketAsk, LimitExchange, LimitPort, LimitVerdict } from '../../../src/ports/limit.ts'
import { limitSubject } from '../../../src/testing/conformance/index.ts'
import { memory } from '../../../src/testing/memory/engine.ts'
import { memoryStore } from '../../../src/testing/memory/store.ts'
import { type Fault, override } from './fault.ts'

/** A port whose requests, or verdicts, are changed on their way. */
function fault(
  what: string,
  fails: readonly string[],
  change: (port: LimitPort) => Partial<LimitPort>,
): Fault<LimitPort> {
  return faultOfAll(what, fails, () => change)
}

/** One whose state all handles share. */
function faultOfAll(
  what: string,
  fails: readonly string[],
  plant: () => (port: LimitPort) => Partial<LimitPort>,
): Fault<LimitPort> {
  return {
    what,
    fails,
    plant() {
      const change = plant()
      return (port) => override(port, change(port))
    },
  }
}

const asksChanged = (change: (ask: BucketAsk, request: LimitExchange) => BucketAsk) => (port: LimitPort) => ({
  exchange: (requests: readonly LimitExchange[]) =>
    port.exchange(
      requests.map((request) => ({ ...request, asks: request.asks.map((ask) => change(ask, request)) })),
    ),
})

const requestsChanged = (change: (request: LimitExchange) => LimitExchange) => (port: LimitPort) => ({
  exchange: (requests: readonly LimitExchange[]) => port.exchange(requests.map(change)),
})

const verdictsChanged =
  (change: (verdict: LimitVerdict, request: LimitExchange) => LimitVerdict) => (port: LimitPort) => ({
    exchange: async (requests: readonly LimitExchange[]) =>
      (await port.exchange(requests)).map((verdict, index) => change(verdict, requests[index]!)),
  })

const kinds = ['token-bucket', 'log', 'sliding-window', 'fixed-window', 'calendar-window', 'concurrency']
const arithmetic = kinds.map((kind) => `limit.arithmetic.${kind}`)

export const limitFaults: readonly Fault<LimitPort>[] = [
  fault('a refusal is taken too', ['limit.bound', 'limit.earliest'], (port) => ({
    async exchange(requests) {
      const verdicts = await port.exchange(requests)
      for (const [index, request] of requests.entries())
        if (!verdicts[index]!.allowed)
          await port.exchange([
            {
              ...request,
              asks: request.asks.map((ask) => ({ ...ask, used: 0, cost: 0, hold: 0, penalty: ask.cost })),
            },
          ])
      return verdicts
    },
  })),
  fault('each bucket is decided alone', ['limit.all-or-none', 'limit.penalty', ...arithmetic], (port) => ({
    async exchange(requests) {
      const verdicts: LimitVerdict[] = []
      for (const { asks, ...request } of requests) {
        const each: LimitVerdict[] = []
        for (const ask of asks) each.push(...(await port.exchange([{ ...request, asks: [ask] }])))
        verdicts.push({
          allowed: each.every(({ allowed }) => allowed),
          nowUs: each.at(-1)!.nowUs,
          buckets: each.flatMap(({ buckets }) => buckets),
        })
      }
      return verdicts
    },
  })),
  fault('all requests of a call see what there was before it', ['limit.several'], (port) => ({
    async exchange(requests) {
      const before = await port.exchange(
        requests.map((request) => ({
          ...request,
          asks: request.asks.map((ask) => ({ ...ask, cost: 0, hold: 0 })),
        })),
      )
      const verdicts = await port.exchange(requests)
      return verdicts.map((verdict, index) => ({
        ...verdict,
        allowed: before[index]!.buckets.every(
          ({ available }, at) => available >= requests[index]!.asks[at]!.cost,
        ),
      }))
    },
  })),
  fault('looks first and takes later', ['limit.race', 'limit.lease.race'], (port) => ({
    async exchange(requests) {
      const before = await port.exchange(
        requests.map((request) => ({
          ...request,
          holder: 'x',
          asks: request.asks.map((ask) => ({ ...ask, used: 0, cost: 0, hold: 0 })),
        })),
      )
      await new Promise((resolve) => setTimeout(resolve, 5))
      const verdicts = await port.exchange(requests)
      return verdicts.map((verdict, index) => {
        const asks = requests[index]!.asks
        return {
          ...verdict,
          allowed: before[index]!.buckets.every(({ available }, at) => available >= asks[at]!.cost),
          buckets: verdict.buckets.map((bucket, at) => ({
            ...bucket,
            held: Math.min(
              asks[at]!.hold,
              Math.max(0, before[index]!.buckets[at]!.available - asks[at]!.cost),
            ),
          })),
        }
      })
    },
  })),
  fault(
    'a refusal names a time that is a little early',
    ['limit.earliest'],
    verdictsChanged((verdict) => ({
      ...verdict,
      buckets: verdict.buckets.map((bucket) => ({
        ...bucket,
        earliestUs: bucket.earliestUs > verdict.nowUs ? bucket.earliestUs - 1 : bucket.earliestUs,
      })),
    })),
  ),
  fault(
    'penalties are lost',
    ['limit.penalty'],
    asksChanged(({ penalty: _, ...ask }) => ask),
  ),
  fault(
    'whoever is allowed has offended',
    ['limit.ban', 'limit.arithmetic.ban'],
    asksChanged((ask) =>
      ask.algorithm.kind === 'ban' ? { ...ask, penalty: (ask.penalty ?? 0) + ask.cost } : ask,
    ),
  ),
  fault(
    'who knocks is banned for longer',
    ['limit.ban', 'limit.arithmetic.ban'],
    verdictsChanged((verdict, { asks }) => ({
      ...verdict,
      buckets: verdict.buckets.map((bucket, at) =>
        asks[at]!.algorithm.kind === 'ban' && bucket.available === 0
          ? { ...bucket, earliestUs: bucket.earliestUs + 1_000_000 }
          : bucket,
      ),
    })),
  ),
  fault(
    'refunds are lost',
    ['limit.refund'],
    asksChanged(({ refund: _, ...ask }) => ask),
  ),
  fault(
    'what an earlier declaration counted is forgotten with other parameters',
    ['limit.parameters'],
    asksChanged((ask) => ({
      ...ask,
      bucket: `${ask.bucket.slice(0, 190)} ${JSON.stringify(ask.algorithm).length}`,
    })),
  ),
  fault(
    'names of buckets are compared without case',
    ['limit.names'],
    asksChanged((ask) => ({ ...ask, bucket: ask.bucket.toLowerCase() })),
  ),
  fault('what is no request is tried as far as it goes', ['limit.refusals'], (port) => ({
    async exchange(requests) {
      for (const request of requests) await port.exchange([request])
      return port.exchange(requests)
    },
  })),
  fault(
    'leases do not count',
    [
      'limit.lease.sum',
      'limit.lease.settled',
      'limit.lease.renewed',
      'limit.lease.several',
      'limit.sweep',
      'limit.kept',
    ],
    (port) => ({
      async exchange(requests) {
        const verdicts = await port.exchange(
          requests.map((request) => ({ ...request, asks: request.asks.map((ask) => ({ ...ask, hold: 0 })) })),
        )
        return verdicts.map((verdict, index) => ({
          ...verdict,
          buckets: verdict.buckets.map((bucket, at) => ({
            ...bucket,
            held: requests[index]!.asks[at]!.hold,
          })),
        }))
      },
    }),
  ),
  fault(
    'leases are never given back',
    ['limit.lease.settled', 'limit.lease.renewed', 'limit.lease.concurrency'],
    asksChanged((ask) =>
      ask.algorithm.kind === 'concurrency' ? { ...ask, used: 2 } : { ...ask, used: ask.used + 2 },
    ),
  ),
  fault(
    'leases end a little early',
    ['limit.lease.concurrency-ends', 'limit.lease.ended-at'],
    requestsChanged((request) => ({ ...request, leaseMs: Math.max(1, Math.floor(request.leaseMs / 2)) })),
  ),
  faultOfAll('leases that end give back what they had', ['limit.lease.ends'], () => {
    const leases = new Map<string, { readonly request: LimitExchange; readonly endsAt: number }>()
    return (port) => ({
      async exchange(requests) {
        for (const [key, { request, endsAt }] of leases)
          if (performance.now() > endsAt - 60) {
            leases.delete(key)
            await port.exchange([
              { ...request, asks: request.asks.map((ask) => ({ ...ask, used: 0, cost: 0, hold: 0 })) },
            ])
          }
        for (const request of requests)
          if (request.asks.some(({ hold }) => hold > 0))
            leases.set(JSON.stringify([request.holder, request.asks[0]!.bucket]), {
              request,
              endsAt: performance.now() + request.leaseMs,
            })
        return port.exchange(requests)
      },
    })
  }),
  faultOfAll(
    'of what is in use no more than was leased is ever held',
    ['limit.lease.concurrency-grows'],
    () => {
      const held = new Map<string, number>()
      return (port) => ({
        async exchange(requests) {
          const capped = requests.map((request) => ({
            ...request,
            asks: request.asks.map((ask) => ({
              ...ask,
              used: Math.min(ask.used, held.get(`${request.holder} ${ask.bucket}`) ?? 0),
            })),
          }))
          const verdicts = await port.exchange(capped)
          for (const [index, { holder, asks }] of requests.entries())
            for (const [at, { bucket }] of asks.entries())
              held.set(`${holder} ${bucket}`, verdicts[index]!.buckets[at]!.held)
          return verdicts
        },
      })
    },
  ),
  fault(
    'the clock of the store stands still',
    ['limit.clock'],
    verdictsChanged((verdict) => ({ ...verdict, nowUs: 1_000 })),
  ),
  fault(
    'the clock of the store goes by milliseconds and a half',
    ['limit.clock'],
    verdictsChanged((verdict) => ({ ...verdict, nowUs: verdict.nowUs + 0.5 })),
  ),
  fault('a handle keeps its own buckets', ['limit.kept', 'limit.bound'], () => {
    const own = memory().limit!
    return { exchange: (requests) => own.exchange(requests) }
  }),
  fault('a store that was closed goes on', ['limit.close'], (port) => {
    const other = memory().limit!
    return {
      exchange: (requests) => port.exchange(requests).catch(() => other.exchange(requests)),
      sweep: () => port.sweep().catch(() => 0),
    }
  }),
  faultOfAll('sweeping forgets what is used', ['limit.sweep'], () => {
    const names = new Set<string>()
    return (port) => ({
      async exchange(requests) {
        for (const { asks } of requests) for (const { bucket } of asks) names.add(bucket)
        return port.exchange(requests)
      },
      async sweep() {
        for (const bucket of names)
          await port.exchange([
            {
              holder: 'sweeper',
              leaseMs: 1,
              asks: [{ bucket, algorithm: logOf(1, 1), used: 0, cost: 0, hold: 0 }],
            },
          ])
        names.clear()
        return port.sweep()
      },
    })
  }),
  fault('of many requests the last are left out', ['limit.many'], (port) => ({
    exchange: async (requests) => [
      ...(await port.exchange(requests.slice(0, 100))),
      ...(await port.exchange(requests.slice(100, 101))).flatMap((verdict) =>
        requests.slice(100).map(() => verdict),
      ),
    ],
  })),
  fault(
    'units are taken one too many',
    ['limit.bound', ...arithmetic.filter((id) => !id.includes('concurrency'))],
    asksChanged((ask) =>
      ask.algorithm.kind === 'concurrency' || ask.cost < 2 ? ask : { ...ask, cost: ask.cost - 1 },
    ),
  ),
]

export function faultyLimits(plant: (port: LimitPort) => LimitPort) {
  const store = memoryStore()
  return limitSubject({
    async open() {
      const engine = memory({ store })
      return { limit: plant(engine.limit!), close: () => engine.close() }
    },
  })
}
