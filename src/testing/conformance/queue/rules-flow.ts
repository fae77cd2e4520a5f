// The rule `flow`: a message waits for others, in whatever queue, and is let go by the settlement of the last of them.
import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../../ports/queue.ts'
import type { After } from '../../../ports/queue-rules.ts'
import { refused } from '../refusal.ts'
import { fresh, numbers, unusualKeys } from '../sample.ts'
import { eventually } from '../wait.ts'
import {
  counts,
  end,
  givenBack,
  ids,
  kill,
  longMs,
  nothingClaimable,
  type QueueBench,
  type QueueCase,
  queueBench,
  take,
  takeOne,
  wakes,
} from './bench.ts'

export const flowRules = { flow: true }

/** A name that no other case uses: ids are known over all queues of an engine. */
export const named = (name: string): string => `${name} ${fresh('id')}`

export function step(id: string, after?: readonly string[], how: Omit<After, 'ids'> = {}): OutgoingMessage {
  return { id, body: '{}', ...(after === undefined ? {} : { after: { ids: after, ...how } }) }
}

/** Two queues with the rule, seen through the same handles. */
export async function twoQueues(
  ...[subject, rules = flowRules]: Parameters<typeof queueBench>
): Promise<QueueBench & { readonly other: string }> {
  const { queue: other } = await queueBench(subject, rules)
  return { ...(await queueBench(subject, rules)), other }
}

export const flowCases: readonly QueueCase[] = [
  {
    id: 'queue.flow.waits',
    title:
      'a message waits until all that it names, in several queues, are done; then a waiting claim gets it at once',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b, last] = [named('a'), named('b'), named('last')]
      await one.send(queue, [step(a)])
      await one.send(other, [step(b)])
      await two.send(queue, [step(last, [a, b, a])])
      await counts(one, queue, { ready: 1, waiting: 1 })
      const [first] = await take(two, queue, 1)
      assert.equal(first!.id, a)
      await nothingClaimable(one, queue, 'it waits for both')
      await end(one, queue, [first!])
      await nothingClaimable(two, queue, 'it waits for the other one')
      await counts(two, queue, { waiting: 1 })
      const second = await takeOne(one, other)
      const woken = await wakes(two, queue, () => end(one, other, [second]))
      assert.deepEqual(ids(woken), [last])
      assert.equal(woken[0]!.orphan, undefined)
      await counts(one, queue, { leased: 1 })
    },
  },
  {
    id: 'queue.flow.not-done',
    title: 'a start, a release, a retry and a lease that ended let nobody go',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, one, two, shortMs } = await twoQueues(subject)
      const [a, b] = [named('a'), named('b')]
      await one.send(queue, [step(a), step(b, [a])])
      for (const ending of givenBack) {
        await end(two, queue, await take(two, queue, 1), ending)
        await counts(one, queue, { ready: 1, waiting: 1 })
      }
      await takeOne(one, queue, shortMs)
      const again = await takeOne(two, queue)
      assert.equal(again.id, a, 'the lease ended')
      await nothingClaimable(one, queue, 'it is not done')
      await end(two, queue, [again])
      assert.equal((await takeOne(one, queue)).id, b)
    },
  },
  {
    id: 'queue.flow.unknown',
    title:
      'what is not known, or comes later in the call, cannot be waited for: UNKNOWN_MESSAGE, and nothing is stored',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, one, two } = await twoQueues(subject)
      const plain = await queueBench(subject)
      const [a, b, elsewhere] = [named('a'), named('b'), named('elsewhere')]
      await one.send(plain.queue, [step(elsewhere)])
      for (const call of [
        [step(a), step(b, [named('nobody')])],
        [step(a), step(b, [elsewhere])],
        [step(a), step(b, [b])],
        [step(b, [a]), step(a)],
      ])
        await refused('UNKNOWN_MESSAGE', () => two.send(queue, call), 'send')
      await counts(one, queue, {})
      await refused('UNKNOWN_MESSAGE', () => two.send(queue, [step(b, [a])]), 'what was refused is not known')
      // Of calls that an engine may send together one is refused.
      const results = await Promise.allSettled([
        one.send(queue, [step(a)]),
        one.send(queue, [step(b, [named('nobody')])]),
        one.send(queue, [step(elsewhere)]),
      ])
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      )
      await counts(one, queue, { ready: 2 })
      for (const after of [[], numbers(1_001).map((n) => `${a} ${n}`)])
        await refused('INVALID_OPTION', () => one.send(queue, [step(b, after)]), `${after.length} ids`)
    },
  },
  {
    id: 'queue.flow.known',
    title: 'what ended before, in whichever process, is known, and so is what stands before it in the call',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b, c, d] = [named('a'), named('b'), named('c'), named('d')]
      await one.send(other, [step(a)])
      await end(one, other, [await takeOne(one, other)])
      await two.send(queue, [step(b, [a]), step(c, [b]), step(d, [a, c])])
      await counts(one, queue, { ready: 1, waiting: 2 })
      for (const id of [b, c, d]) {
        const found = await take(two, queue, 1)
        assert.deepEqual(ids(found), [id])
        await nothingClaimable(one, queue, 'one after the other')
        await end(two, queue, found)
      }
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.flow.may-come',
    title: 'with mayCome a message waits for one that is not there yet',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b] = [named('a'), named('b')]
      await one.send(queue, [step(b, [a], { mayCome: true })])
      await nothingClaimable(two, queue, 'it waits')
      await two.send(other, [step(a)])
      await nothingClaimable(one, queue, 'it waits')
      await end(two, other, [await takeOne(two, other)])
      assert.equal((await takeOne(one, queue)).id, b)
    },
  },
  {
    id: 'queue.flow.peek',
    title: 'peek shows who waits, for whom, and since when nothing more',
    requires: ['queue.flow', 'queue.peek'],
    async run(subject) {
      const { queue, one, two } = await twoQueues(subject)
      const [a, b, c] = [named('a'), named('b'), named('c')]
      await one.send(queue, [step(a), step(b), step(c, [a, b])])
      const seen = async (state: string, after: readonly string[] | undefined) =>
        eventually('it is seen as it is', async () => {
          const found = (await two.peek(queue, { limit: 10 })).find(({ id }) => id === c)
          assert.deepEqual([found?.state, found?.due, found?.after?.toSorted()], [state, undefined, after])
        })
      await seen('waiting', [a, b])
      const both = await take(one, queue, 2)
      await end(one, queue, both.slice(0, 1))
      await seen('waiting', [b])
      await end(one, queue, both.slice(1))
      await seen('ready', undefined)
    },
  },
  {
    id: 'queue.flow.ids',
    title: 'ids are told apart to the last bit',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const base = fresh('id')
      const all = unusualKeys.map((key) => `${base}${key}`.slice(0, 200))
      await one.send(
        other,
        all.map((id) => step(id)),
      )
      await one.send(
        queue,
        all.map((id) => step(`w ${id}`.slice(0, 200), [id])),
      )
      for (const message of await take(two, other, all.length)) {
        await end(two, other, [message])
        const [let_go] = await take(one, queue, 1)
        assert.equal(let_go!.id, `w ${message.id}`.slice(0, 200))
        await nothingClaimable(two, queue, 'only that one')
      }
    },
  },
  {
    id: 'queue.flow.rule-gone',
    title:
      'a queue that has the rule no more lets go what waits in it; what others wait for in it is still known',
    requires: ['queue.flow', 'queue.priority'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b, c] = [named('a'), named('b'), named('c')]
      await one.send(queue, [step(a), step(b, [a])])
      await one.send(other, [step(c, [a])])
      await two.declare([queue], { priority: true })
      const both = await take(one, queue, 2)
      assert.deepEqual(ids(both), [a, b])
      await nothingClaimable(two, other, 'the other queue has the rule')
      await refused('INVALID_OPTION', () => one.send(queue, [step(named('d'), [a])]), 'send')
      await end(one, queue, both)
      assert.equal((await takeOne(two, other)).id, c)
    },
  },
  {
    id: 'queue.flow.key-order',
    title: 'with keyOrder who waits keeps its turn: later ones of its key wait behind it',
    requires: ['queue.flow', 'queue.keyOrder'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject, { flow: true, keyOrder: true })
      const [first, a, b, c, free] = ['first', 'a', 'b', 'c', 'free'].map(named) as [
        string,
        string,
        string,
        string,
        string,
      ]
      const of = (message: OutgoingMessage): OutgoingMessage => ({ ...message, key: 'k' })
      await one.send(other, [step(first)])
      await one.send(queue, [of(step(a)), of(step(b, [first])), of(step(c)), step(free)])
      const found = await take(two, queue, 2)
      assert.deepEqual(ids(found), [a, free])
      await end(two, queue, found)
      await nothingClaimable(one, queue, 'b waits, and c behind it')
      await counts(one, queue, { ready: 1, waiting: 1 })
      await end(one, other, [await takeOne(one, other)])
      await end(two, queue, [await takeB(b)])
      assert.equal((await takeOne(one, queue)).id, c)

      const more = await twoQueues(subject, { flow: true, keyOrder: true })
      const [p, q, r] = [named('p'), named('q'), named('r')]
      await one.send(more.other, [step(p)])
      await one.send(more.queue, [of(step(q)), of(step(r, [p]))])
      const head = await takeOne(one, more.queue)
      await end(two, more.other, [await takeOne(two, more.other)])
      await nothingClaimable(two, more.queue, 'let go, it still stands behind the one before it')
      await end(one, more.queue, [head])
      assert.equal((await takeOne(two, more.queue)).id, r)

      async function takeB(id: string) {
        const message = await takeOne(two, queue)
        assert.equal(message.id, id)
        return message
      }
    },
  },
  {
    id: 'queue.flow.delay',
    title: 'what is sent for later waits for others first, and for its time then, which counts from the send',
    requires: ['queue.flow', 'queue.delay'],
    async run(subject) {
      const { queue, one, two } = await twoQueues(subject)
      const [a, b, c] = [named('a'), named('b'), named('c')]
      await one.send(queue, [step(a)])
      await one.send(queue, [
        { ...step(b, [a]), delayMs: longMs },
        { ...step(c, [a]), delayMs: 100 },
      ])
      await counts(one, queue, { ready: 1, waiting: 2 })
      const found = await take(two, queue, 1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await nothingClaimable(one, queue, 'its time has come, and it waits all the same')
      await end(two, queue, found)
      assert.equal((await takeOne(one, queue)).id, c)
      await counts(two, queue, { leased: 1, delayed: 1 })
    },
  },
  {
    id: 'queue.flow.race',
    title: 'whoever sends while the last one is settled by another process is let go, never left behind',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      for (const round of numbers(15)) {
        const a = numbers(8).map((n) => named(`${round} ${n}`))
        await one.send(
          other,
          a.map((id) => step(id)),
        )
        const held = await take(one, other, a.length)
        await Promise.all([
          ...held.map((message) => end(one, other, [message])),
          ...a.map((id) => two.send(queue, [step(`w ${id}`, [id, a[0]!])])),
        ])
        await end(two, queue, await take(two, queue, a.length))
      }
      await counts(one, queue, {})
    },
  },
  {
    id: 'queue.flow.many',
    title: 'a message waits for a thousand, and a thousand wait for it',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const many = numbers(1_000).map((n) => named(`${n}`))
      const middle = named('middle')
      await one.send(
        other,
        many.map((id) => step(id)),
      )
      await one.send(queue, [step(middle, many)])
      await one.send(
        queue,
        many.map((id) => step(`w ${id}`, [middle])),
      )
      const found = await take(two, other, many.length)
      await end(two, other, found.slice(1))
      await nothingClaimable(one, queue, 'one is missing')
      await end(two, other, found.slice(0, 1))
      await end(one, queue, [await takeOne(one, queue)])
      assert.equal((await take(two, queue, many.length)).length, many.length)
    },
  },
  {
    id: 'queue.flow.dead',
    title: 'for a dead letter a message waits until it is redriven and done; with anyEnd it goes on',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b, any, later] = [named('a'), named('b'), named('any'), named('later')]
      await one.send(other, [step(a)])
      await one.send(queue, [step(b, [a]), step(any, [a], { anyEnd: true })])
      await kill(two, other, 'broken')
      const first = await takeOne(one, queue)
      assert.deepEqual([first.id, first.orphan], [any, undefined])
      await two.send(queue, [step(later, [a], { anyEnd: true })])
      assert.equal((await takeOne(one, queue)).id, later)
      await nothingClaimable(two, queue, 'a dead letter is not done')
      const [letter] = await one.deadLetters(other, { limit: 1 })
      await one.redrive(other, [letter!.handle])
      await nothingClaimable(two, queue, 'neither is one that was redriven')
      await counts(one, queue, { leased: 2, waiting: 1 })
      await end(two, other, [await takeOne(two, other)])
      assert.equal((await takeOne(one, queue)).id, b)
    },
  },
]
