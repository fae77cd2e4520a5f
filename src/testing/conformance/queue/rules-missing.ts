// What is refused: rules that the engine does not have, and messages that carry what their queue has no rule for.
import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { fresh } from '../sample.ts'
import { owners } from '../subject.ts'
import { counts, ids, keyed, messages, nothingClaimable, type QueueCase, queueBench, take } from './bench.ts'

const asked: Readonly<Record<keyof QueueRules, QueueRules>> = {
  keyOrder: { keyOrder: true },
  priority: { priority: true },
  dedup: { dedup: true },
  groups: { groups: {} },
  concurrency: { concurrency: 5 },
  rate: { rate: { count: 5, perMs: 1_000 } },
  flow: { flow: true },
  finished: { finished: { count: 5 } },
}

/** The mirror of a rule: an engine without it refuses the declaration, and changes and makes nothing. */
function missingCase(rule: keyof QueueRules): QueueCase {
  return {
    id: `queue.rules.missing.${rule}`,
    title: `an engine without ${rule} refuses to declare it, and neither makes nor changes a queue: CAPABILITY_MISSING`,
    requires: ['queue', `without queue.${rule}`],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const added = fresh('queue')
      await one.send(queue, keyed('a', 2))
      const declare = () => one.declare([added, queue], asked[rule])
      await refusedForLack(subject.one.name, owners('queue', rule), declare, 'declare')
      await refused('UNKNOWN_QUEUE', () => two.count(added), 'the queue was not made')
      assert.deepEqual(ids(await take(two, queue, 2)), ['a0', 'a1'], 'the other is as it was')
    },
  }
}

type Carrying = { readonly rule: keyof QueueRules; readonly message: OutgoingMessage }

const carried: readonly Carrying[] = [
  { rule: 'priority', message: { id: 'carries', body: '{}', priority: 0 } },
  { rule: 'dedup', message: { id: 'carries', body: '{}', dedup: { key: 'k' } } },
  { rule: 'groups', message: { id: 'carries', body: '{}', group: 'g' } },
  { rule: 'flow', message: { id: 'carries', body: '{}', after: { ids: ['m0'], mayCome: true } } },
]

function carriedCase({ rule, message }: Carrying): QueueCase {
  return {
    id: `queue.carried.${rule}`,
    title: `a message that carries what is for the rule ${rule} is refused by a queue without it, and its whole call: INVALID_OPTION`,
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const batch = [...messages(2), message, ...messages(1, 'n')]
      await refused('INVALID_OPTION', () => one.send(queue, batch), 'send')
      await refused('INVALID_OPTION', () => two.send(queue, [message]), 'send')
      await nothingClaimable(two, queue, 'nothing was stored')
      await counts(one, queue, {})
      await one.send(queue, [
        { id: 'none', body: '{}', priority: undefined, dedup: undefined, group: undefined, after: undefined },
      ])
      assert.deepEqual(ids(await take(two, queue, 1)), ['none'])
    },
  }
}

export const rulesMissingCases: readonly QueueCase[] = [
  ...(Object.keys(asked) as (keyof QueueRules)[]).map(missingCase),
  ...carried.map(carriedCase),
  {
    id: 'queue.carried.priority.range',
    title:
      'a priority that is no whole number from -100 to 100 is refused, and its whole call: INVALID_OPTION',
    requires: ['queue.priority'],
    async run(subject) {
      const { queue, one } = await queueBench(subject, { priority: true })
      for (const priority of [101, -101, 0.5, Number.NaN])
        await refused(
          'INVALID_OPTION',
          () => one.send(queue, [...messages(1), { id: 'x', body: '{}', priority }]),
          `priority ${priority}`,
        )
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.carried.dedup.range',
    title: 'a forMs that is no whole number of milliseconds is refused, and holds no key: INVALID_OPTION',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one } = await queueBench(subject, { dedup: true })
      const unique = (forMs?: number) => ({ id: 'x', body: '{}', dedup: { key: 'k', forMs } })
      for (const forMs of [0, -1, 1.5, Number.NaN, 367 * 86_400_000])
        await refused(
          'INVALID_OPTION',
          () => one.send(queue, [...messages(1), unique(forMs)]),
          `forMs ${forMs}`,
        )
      await counts(one, queue, {})
      assert.deepEqual(await one.send(queue, [unique()]), [])
    },
  },
]
