// Whether the stream still is the one that a group was reading.
import { afterEach, expect, test, vi } from 'vitest'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { PartitionBounds, StreamPort } from '../ports/stream.ts'
import { Spillway } from '../spillway.ts'
import { MemoryTable, memory, memoryDatabase } from '../testing/index.ts'
import { LogWatch } from './log-watch.ts'
import { PendingOrders } from './pending-orders.ts'
import { failurePolicy, type ProgressStore } from './plan.ts'
import { StreamGroup } from './stream-group.ts'
import { type Subscription, subscribe } from './subscription.ts'
import { Window } from './window.ts'

const subscriptions: Subscription[] = []
afterEach(async () => {
  await Promise.all(subscriptions.splice(0).map((each) => each.stop({ deadlineMs: 50 })))
})

test('one look serves the gaps of many records', async () => {
  let looks = 0
  const answers: PromiseWithResolvers<PartitionBounds[]>[] = []
  const port = {
    bounds() {
      looks += 1
      const answer = Promise.withResolvers<PartitionBounds[]>()
      answers.push(answer)
      return answer.promise
    },
  } as unknown as StreamPort
  const said: string[] = []
  const watch = new LogWatch(port, 'log', (error) => said.push(error.code))
  const place = { partition: 0, window: new Window(0) }
  for (let at = 1; at <= 500; at++) watch.passedOver(place, at * 512)
  expect(looks).toBe(1)
  answers[0]!.resolve([{ partition: 0, earliest: 512, next: 9e6 }])
  await vi.waitFor(() => expect(looks).toBe(2))
  // Of those that came meanwhile the first counts.
  answers[1]!.resolve([{ partition: 0, earliest: 1025, next: 9e6 }])
  await vi.waitFor(() => expect(said).toEqual(['EVENTS_TRIMMED']))
  expect(looks).toBe(2)
})

test('numbers that were left out before the first record are no gap', async () => {
  const bounds = [{ partition: 0, earliest: 512, next: 1024, completeFrom: 0 }]
  const asked = Promise.withResolvers<void>()
  const port = {
    async bounds() {
      asked.resolve()
      return bounds
    },
  } as unknown as StreamPort
  const said: string[] = []
  const watch = new LogWatch(port, 'log', (error) => said.push(error.code))
  watch.passedOver({ partition: 0, window: new Window(0) }, 0)
  await asked.promise
  await new Promise((resolve) => setImmediate(resolve))
  expect(said).toEqual([])
})

/** The group on a stream of so many events, of an engine that knows of nothing else. */
async function reading(store: ProgressStore, events: number) {
  const engine = memory()
  const stream = await new Spillway(engine).stream('steps', { data: unchecked<number>(), partitions: 1 })
  await stream.appendMany(Array.from({ length: events }, (_, n) => n))
  const seen: number[] = []
  const reports: Report[] = []
  const handled = {
    contract: stream.contract as never,
    policy: failurePolicy({}),
    handler: async ({ data }: { data: unknown }, delivery: { mark(): object }) => {
      const outcome = await store.commit({ outbox: [], ...delivery.mark(), timeoutMs: 1_000 })
      if (outcome === 'committed') seen.push(data as number)
      return outcome
    },
  }
  const subscription = subscribe(engine.stream!, {
    stream: 'steps',
    group: 'g',
    handlers: new Map([['steps', handled]]),
    strictTypes: true,
    onReport: (report) => reports.push(report),
    store,
  })
  subscriptions.push(subscription)
  return {
    stream,
    subscription,
    group: new StreamGroup(engine.stream!, 'steps', 'g'),
    orders: new PendingOrders(engine.stream!, { stream: 'steps', group: 'g' }),
    seen,
    reports,
  }
}

test('a stream that was restored from an older copy than the group is told of, and the group can be sent back', async () => {
  const store = await memoryDatabase({ db: new MemoryTable<number>() }).open('g')
  const before = await reading(store, 10)
  await before.group.replay('earliest')
  await vi.waitFor(
    async () => {
      expect(await before.orders.count()).toBe(0)
      expect((await before.group.lag()).total).toBe(0)
    },
    { timeout: 10_000 },
  )
  await before.subscription.stop()
  // As the engine would be after the restore: shorter, and the log of the group too.
  const after = await reading(store, 4)
  const replaced = () => after.reports.filter(({ error }) => error.code === 'STREAM_REPLACED')
  await vi.waitFor(() => expect(replaced()).toHaveLength(1), { timeout: 5_000 })
  expect(replaced()[0]!.error.message).toContain('ends at 4, but the group has come to 10')
  expect(after.seen).toEqual([])
  await after.group.replay('earliest')
  await vi.waitFor(() => expect(after.seen).toEqual([0, 1, 2, 3]), { timeout: 5_000 })
  expect(replaced()).toHaveLength(1)
})
