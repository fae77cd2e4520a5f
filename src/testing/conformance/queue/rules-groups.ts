// The rule `groups`: turns between groups, however long their backlogs are.
import assert from 'node:assert/strict'
import type { ClaimedMessage } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { counts, end, grouped, ids, messages, type QueueCase, queueBench, take, takeOne } from './bench.ts'

const rules = { groups: {} }

/** How many there are of each group; an id is the name of its group and a number. */
export function tally(found: readonly { readonly id: string }[]): Record<string, number> {
  const counted: Record<string, number> = {}
  for (const { id } of found) {
    const group = id.replace(/\d+$/, '')
    counted[group] = (counted[group] ?? 0) + 1
  }
  return counted
}

export const groupCases: readonly QueueCase[] = [
  {
    id: 'queue.groups.not-starved',
    title: 'a group of 200 does not starve a group of 1, in one claim or from claim to claim',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, grouped('a', 200))
      await one.send(queue, grouped('b', 1))
      assert.ok(ids(await take(two, queue, 3)).includes('b0'), 'among the first three of a claim')
      await one.send(queue, grouped('c', 1))
      const found: ClaimedMessage[] = []
      for (const at of numbers(3)) found.push(await takeOne(at % 2 ? one : two, queue))
      assert.ok(ids(found).includes('c0'), 'within three claims')
      await counts(one, queue, { ready: 196, leased: 6 })
    },
  },
  {
    id: 'queue.groups.turns',
    title: 'claims of one message take turns between the groups, in whatever process; each group by age',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [...grouped('a', 40), ...grouped('b', 12), ...grouped('c', 12)])
      const found: ClaimedMessage[] = []
      for (const at of numbers(30)) {
        const port = at % 2 ? one : two
        const message = await takeOne(port, queue)
        found.push(message)
        // Handled or still held: turns are of claims.
        if (at % 3) await end(port, queue, [message])
        const { a = 0, b = 0, c = 0 } = tally(found)
        const [least, , most] = [a, b, c].sort((x, y) => x - y)
        assert.ok(most! - least! <= 1, `after ${at + 1} claims: ${a}, ${b} and ${c}`)
      }
      for (const group of ['a', 'b', 'c'])
        assert.deepEqual(
          ids(found).filter((id) => id.startsWith(group)),
          ids(messages(10, group)),
        )
    },
  },
  {
    id: 'queue.groups.within',
    title: 'a claim of many takes turns too, and fills up from the long group when the short ones are empty',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [...grouped('a', 60), ...grouped('b', 5), ...grouped('c', 2)])
      assert.deepEqual(tally(await take(two, queue, 6)), { a: 2, b: 2, c: 2 })
      const { a, b } = tally(await take(one, queue, 20))
      assert.deepEqual([a, b], [17, 3])
    },
  },
  {
    id: 'queue.groups.many',
    title: 'of a hundred groups each has its turn before one has its second',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      for (const group of numbers(100)) await one.send(queue, grouped(`g${group}-`, group === 0 ? 200 : 2))
      const found = [...(await take(one, queue, 50)), ...(await take(two, queue, 50))]
      assert.equal(Object.keys(tally(found)).length, 100)
      const second = await take(two, queue, 100)
      assert.equal(Object.keys(tally(second)).length, 100)
      assert.deepEqual(new Set(ids(await take(one, queue, 3))), new Set(['g0-2', 'g0-3', 'g0-4']))
    },
  },
  {
    id: 'queue.groups.ungrouped',
    title: 'messages without a group are one group',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [
        ...messages(40),
        ...grouped('a', 10),
        ...grouped('null', 10),
        ...grouped('undefined', 10),
      ])
      const found = [...(await take(two, queue, 4)), ...(await take(one, queue, 8))]
      assert.deepEqual(tally(found), { m: 3, a: 3, null: 3, undefined: 3 })
    },
  },
  {
    id: 'queue.groups.given-back',
    title:
      'a group whose messages are given back or retried again and again does not take the turns of others',
    requires: ['queue.groups'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, [...grouped('a', 3), ...grouped('b', 20)])
      const found: ClaimedMessage[] = []
      for (const at of numbers(20)) {
        const message = await takeOne(at % 2 ? one : two, queue)
        found.push(message)
        const again = at % 4 < 2 ? ({ kind: 'release' } as const) : ({ kind: 'retry', delayMs: 0 } as const)
        await end(one, queue, [message], message.id.startsWith('a') ? again : { kind: 'done' })
      }
      const { b = 0 } = tally(found)
      assert.ok(b >= 9, `${b} of 20 turns were of the other group`)
    },
  },
  {
    id: 'queue.groups.priority',
    title:
      'with priority the highest comes first whatever its group; turns are taken among those of equal priority',
    requires: ['queue.groups', 'queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { groups: {}, priority: true })
      await one.send(queue, [...grouped('a', 9), ...grouped('b', 3)])
      const high = [...grouped('x', 6), ...grouped('y', 2)]
      await one.send(
        queue,
        high.map((message) => ({ ...message, priority: 5 })),
      )
      assert.deepEqual(tally(await take(two, queue, 4)), { x: 2, y: 2 })
      const rest: ClaimedMessage[] = []
      for (const at of numbers(4)) rest.push(await takeOne(at % 2 ? one : two, queue))
      assert.deepEqual(tally(rest), { x: 4 }, 'as long as there are higher ones')
      assert.deepEqual(tally(await take(two, queue, 6)), { a: 3, b: 3 })
    },
  },
  {
    id: 'queue.groups.levels',
    title:
      'each priority has turns of its own: what is served on a higher one costs no group on a lower one its turn',
    requires: ['queue.groups', 'queue.priority'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { groups: {}, priority: true })
      await one.send(queue, [...grouped('b', 8), ...grouped('c', 8)])
      const low: ClaimedMessage[] = []
      for (const at of numbers(8)) {
        const port = at % 2 ? one : two
        await port.send(queue, [{ id: `high${at}`, group: 'a', priority: 1, body: '{}' }])
        assert.equal((await takeOne(port, queue)).id, `high${at}`)
        low.push(await takeOne(two, queue))
      }
      assert.deepEqual(tally(low), { b: 4, c: 4 })
    },
  },
  {
    id: 'queue.groups.key-order',
    title: 'with keyOrder a group takes its turns with the heads of its keys',
    requires: ['queue.groups', 'queue.keyOrder'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, { groups: {}, keyOrder: true })
      const inGroup = (group: string, key: string, count: number) =>
        grouped(group, count).map((message) => ({ ...message, key }))
      await one.send(queue, [
        ...inGroup('a', 'one key', 30),
        ...inGroup('b', 'another', 2),
        ...grouped('c', 4),
      ])
      const first = await take(two, queue, 3)
      assert.deepEqual(tally(first), { a: 1, b: 1, c: 1 })
      assert.deepEqual(tally(await take(one, queue, 3)), { c: 3 }, 'the heads of the others are leased')
      await end(two, queue, first)
      assert.deepEqual(ids(await take(one, queue, 2)).sort(), ['a1', 'b1'])
    },
  },
]
