// Messages that wait for others of their own key: whoever waits in a line must not hold up what it waits for.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { end, ids, kill, look, nothingClaimable, type QueueCase, takeOne } from './bench.ts'
import { named, step, twoQueues } from './rules-flow.ts'

const rules = { flow: true, keyOrder: true }
const keyed = (...of: Parameters<typeof step>) => ({ ...step(...of), key: 'k' })

/** They come one after the other, each once the one before it is done. */
async function comeInTurn(port: QueuePort, queue: string, expected: readonly string[]): Promise<void> {
  for (const id of expected) {
    const found = await look(port, queue)
    assert.deepEqual(ids(found), [id])
    await nothingClaimable(port, queue, 'one of a key at a time')
    await end(port, queue, found)
  }
  await nothingClaimable(port, queue, 'that was all')
}

async function redriveAll(port: QueuePort, queue: string): Promise<void> {
  const letters = await port.deadLetters(queue, { limit: 100 })
  await port.redrive(
    queue,
    letters.map(({ handle }) => handle),
  )
}

export const flowLineCases: readonly QueueCase[] = [
  {
    id: 'queue.flow.line',
    title:
      'a redriven message for which others wait comes before those of its key that came meanwhile, in the order of redriving; any other at the end',
    requires: ['queue.flow', 'queue.keyOrder'],
    async run(subject) {
      const { queue, other, one, two } = await twoQueues(subject, rules)
      const [a, b, c, d, e, x] = ['a', 'b', 'c', 'd', 'e', 'x'].map(named) as [
        string,
        string,
        string,
        string,
        string,
        string,
      ]
      await one.send(queue, [keyed(a), keyed(b)])
      await kill(one, queue, 'broken')
      await kill(two, queue, 'broken')
      await two.send(queue, [keyed(c, [a, b]), keyed(d)])
      await nothingClaimable(one, queue, 'it keeps its place in the order of its key')
      await redriveAll(one, queue)
      await comeInTurn(two, queue, [a, b, c, d])
      // Who waits for it may stand elsewhere, and be waited for in its line.
      await one.send(queue, [keyed(e)])
      await kill(one, queue, 'broken')
      await one.send(other, [step(x, [e])])
      const last = named('last')
      await two.send(queue, [keyed(last, [x])])
      await redriveAll(two, queue)
      await end(two, queue, [await takeOne(one, queue)])
      await end(one, other, [await takeOne(two, other)])
      await comeInTurn(one, queue, [last])
      const [plain, next] = [named('plain'), named('next')]
      await one.send(queue, [keyed(plain)])
      await kill(one, queue, 'broken')
      await two.send(queue, [keyed(next)])
      await redriveAll(two, queue)
      await comeInTurn(one, queue, [next, plain])
    },
  },
  {
    id: 'queue.flow.line.head',
    title:
      'it comes after the one of its key that was begun, and whoever leaves the line meanwhile holds nobody up',
    requires: ['queue.flow', 'queue.keyOrder', 'queue.cancel'],
    async run(subject) {
      const { queue, one, two } = await twoQueues(subject, rules)
      for (const leaves of [undefined, 'head', 'waits', 'comes'] as const) {
        const [begun, broken, waits, last] = ['begun', 'broken', 'waits', 'last'].map(named) as [
          string,
          string,
          string,
          string,
        ]
        await one.send(queue, [keyed(broken)])
        await kill(one, queue, 'broken')
        await one.send(queue, [keyed(begun)])
        const held = await takeOne(two, queue)
        await two.send(queue, [keyed(waits, [broken]), keyed(last)])
        await redriveAll(one, queue)
        await nothingClaimable(one, queue, 'one of its key is leased')
        if (leaves === 'waits') await two.cancel(queue, [waits])
        if (leaves === 'comes') await two.cancel(queue, [broken])
        if (leaves === 'head') await two.cancel(queue, [begun])
        await end(two, queue, [held])
        const expected = [
          ...(leaves === 'comes' ? [] : [broken]),
          ...(leaves === 'waits' ? [] : [waits]),
          last,
        ]
        await comeInTurn(one, queue, expected)
      }
    },
  },
  {
    id: 'queue.flow.line.late',
    title: 'a message that is waited for before it comes is not held up by its key, even if it waits itself',
    requires: ['queue.flow', 'queue.keyOrder', 'queue.dedup'],
    async run(subject) {
      const { queue, one, two } = await twoQueues(subject, { ...rules, dedup: true })
      const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(named) as [string, string, string, string]
      await one.send(queue, [keyed(d, [c], { mayCome: true }), keyed(named('next'))])
      await nothingClaimable(two, queue, 'it waits, and holds its key')
      await two.send(queue, [keyed(c, [b], { mayCome: true })])
      await one.send(queue, [keyed(b, [a], { mayCome: true })])
      await nothingClaimable(two, queue, 'each waits for one that is still to come')
      await two.send(queue, [{ ...keyed(a), dedup: { key: 'once' } }])
      // What is not stored takes nobody's place.
      const again = { ...keyed(a), dedup: { key: 'once' } }
      assert.equal((await one.send(queue, [again])).length, 1)
      for (const id of [a, b, c, d]) {
        const found = await look(one, queue)
        assert.deepEqual(ids(found), [id])
        await end(one, queue, found)
      }
      assert.equal((await look(two, queue)).length, 1, 'and then the others of the key')
    },
  },
]
