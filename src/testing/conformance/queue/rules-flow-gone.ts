// What becomes of messages that wait for one that was cancelled or purged, and of those that leave while they wait.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { counts, end, ids, kill, nothingClaimable, type QueueCase, take, takeOne } from './bench.ts'
import { named, step, twoQueues } from './rules-flow.ts'

type Leaving = (port: QueuePort, queue: string, id: string) => Promise<unknown>

/** Ways in which a message leaves for good without being done. */
const leavings: readonly (readonly [how: string, leave: Leaving])[] = [
  ['cancelled', (port, queue, id) => port.cancel(queue, [id])],
  [
    'cancelled while it was leased',
    async (port, queue, id) => {
      const held = await takeOne(port, queue)
      assert.deepEqual(await port.cancel(queue, [id]), ['signalled'])
      await end(port, queue, [held])
    },
  ],
  ['purged', (port, queue) => port.purge(queue, 'waiting')],
  [
    'purged as a dead letter',
    async (port, queue) => {
      await kill(port, queue, 'broken')
      await port.purge(queue, 'dead')
    },
  ],
]

export const flowGoneCases: readonly QueueCase[] = [
  {
    id: 'queue.flow.gone',
    title:
      'who waits for a message that was cancelled or purged can be claimed as an orphan, also when it is sent afterwards; with anyEnd as if it were done',
    requires: ['queue.flow', 'queue.cancel', 'queue.purge'],
    async run(subject) {
      for (const [how, leave] of leavings) {
        const { queue, other, one, two } = await twoQueues(subject)
        const [a, never, b, any, later] = ['a', 'never', 'b', 'any', 'later'].map(named) as [
          string,
          string,
          string,
          string,
          string,
        ]
        await one.send(other, [step(a)])
        await one.send(queue, [step(never)])
        await takeOne(one, queue)
        await one.send(queue, [step(b, [a, never]), step(any, [a], { anyEnd: true })])
        await leave(two, other, a)
        await two.send(queue, [step(later, [never, a])])
        const found = await take(one, queue, 3)
        assert.deepEqual(
          found.map(({ id, orphan }) => [id, orphan]),
          [
            [b, true],
            [any, undefined],
            [later, true],
          ],
          how,
        )
        await end(one, queue, found.slice(0, 1), { kind: 'retry', delayMs: 0 })
        const again = await takeOne(two, queue)
        assert.deepEqual([again.id, again.orphan], [b, true], 'it stays one')
        await end(two, queue, [again], { kind: 'dead-letter', reason: 'orphan' })
        const [letter] = await one.deadLetters(queue, { limit: 1 })
        await one.redrive(queue, [letter!.handle])
        const redriven = await takeOne(two, queue)
        assert.deepEqual([redriven.id, redriven.orphan], [b, undefined], 'somebody has decided that it runs')
      }
    },
  },
  {
    id: 'queue.flow.dead.unruled',
    title:
      'a dead letter is waited for though its queue has no rules any more: redriven and done, it lets go',
    requires: ['queue.flow'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b] = [named('a'), named('b')]
      await one.send(other, [step(a)])
      await two.send(queue, [step(b, [a])])
      await kill(one, other, 'broken')
      await two.declare([other], {})
      const [letter] = await one.deadLetters(other, { limit: 1 })
      await one.redrive(other, [letter!.handle])
      await nothingClaimable(one, queue, 'it is not done')
      await end(two, other, [await takeOne(two, other)])
      assert.equal((await takeOne(two, queue)).id, b)
    },
  },
  {
    id: 'queue.flow.leaves',
    title: 'one that waits can be cancelled and purged, and those that wait for it learn of it',
    requires: ['queue.flow', 'queue.cancel', 'queue.purge'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject)
      const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(named) as [string, string, string, string, string]
      await one.send(other, [step(a)])
      const held = await takeOne(one, other)
      await one.send(queue, [step(b, [a]), step(c, [a])])
      await one.send(other, [step(d, [b]), step(e, [c])])
      assert.deepEqual(await two.cancel(queue, [b]), ['removed'])
      const orphan = await takeOne(one, other)
      assert.deepEqual([orphan.id, orphan.orphan], [d, true])
      assert.equal(await two.purge(queue, 'waiting'), 1)
      const second = await takeOne(two, other)
      assert.deepEqual([second.id, second.orphan], [e, true])
      await end(one, other, [held])
      await nothingClaimable(one, queue, 'they are gone')
      await counts(two, queue, {})
    },
  },
  {
    id: 'queue.flow.duplicate',
    title: 'a message that was not stored because another one has its key is done when that one is',
    requires: ['queue.flow', 'queue.dedup'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject, { flow: true, dedup: true })
      const [holder, duplicate, second, b, c] = ['holder', 'duplicate', 'second', 'b', 'c'].map(named) as [
        string,
        string,
        string,
        string,
        string,
      ]
      const unique = (id: string) => ({ ...step(id), dedup: { key: 'k', forMs: 60_000 } })
      await one.send(queue, [step(b, [duplicate], { mayCome: true })])
      await one.send(other, [unique(holder)])
      assert.deepEqual(await two.send(other, [unique(duplicate)]), [{ index: 0, id: holder }])
      await two.send(queue, [step(c, [duplicate])])
      await nothingClaimable(one, queue, 'the other one is not done')
      await end(one, other, [await takeOne(one, other)])
      assert.deepEqual(ids(await take(two, queue, 2)), [b, c])
      assert.deepEqual(await one.send(other, [unique(second)]), [{ index: 0, id: holder }])
      const last = named('last')
      await one.send(queue, [step(last, [second])])
      assert.equal((await takeOne(two, queue)).id, last, 'the other one was done before')
    },
  },
]
