// What every queue case starts from: a fresh queue, seen through two handles, and short ways to fill and to empty it.
import assert from 'node:assert/strict'
import type {
  ClaimedMessage,
  OutgoingMessage,
  QueueCount,
  QueuePort,
  Settlement,
} from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import type { ConformanceCase } from '../case.ts'
import { fresh, numbers } from '../sample.ts'
import type { EngineSubject } from '../subject.ts'
import { eventually, pass, soonMs, within } from '../wait.ts'

export type QueueCase = ConformanceCase<EngineSubject>

export interface QueueBench {
  readonly queue: string
  readonly one: QueuePort
  readonly two: QueuePort
  /** The shortest lease that both sides can measure. */
  readonly shortMs: number
}

/** A lease that does not end while a case runs. */
export const longMs = 120_000

export async function queueBench(subject: EngineSubject, rules?: QueueRules): Promise<QueueBench> {
  const { one, two } = queuePorts(subject)
  const queue = fresh('queue')
  await one.declare([queue], rules)
  return { queue, one, two, shortMs: Math.max(one.limits.minLeaseMs, 150) }
}

export function queuePorts(subject: EngineSubject): { readonly one: QueuePort; readonly two: QueuePort } {
  const { one, two } = subject
  assert.ok(one.queue && two.queue, 'both handles carry the queue port')
  return { one: one.queue, two: two.queue }
}

/** Messages `m0`, `m1`, … with bodies of their own. */
export function messages(count: number, prefix = 'm'): OutgoingMessage[] {
  return numbers(count).map((index) => ({ id: `${prefix}${index}`, body: `{"n":${index}}` }))
}

/** Messages `a0`, `a1`, … with the key `a`. */
export function keyed(key: string, count: number): OutgoingMessage[] {
  return messages(count, key).map((message) => ({ ...message, key }))
}

/** Messages of a group, `a0`, `a1`, … */
export function grouped(group: string, count: number): OutgoingMessage[] {
  return messages(count, group).map((message) => ({ ...message, group }))
}

export function ids(list: readonly { readonly id: string }[]): string[] {
  return list.map((message) => message.id)
}

export function sorted(list: readonly string[]): string[] {
  return [...list].sort()
}

/** Claims until `count` messages have come; fails when they do not. */
export async function take(
  port: QueuePort,
  queue: string,
  count: number,
  leaseMs: number = longMs,
): Promise<ClaimedMessage[]> {
  const taken: ClaimedMessage[] = []
  const end = performance.now() + soonMs
  while (taken.length < count) {
    const batch = await claimSoon(port, queue, { limit: count - taken.length, leaseMs })
    taken.push(...batch)
    if (batch.length === 0 && performance.now() > end) break
  }
  assert.equal(taken.length, count, `${count} messages can be claimed`)
  return taken
}

/** The one message that can be claimed. */
export async function takeOne(
  port: QueuePort,
  queue: string,
  leaseMs: number = longMs,
): Promise<ClaimedMessage> {
  const [message] = await take(port, queue, 1, leaseMs)
  return message!
}

async function claimSoon(
  port: QueuePort,
  queue: string,
  options: { readonly limit: number; readonly leaseMs: number },
): Promise<ClaimedMessage[]> {
  return within(2 * soonMs, 'a claim', port.claim(queue, { ...options, waitMs: soonMs }))
}

/** Looks once and fails if anything can be claimed. */
export async function nothingClaimable(port: QueuePort, queue: string, why: string): Promise<void> {
  const found = await port.claim(queue, { limit: 10, leaseMs: longMs, waitMs: 0 })
  assert.deepEqual(ids(found), [], why)
}

/** What can be claimed now, `limit` at most. */
export function look(
  port: QueuePort,
  queue: string,
  limit = 10,
  leaseMs: number = longMs,
): Promise<ClaimedMessage[]> {
  return port.claim(queue, { limit, leaseMs, waitMs: 0 })
}

/** What a long waiting claim resolves with once `trigger` has taken place; fails when that is not soon. */
export async function wakes(
  port: QueuePort,
  queue: string,
  trigger: () => Promise<unknown>,
  limit = 10,
): Promise<ClaimedMessage[]> {
  const waiting = port.claim(queue, { limit, leaseMs: longMs, waitMs: 4 * soonMs })
  // Time for the claim to look once and to wait; were it not yet waiting, the case would only be easier to pass.
  await pass(100)
  await trigger()
  return within(soonMs, 'the waiting claim', waiting)
}

export type Ending =
  | { readonly kind: 'done' | 'release' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly reason?: string }
  | { readonly kind: 'dead-letter'; readonly reason: string }

/** Ends the leases, all in the same way; fails when one is stale. */
export async function end(
  port: QueuePort,
  queue: string,
  claimed: readonly { readonly lease: string }[],
  ending: Ending = { kind: 'done' },
): Promise<void> {
  const settlements = claimed.map(({ lease }): Settlement => ({ lease, ...ending }))
  const results = await port.settle(queue, settlements)
  assert.deepEqual(
    results,
    settlements.map(() => 'settled'),
    `${ending.kind} of live leases`,
  )
}

/** Every way to end a lease that does not take the message from the queue. */
export const givenBack: readonly Ending[] = [{ kind: 'release' }, { kind: 'retry', delayMs: 0 }]
/** Every way to end a lease. */
export const endings: readonly Ending[] = [
  { kind: 'done' },
  ...givenBack,
  { kind: 'dead-letter', reason: 'broken' },
]

/** Counts may lag behind by a second: asks until they are right. */
export async function counts(port: QueuePort, queue: string, expected: Partial<QueueCount>): Promise<void> {
  await eventually('the counts are right', async () => {
    const found = await port.count(queue)
    assert.deepEqual(found, {
      ready: 0,
      delayed: 0,
      waiting: 0,
      leased: 0,
      dead: 0,
      paused: false,
      ...expected,
    })
  })
}

/** Claims the one message and sends it to the dead letters. */
export async function kill(port: QueuePort, queue: string, reason: string): Promise<ClaimedMessage> {
  const message = await takeOne(port, queue)
  const result = await port.settle(queue, [{ lease: message.lease, kind: 'dead-letter', reason }])
  assert.deepEqual(result, ['settled'])
  return message
}
