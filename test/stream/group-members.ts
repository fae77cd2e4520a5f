// Members of one group of a stream in memory, with a database that keeps the group's progress and without one: what the tests of groups start from.
import { afterEach, beforeEach, describe, expect, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import type { Background } from '../../src/core/lifecycle.ts'
import type { Report } from '../../src/core/report.ts'
import { unchecked } from '../../src/core/schema.ts'
import type { Database } from '../../src/ports/database.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { Spillway } from '../../src/spillway.ts'
import type { EventDelivery } from '../../src/stream/event-delivery.ts'
import { type FailureOptions, failurePolicy, type SubscriptionPlan } from '../../src/stream/plan.ts'
import { type Subscription, subscribe } from '../../src/stream/subscription.ts'
import { MemoryTable, memory, memoryDatabase } from '../../src/testing/index.ts'
import { Channels } from '../../src/topology/channels.ts'
import { relay } from '../../src/transaction/relay.ts'

export interface Step {
  key: string
  n: number
}
type Handler = (step: Step, delivery: EventDelivery) => unknown

/** The group, as its log knows it. */
export const address = { stream: 'steps', group: 'g' }

export type Members = ReturnType<typeof membersOf>

/** Declares the tests twice. */
export function withAndWithoutDatabase(tests: (members: Members) => void): void {
  const database = () => memoryDatabase({ db: new MemoryTable<number>() }).open('g')
  describe('with a database', () => tests(membersOf(database)))
  describe('without one', () => tests(membersOf()))
}

function membersOf(openStore?: () => Promise<Database<unknown>>) {
  const subscriptions: Subscription[] = []
  let relaying: Background | undefined

  const members = {
    engine: undefined as unknown as Engine,
    /** What was reported, by whomever. */
    reports: [] as Report[],
    /** By how many milliseconds the clock of the engine is ahead. */
    later: 0,
    /** Where the group keeps its progress, if it does. */
    store: undefined as Database<unknown> | undefined,

    open: (partitions = 1) =>
      new Spillway(members.engine).stream('steps', {
        data: unchecked<Step>(),
        key: ({ key }) => key,
        partitions,
      }),

    /** One whose handler commits its progress, where there is a database for it. */
    async start(handler: Handler, failure: FailureOptions = {}, plan: Partial<SubscriptionPlan> = {}) {
      const stream = await members.open()
      const { store } = members
      const handled = {
        contract: stream.contract as never,
        policy: failurePolicy({ retry: { initial: '1ms' }, ...failure }),
        handler: async (message: { data: unknown }, delivery: EventDelivery) => {
          const said = await handler(message.data as Step, delivery)
          if (said !== undefined || !store) return said
          return store.commit({ outbox: [], ...delivery.mark(), timeoutMs: 1_000 })
        },
      }
      const subscription = subscribe(members.engine.stream!, {
        stream: 'steps',
        group: 'g',
        handlers: new Map([['steps', handled]]),
        strictTypes: true,
        onReport: (report) => members.reports.push(report),
        ...(store ? { store } : {}),
        ...plan,
      })
      subscriptions.push(subscription)
    },

    /** Ends the one that was started last. */
    stopLast: () => subscriptions.pop()!.stop(),

    /** Waits until what is under way in the group is finished and stored. */
    async settled() {
      const group = (await members.open()).group('g')
      await vi.waitFor(async () => expect((await group.lag()).total).toBe(0), { timeout: 5_000 })
    },
  }

  beforeEach(async () => {
    members.later = 0
    members.reports = []
    const engine = memory({ clock: { ...systemClock, now: () => systemClock.now() + members.later } })
    members.engine = engine
    members.store = await openStore?.()
    const channels = new Channels(engine, engine, 1, systemClock)
    relaying =
      members.store &&
      relay(members.store.outbox, channels, {
        service: 'g',
        onReport: (report) => members.reports.push(report),
      })
  })
  afterEach(async () => {
    await relaying?.stop()
    await Promise.all(subscriptions.splice(0).map((each) => each.stop({ deadlineMs: 100 })))
    await members.engine.close()
  })
  return members
}
