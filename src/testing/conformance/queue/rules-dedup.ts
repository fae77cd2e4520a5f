// The rule `dedup`: a key is held while its message is in the queue, and by nobody else.
import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../../ports/queue.ts'
import { refused } from '../refusal.ts'
import { bodyOfBytes, numbers, unusualKeys } from '../sample.ts'
import { eventually } from '../wait.ts'
import {
  counts,
  end,
  givenBack,
  ids,
  kill,
  longMs,
  messages,
  nothingClaimable,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

export const dedupRules = { dedup: true }

/** A message with a key of its own. */
export function unique(id: string, key = 'k', forMs?: number): OutgoingMessage {
  return { id, body: '{}', dedup: forMs === undefined ? { key } : { key, forMs } }
}

export const dedupCases: readonly QueueCase[] = [
  {
    id: 'queue.dedup.call',
    title:
      'of the messages of one call with a key the first is stored; the others are told, with its id, in their order',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const batch = [
        unique('a'),
        ...messages(1),
        unique('b'),
        unique('c', 'other'),
        unique('d'),
        unique('e', 'other'),
      ]
      assert.deepEqual(await one.send(queue, batch), [
        { index: 2, id: 'a' },
        { index: 4, id: 'a' },
        { index: 5, id: 'c' },
      ])
      assert.deepEqual(
        ids(await take(two, queue, 3)),
        ['a', 'm0', 'c'],
        'the others are stored, in their order',
      )
      await nothingClaimable(one, queue, 'and nothing else')
      await counts(one, queue, { leased: 3 })
    },
  },
  {
    id: 'queue.dedup.states',
    title:
      'the key is held while the message is claimable, leased, given back, waiting for a retry, or lost by who held it',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, dedupRules)
      const held = async (when: string) => {
        assert.deepEqual(await two.send(queue, [unique('again')]), [{ index: 0, id: 'first' }], when)
        assert.deepEqual(await one.send(queue, [unique('again')]), [{ index: 0, id: 'first' }], when)
      }
      assert.deepEqual(await one.send(queue, [unique('first')]), [])
      await held('claimable')
      for (const ending of givenBack) {
        const message = await takeOne(one, queue)
        await held('leased')
        await end(one, queue, [message], ending)
        await held(ending.kind)
      }
      await takeOne(two, queue, shortMs)
      const message = await takeOne(one, queue)
      await held('leased again')
      await end(one, queue, [message], { kind: 'retry', delayMs: longMs })
      await held('waiting for a retry')
      await counts(two, queue, { delayed: 1 })
    },
  },
  {
    id: 'queue.dedup.delayed',
    title: 'the key is held while the message waits for its time',
    requires: ['queue.dedup', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      assert.deepEqual(await one.send(queue, [{ ...unique('later'), delayMs: longMs }]), [])
      assert.deepEqual(await two.send(queue, [unique('now')]), [{ index: 0, id: 'later' }])
      await counts(one, queue, { delayed: 1 })
    },
  },
  {
    id: 'queue.dedup.freed',
    title: 'the key is free as soon as its message was handled, or is a dead letter',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      for (const id of ['first', 'second', 'third']) {
        assert.deepEqual(await two.send(queue, [unique(id)]), [], `${id} is stored`)
        assert.deepEqual(await one.send(queue, [unique('again')]), [{ index: 0, id }])
        if (id === 'first') await end(one, queue, [await takeOne(one, queue)])
        if (id === 'second') await kill(one, queue, 'broken')
      }
      await counts(two, queue, { ready: 1, dead: 1 })
    },
  },
  {
    id: 'queue.dedup.cancelled-held',
    title:
      'the key of a message that was cancelled while it was held is free when its lease is over, though nobody claims',
    requires: ['queue.dedup', 'queue.cancel'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, dedupRules)
      assert.deepEqual(await one.send(queue, [unique('first')]), [])
      await takeOne(one, queue, shortMs)
      assert.deepEqual(await two.cancel(queue, ['first']), ['signalled'])
      await eventually('the key is free', async () =>
        assert.deepEqual(await one.send(queue, [unique('second')]), []),
      )
      assert.deepEqual(await two.send(queue, [unique('third')]), [{ index: 0, id: 'second' }])
      await counts(two, queue, { ready: 1 })
      const message = await takeOne(two, queue)
      assert.equal(message.id, 'second')
      assert.deepEqual(await one.send(queue, [unique('third')]), [{ index: 0, id: 'second' }])
      await end(one, queue, [message])
      assert.deepEqual(await one.send(queue, [unique('third')]), [])
    },
  },
  {
    id: 'queue.dedup.redriven',
    title:
      'a redriven message takes no key: it neither is refused, nor refuses others, nor frees what another has',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      await one.send(queue, [unique('old')])
      await kill(one, queue, 'broken')
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.deepEqual(await one.send(queue, [unique('new')]), [])
      assert.equal(await two.redrive(queue, [dead!.handle]), 1)
      const both = await take(two, queue, 2)
      assert.deepEqual(ids(both), ['new', 'old'])
      assert.deepEqual(await one.send(queue, [unique('third')]), [{ index: 0, id: 'new' }])
      await end(two, queue, [both[1]!])
      assert.deepEqual(
        await one.send(queue, [unique('third')]),
        [{ index: 0, id: 'new' }],
        'the key is not its',
      )
      await end(two, queue, [both[0]!])
      assert.deepEqual(await one.send(queue, [unique('third')]), [])
    },
  },
  {
    id: 'queue.dedup.keys',
    title: 'keys are told apart to the last bit, and belong to one queue; ids play no part',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const other = await queueBench(subject, dedupRules)
      const batch = unusualKeys.map((key) => unique('same id', key))
      assert.deepEqual(await one.send(queue, batch), [])
      assert.deepEqual(await two.send(other.queue, batch), [])
      assert.equal((await two.send(queue, batch)).length, batch.length)
      await one.send(queue, messages(2, 'without'))
      await one.send(queue, messages(2, 'without'))
      await counts(two, queue, { ready: unusualKeys.length + 4 })
      await counts(two, other.queue, { ready: unusualKeys.length })
    },
  },
  {
    id: 'queue.dedup.concurrent',
    title:
      'of sends of one key from several processes at once exactly one is stored, and all others learn its id',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const rounds = 12
      for (const round of numbers(rounds)) {
        const results = await Promise.all(
          numbers(6).map((sender) =>
            (sender % 2 ? one : two).send(queue, [
              unique(`own ${round} ${sender}`, `own ${round} ${sender}`),
              unique(`${round} ${sender}`, `shared ${round}`),
            ]),
          ),
        )
        const stored = results.flatMap((duplicates, sender) => (duplicates.length === 0 ? [sender] : []))
        assert.equal(stored.length, 1, `${stored.length} of them were stored`)
        for (const duplicates of results)
          if (duplicates.length > 0) assert.deepEqual(duplicates, [{ index: 1, id: `${round} ${stored[0]}` }])
      }
      await counts(one, queue, { ready: rounds * 7 })
    },
  },
  {
    id: 'queue.dedup.refused',
    title: 'a send that was refused holds no key',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const large = { id: 'large', body: bodyOfBytes(one.limits.maxBodyBytes + 1) }
      await refused('TOO_LARGE', () => one.send(queue, [unique('first'), large]), 'send')
      assert.deepEqual(await two.send(queue, [unique('second')]), [])
      const large2 = { ...unique('duplicate'), body: large.body }
      await refused('TOO_LARGE', () => one.send(queue, [...messages(1), large2]), 'send of a large duplicate')
      await counts(one, queue, { ready: 1 })
    },
  },
  {
    id: 'queue.dedup.many',
    title: 'one call may carry thousands of keys, each twice',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const count = 3_000
      const batch = numbers(2 * count).map((index) => unique(`m${index}`, `key ${index % count}`))
      const duplicates = await one.send(queue, batch)
      assert.deepEqual(
        duplicates,
        numbers(count).map((index) => ({ index: count + index, id: `m${index}` })),
      )
      const found = await take(two, queue, count)
      assert.deepEqual(ids(found), ids(messages(count)))
      await end(two, queue, found)
      assert.deepEqual(await two.send(queue, batch.slice(count)), [])
    },
  },
]
