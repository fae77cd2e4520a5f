// Looking at the messages of a queue without claiming them.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import { refused } from '../refusal.ts'
import { largeBody, unusualBodies } from '../sample.ts'
import { eventually } from '../wait.ts'
import {
  end,
  ids,
  kill,
  longMs,
  messages,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
} from './bench.ts'

const aboutNow = (ms: number, from: number) => Math.abs(ms - Date.now() - from) < 60_000

/** All pages, and no more of them than could be right. */
async function pages(port: QueuePort, queue: string, limit: number, most: number): Promise<string[][]> {
  const found: string[][] = []
  let after: string | undefined
  while (found.length < most) {
    const page = await port.peek(queue, { limit, after })
    if (page.length === 0) break
    found.push(ids(page))
    after = page.at(-1)!.handle
  }
  return found
}

export const peekCases: readonly QueueCase[] = [
  {
    id: 'queue.peek.states',
    title: 'peek tells the state of each message that is no dead letter, its starts, and when it is due',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, [{ id: 'keyed', key: 'straße', body: '{"k":1}' }, ...messages(3)])
      await end(one, queue, [await takeOne(one, queue)], { kind: 'retry', delayMs: longMs })
      await kill(one, queue, 'broken')
      await takeOne(one, queue, 2 * longMs)
      const {
        handle: _,
        due,
        ...delayed
      } = await eventually('all are seen as they are', async () => {
        const found = await two.peek(queue, { limit: 10 })
        assert.deepEqual(sorted(ids(found)), ['keyed', 'm1', 'm2'])
        const states = new Map(found.map((message) => [message.id, message]))
        assert.equal(states.get('m1')?.state, 'leased')
        assert.equal(states.get('m1')?.starts, 1)
        assert.ok(aboutNow(states.get('m1')?.due ?? 0, 2 * longMs), 'when its lease ends')
        assert.deepEqual([states.get('m2')?.state, states.get('m2')?.due], ['ready', undefined])
        assert.equal(states.get('m2')?.starts, 0)
        return states.get('keyed')!
      })
      assert.ok(aboutNow(due ?? 0, longMs), 'when its retry is due')
      const told = { id: 'keyed', key: 'straße', body: '{"k":1}', state: 'delayed', starts: 1 }
      assert.deepEqual(delayed, { ...told, priority: 0, group: undefined })
    },
  },
  {
    id: 'queue.peek.expired',
    title: 'a message whose lease ended is ready',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      await takeOne(one, queue, shortMs)
      await eventually('it is ready', async () => {
        const [found] = await two.peek(queue, { limit: 1 })
        assert.deepEqual([found?.state, found?.due, found?.starts], ['ready', undefined, 1])
      })
    },
  },
  {
    id: 'queue.peek.carried',
    title: 'peek tells the priority and the group of a message',
    requires: ['queue.peek', 'queue.priority', 'queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { priority: true, groups: {} })
      await one.send(queue, [...messages(1), { id: 'both', body: '{}', priority: -3, group: 'tenant 1' }])
      const found = new Map((await two.peek(queue, { limit: 5 })).map((message) => [message.id, message]))
      assert.deepEqual([found.get('m0')?.priority, found.get('m0')?.group], [0, undefined])
      assert.deepEqual([found.get('both')?.priority, found.get('both')?.group], [-3, 'tenant 1'])
    },
  },
  {
    id: 'queue.peek.claims-nothing',
    title: 'peek claims nothing, counts no start, and gives bodies byte for byte',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const bodies = [...unusualBodies, largeBody()]
      await one.send(
        queue,
        bodies.map((body, index) => ({ id: `m${index}`, body })),
      )
      const found = [...(await two.peek(queue, { limit: 100 })), ...(await one.peek(queue, { limit: 100 }))]
      assert.equal(found.length, 2 * bodies.length)
      for (const { id, body } of found) assert.ok(body === bodies[Number(id.slice(1))], `the body of ${id}`)
      for (const { starts } of await take(one, queue, bodies.length)) assert.equal(starts, 1)
    },
  },
  {
    id: 'queue.peek.pages',
    title: 'peek gives up to limit, after a handle: page by page each comes once, roughly the oldest first',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      for (const batch of [messages(20), messages(20, 'n'), messages(20, 'o')]) await one.send(queue, batch)
      const held = await take(one, queue, 10)
      await end(one, queue, held.slice(0, 5), { kind: 'retry', delayMs: longMs })
      const found = await pages(two, queue, 7, 70)
      for (const page of found) assert.ok(page.length <= 7)
      const all = found.flat()
      assert.equal(new Set(all).size, 60)
      assert.equal(all.length, 60, 'each came once')
      assert.ok(all.indexOf('m19') < all.indexOf('o0'), 'the oldest first')
    },
  },
  {
    id: 'queue.peek.pages.gone',
    title: 'paging goes on after a handle whose message is gone in the meantime',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(9))
      const held = await take(one, queue, 3)
      const first = await two.peek(queue, { limit: 3 })
      assert.deepEqual(sorted(ids(first)), sorted(ids(held)), 'what is leased stays in its place')
      await end(
        one,
        queue,
        held.filter(({ id }) => id === first.at(-1)!.id),
      )
      const second = await two.peek(queue, { limit: 4, after: first.at(-1)!.handle })
      assert.deepEqual(ids(second), ['m3', 'm4', 'm5', 'm6'])
    },
  },
  {
    id: 'queue.peek.numbers',
    title: 'a limit that is no whole number from 1 to 1,000 is refused: INVALID_OPTION',
    requires: ['queue.peek'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      for (const limit of [0, -1, 1.5, Number.NaN, 1_001])
        await refused('INVALID_OPTION', () => one.peek(queue, { limit }), `limit ${limit}`)
      assert.deepEqual(await one.peek(queue, { limit: 1_000 }), [])
    },
  },
]
