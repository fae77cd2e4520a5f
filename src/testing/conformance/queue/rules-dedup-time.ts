// Deduplication keys that are held for a time, and keys that control frees.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { eventually, notBefore } from '../wait.ts'
import { counts, end, ids, kill, longMs, type QueueCase, queueBench, take, takeOne } from './bench.ts'
import { dedupRules, unique } from './rules-dedup.ts'

/** Sends with the key until it is stored; resolves when it was. */
async function untilStored(port: QueuePort, queue: string, id: string): Promise<void> {
  await eventually('the key is free', async () => {
    assert.deepEqual(await port.send(queue, [unique(id)]), [])
  })
}

export const dedupTimeCases: readonly QueueCase[] = [
  {
    id: 'queue.dedup.for',
    title:
      'with forMs the key is held for that time since the message was sent, also when it was handled; then it is free',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      const forMs = 900
      const start = performance.now()
      await one.send(queue, [unique('first', 'k', forMs)])
      await end(two, queue, [await takeOne(two, queue)])
      const duplicates = await two.send(queue, [unique('again')])
      // On a machine that stalled for so long the time may be over.
      if (performance.now() - start < forMs) assert.deepEqual(duplicates, [{ index: 0, id: 'first' }])
      if (duplicates.length > 0) await untilStored(one, queue, 'second')
      notBefore(performance.now() - start, forMs, 'the key was free')
      await counts(one, queue, { ready: 1 })
    },
  },
  {
    id: 'queue.dedup.for.dead',
    title:
      'with forMs the key is held for that time, also when the message is a dead letter, or was redriven and handled',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      await one.send(queue, [unique('first', 'k', longMs)])
      await kill(one, queue, 'broken')
      const held = async () =>
        assert.deepEqual(await two.send(queue, [unique('again')]), [{ index: 0, id: 'first' }])
      await held()
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      await one.redrive(queue, [dead!.handle])
      await end(one, queue, [await takeOne(one, queue)])
      await held()
      await counts(two, queue, {})
    },
  },
  {
    id: 'queue.dedup.for.short',
    title: 'the key is held as long as the message is in the queue, also when forMs was over before',
    requires: ['queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      await one.send(queue, [unique('first', 'k', 1)])
      const message = await takeOne(one, queue)
      await end(one, queue, [message], { kind: 'retry', delayMs: 100 })
      const again = await takeOne(two, queue)
      assert.deepEqual(await two.send(queue, [unique('again', 'k', longMs)]), [{ index: 0, id: 'first' }])
      await end(two, queue, [again])
      assert.deepEqual(await two.send(queue, [unique('second')]), [])
    },
  },
  {
    id: 'queue.dedup.cancelled',
    title:
      'a cancelled message frees its key: at once when it waited, with its lease otherwise; not before forMs',
    requires: ['queue.dedup', 'queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      await one.send(queue, [unique('first'), unique('kept', 'for long', longMs)])
      assert.deepEqual(await two.cancel(queue, ['first', 'kept']), ['removed', 'removed'])
      assert.deepEqual(await one.send(queue, [unique('second')]), [], 'it is free')
      assert.deepEqual(await one.send(queue, [unique('other', 'for long')]), [{ index: 0, id: 'kept' }])
      const message = await takeOne(one, queue)
      await two.cancel(queue, ['second'])
      assert.deepEqual(await one.send(queue, [unique('third')]), [{ index: 0, id: 'second' }], 'it is leased')
      await end(one, queue, [message], { kind: 'release' })
      assert.deepEqual(await one.send(queue, [unique('third')]), [])
      assert.deepEqual(ids(await take(two, queue, 1)), ['third'])
    },
  },
  {
    id: 'queue.dedup.purged',
    title: 'what is purged frees its key, not before forMs',
    requires: ['queue.dedup', 'queue.purge'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, dedupRules)
      await one.send(queue, [unique('first'), unique('kept', 'for long', longMs)])
      assert.equal(await two.purge(queue, 'waiting'), 2)
      assert.deepEqual(await one.send(queue, [unique('second'), unique('other', 'for long')]), [
        { index: 1, id: 'kept' },
      ])
      assert.deepEqual(ids(await take(two, queue, 1)), ['second'])
    },
  },
]
