// Faults in sharing: turns and places of groups, the concurrency and the rate of a queue.
import type { Engine } from '../../../src/ports/engine.ts'
import type { ClaimedMessage, QueuePort } from '../../../src/ports/queue.ts'
import type { QueueRules } from '../../../src/ports/queue-rules.ts'
import { Bucket } from '../../../src/testing/memory/bucket.ts'
import { type Change, type Fault, queueFault } from './fault.ts'
import { declared, dropped } from './rules.ts'

/** Leases do not end in their time: what they hold leaks. */
const leaking = (port: QueuePort): Partial<QueuePort> => ({
  claim: (queue, options) => port.claim(queue, { ...options, leaseMs: 600_000 }),
  extend: (queue, leases) => port.extend(queue, leases, 600_000),
})

/** What is retried stays leased. */
const keepsPlace = (port: QueuePort): Partial<QueuePort> => ({
  async settle(queue, settlements) {
    for (const { lease, kind } of settlements)
      if (kind === 'retry') await port.extend(queue, [lease], 600_000)
    const others = await port.settle(
      queue,
      settlements.filter(({ kind }) => kind !== 'retry'),
    )
    return settlements.map(({ kind }) => (kind === 'retry' ? 'settled' : others.shift()!))
  },
})

const groupOf = ({ id }: ClaimedMessage) => id.replace(/\d+$/, '')

/** By turns, the first group by name first. */
function byTurns(found: readonly ClaimedMessage[]): ClaimedMessage[] {
  const seen = new Map<string, number>()
  const turn = found.map((message) => {
    const group = groupOf(message)
    const at = seen.get(group) ?? 0
    seen.set(group, at + 1)
    return { message, group, at }
  })
  turn.sort((a, b) => a.at - b.at || (a.group < b.group ? -1 : 1))
  return turn.map(({ message }) => message)
}

export const groupFaults: readonly Fault<Engine>[] = [
  queueFault(
    'groups are not told apart',
    [
      'queue.groups.not-starved',
      'queue.groups.turns',
      'queue.groups.within',
      'queue.groups.many',
      'queue.groups.given-back',
      'queue.groups.priority',
      'queue.groups.concurrency',
      'queue.rules.waiting',
    ],
    dropped('groups'),
  ),
  queueFault(
    'turns begin anew with each claim',
    ['queue.groups.turns', 'queue.groups.levels'],
    () => (port) => ({
      async claim(queue, options) {
        const found = byTurns(await port.claim(queue, { ...options, limit: options.limit + 20 }))
        const rest = found.splice(options.limit)
        await port.settle(
          queue,
          rest.map(({ lease }) => ({ lease, kind: 'release' })),
        )
        return found
      },
    }),
  ),
  queueFault("no group is the group 'null'", ['queue.groups.ungrouped'], () => (port) => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => (message.key ? message : { ...message, group: message.group ?? 'null' })),
      ),
    declare: (queues, rules) => port.declare(queues, rules),
  })),
  queueFault(
    'each message without a group is its own',
    ['queue.groups.ungrouped', 'queue.groups.concurrency'],
    () => (port) => ({
      send: (queue, messages) =>
        port.send(
          queue,
          messages.map((message) => ({ ...message, group: message.group ?? `own ${message.id}` })),
        ),
    }),
  ),
  queueFault(
    'the concurrency of groups is not kept',
    [
      'queue.groups.concurrency',
      'queue.groups.concurrency.processes',
      'queue.groups.concurrency.priority',
      'queue.rules.together',
    ],
    () => declared((rules) => (rules.groups ? { ...rules, groups: {} } : rules)),
  ),
  queueFault(
    'a place of a group leaks when a lease ends',
    ['queue.groups.concurrency.expiry'],
    () => leaking,
  ),
  queueFault(
    'what is retried keeps the place of its group',
    ['queue.groups.concurrency.freed'],
    () => keepsPlace,
  ),
]

/** Each process counts for itself. */
function countedApart(): Change<QueuePort> {
  const most = new Map<string, number>()
  return (port) => {
    const held = new Map<string, number>()
    const leaseOf = new Map<string, string>()
    return {
      async declare(queues, rules) {
        await port.declare(queues, rules && { ...rules, concurrency: 1_000 })
        for (const queue of queues) most.set(queue, rules?.concurrency ?? most.get(queue) ?? 1_000)
      },
      async claim(queue, options) {
        const free = (most.get(queue) ?? 1_000) - (held.get(queue) ?? 0)
        if (free < 1) {
          await new Promise((resolve) => setTimeout(resolve, Math.min(options.waitMs, 20)))
          return []
        }
        const found = await port.claim(queue, { ...options, limit: Math.min(options.limit, free) })
        held.set(queue, (held.get(queue) ?? 0) + found.length)
        for (const { lease } of found) leaseOf.set(lease, queue)
        return found
      },
      async settle(queue, settlements) {
        for (const { lease } of settlements) if (leaseOf.delete(lease)) held.set(queue, held.get(queue)! - 1)
        return port.settle(queue, settlements)
      },
    }
  }
}

export const concurrencyFaults: readonly Fault<Engine>[] = [
  queueFault(
    'the concurrency is not kept',
    [
      'queue.rule-concurrency.extended',
      'queue.rule-concurrency.processes',
      'queue.rules.kept',
      'queue.rules.together',
    ],
    dropped('concurrency'),
  ),
  queueFault(
    'each process has its own concurrency',
    ['queue.rule-concurrency.most', 'queue.rule-concurrency.processes'],
    countedApart,
  ),
  queueFault(
    'a place leaks when a lease ends',
    ['queue.rule-concurrency.expiry', 'queue.rule-concurrency.extended'],
    () => leaking,
  ),
  queueFault(
    'what is retried keeps its place',
    ['queue.rule-concurrency.freed', 'queue.rule-concurrency.most'],
    () => keepsPlace,
  ),
]

interface Starts {
  starts(now: number): number
  take(starts: number): void
}

type Rate = NonNullable<QueueRules['rate']>

/** A rate that is kept in front of the engine, by buckets of another kind. */
function kept(make: (rate: Rate) => Starts, perProcess = false, givesBack = false): () => Change<QueuePort> {
  return () => {
    const rates = new Map<string, Rate | undefined>()
    const shared = new Map<string, Starts>()
    return (port) => {
      const buckets = perProcess ? new Map<string, Starts>() : shared
      const bucketOf = (queue: string) => {
        const rate = rates.get(queue)
        const bucket = buckets.get(queue) ?? (rate && make(rate))
        if (bucket) buckets.set(queue, bucket)
        return bucket
      }
      return {
        async declare(queues, rules) {
          await port.declare(queues, rules && declaredWithout(rules))
          for (const queue of queues) if (rules) rates.set(queue, rules.rate)
        },
        async claim(queue, options) {
          const starts = bucketOf(queue)?.starts(Date.now()) ?? options.limit
          if (starts < 1) {
            await new Promise((resolve) => setTimeout(resolve, Math.min(options.waitMs, 20)))
            return []
          }
          const found = await port.claim(queue, { ...options, limit: Math.min(options.limit, starts) })
          bucketOf(queue)?.take(found.length)
          return found
        },
        settle(queue, settlements) {
          const back = settlements.filter(({ kind }) => kind === 'release').length
          if (givesBack) bucketOf(queue)?.take(-back)
          return port.settle(queue, settlements)
        },
      }
    }
  }
}

const declaredWithout = ({ rate: _, ...rules }: QueueRules): QueueRules => rules

/** Filled at once at the end of each `perMs`. */
function windows({ count, perMs }: Rate): Starts {
  let end = 0
  let left = 0
  return {
    starts(now) {
      if (now >= end) {
        end = now + perMs
        left = count
      }
      return left
    },
    take(starts) {
      left -= starts
    },
  }
}

/** Has no bound. */
function bottomless({ count, perMs }: Rate): Starts {
  const start = Date.now()
  let taken = 0
  return {
    starts: (now) => Math.floor(count + ((now - start) * count) / perMs) - taken,
    take(starts) {
      taken += starts
    },
  }
}

export const rateFaults: readonly Fault<Engine>[] = [
  queueFault(
    'the rate is not kept',
    ['queue.rate.bucket', 'queue.rate.one-claim', 'queue.rate.refilled', 'queue.rules.together'],
    dropped('rate'),
  ),
  queueFault(
    'each process has its own bucket',
    ['queue.rate.bucket', 'queue.rate.processes'],
    kept((rate) => new Bucket(rate, Date.now()), true),
  ),
  queueFault(
    'what is released gives its start back',
    ['queue.rate.not-given-back'],
    kept((rate) => new Bucket(rate, Date.now()), false, true),
  ),
  queueFault('the bucket is filled all at once', ['queue.rate.refilled'], kept(windows)),
  queueFault('the bucket has no bound', ['queue.rate.full'], kept(bottomless)),
  queueFault('declaring again fills the bucket', ['queue.rate.declared-again'], () => (port) => ({
    async declare(queues, rules) {
      if (rules?.rate) await port.declare(queues, {})
      await port.declare(queues, rules)
    },
  })),
]
