// Dead letters: listing them page by page, and redriving them.
import assert from 'node:assert/strict'
import type { DeadMessage } from '../../../ports/queue.ts'
import { largeBody, numbers, unusualBodies } from '../sample.ts'
import {
  counts,
  ids,
  kill,
  messages,
  nothingClaimable,
  type QueueBench,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
} from './bench.ts'

/** Sends and buries messages one after another, so that the order of their deaths is known. */
async function bury(bench: QueueBench, count: number): Promise<readonly DeadMessage[]> {
  const { queue, one } = bench
  await one.send(queue, messages(count))
  for (const index of numbers(count)) await kill(one, queue, `reason ${index}`)
  return one.deadLetters(queue, { limit: count })
}

export const deadCases: readonly QueueCase[] = [
  {
    id: 'queue.dead.tells',
    title: 'a dead letter tells its id, key, body, reason, starts and time',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      const body = unusualBodies.at(-1)!
      await one.send(queue, [{ id: 'with', key: 'straße', body }])
      await takeOne(one, queue, shortMs)
      const again = await takeOne(two, queue)
      const reason = `it said: "no",\n'never' 🛑 ${'x'.repeat(2_000)}`
      await two.settle(queue, [{ lease: again.lease, kind: 'dead-letter', reason }])
      const [dead, ...more] = await one.deadLetters(queue, { limit: 10 })
      assert.deepEqual(more, [])
      const { handle, diedAt, ...rest } = dead!
      assert.deepEqual(rest, { id: 'with', key: 'straße', body, reason, starts: 2, history: [] })
      assert.ok(handle !== '')
      assert.ok(Math.abs(diedAt - Date.now()) < 60_000, `diedAt is ${diedAt}, milliseconds since the epoch`)
    },
  },
  {
    id: 'queue.dead.oldest-first',
    title: 'dead letters are listed oldest first: by their deaths, not by when they were sent',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(3))
      const [a, b, c] = await take(one, queue, 3)
      for (const { lease } of [c!, a!, b!])
        await one.settle(queue, [{ lease, kind: 'dead-letter', reason: 'broken' }])
      const found = await two.deadLetters(queue, { limit: 10 })
      assert.deepEqual(ids(found), ['m2', 'm0', 'm1'])
      assert.ok(found[0]!.diedAt <= found[1]!.diedAt && found[1]!.diedAt <= found[2]!.diedAt)
    },
  },
  {
    id: 'queue.dead.pages',
    title: 'deadLetters gives up to limit, after a handle: page by page each comes once',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const all = await bury(bench, 7)
      assert.deepEqual(ids(all), ids(messages(7)))
      const pages: string[][] = []
      let after: string | undefined
      // More pages than there are letters: paging goes round in circles.
      while (pages.length < 8) {
        const page = await bench.two.deadLetters(
          bench.queue,
          after === undefined ? { limit: 3 } : { limit: 3, after },
        )
        if (page.length === 0) break
        pages.push(ids(page))
        after = page.at(-1)!.handle
      }
      assert.deepEqual(pages, [['m0', 'm1', 'm2'], ['m3', 'm4', 'm5'], ['m6']])
    },
  },
  {
    id: 'queue.dead.pages.redriven',
    title: 'paging goes on after a handle whose dead letter was redriven in the meantime',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await bury(bench, 5)
      const first = await one.deadLetters(queue, { limit: 2 })
      const handles = first.map(({ handle }) => handle)
      assert.equal(await two.redrive(queue, handles), 2)
      const second = await one.deadLetters(queue, { limit: 2, after: handles[1]! })
      assert.deepEqual(ids(second), ['m2', 'm3'])
    },
  },
  {
    id: 'queue.redrive.fresh',
    title: 'redrive makes a dead letter ready again, with the same id and no starts',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const body = largeBody()
      await one.send(queue, [{ id: 'same', key: 'k', body }])
      const first = await takeOne(one, queue)
      await one.settle(queue, [{ lease: first.lease, kind: 'retry', delayMs: 0 }])
      await kill(one, queue, 'first time')
      const [dead] = await two.deadLetters(queue, { limit: 1 })
      assert.equal(dead!.starts, 2)
      assert.equal(await two.redrive(queue, [dead!.handle]), 1)
      assert.deepEqual(await one.deadLetters(queue, { limit: 1 }), [])
      const again = await takeOne(one, queue)
      assert.deepEqual([again.id, again.key, again.starts], ['same', 'k', 1])
      assert.ok(again.body === body, 'the body came back byte for byte')
      await one.settle(queue, [{ lease: again.lease, kind: 'dead-letter', reason: 'second time' }])
      const [second] = await one.deadLetters(queue, { limit: 2 })
      assert.notEqual(second!.handle, dead!.handle, 'who dies again gets a new handle')
      assert.equal(await two.redrive(queue, [dead!.handle]), 0, 'the old one names nothing')
      assert.deepEqual([second!.reason, second!.starts], ['second time', 1])
    },
  },
  {
    id: 'queue.redrive.counts',
    title: 'redrive resolves with how many there were: not those redriven before',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const handles = (await bury(bench, 4)).map(({ handle }) => handle)
      assert.equal(await one.redrive(queue, handles.slice(0, 2)), 2)
      assert.equal(await two.redrive(queue, handles), 2, 'two of four were left')
      assert.equal(await one.redrive(queue, handles), 0)
      await counts(one, queue, { ready: 4 })
      assert.deepEqual(sorted(ids(await take(two, queue, 4))), ids(messages(4)))
      await nothingClaimable(one, queue, 'each came back once')
    },
  },
  {
    id: 'queue.redrive.unknown',
    title: 'handles that name no dead letter of this queue are passed over',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const other = await queueBench(subject)
      const [mine] = await bury(bench, 1)
      const [theirs] = await bury(other, 1)
      const handles = [
        '',
        'nobody',
        '-1',
        '1e3',
        `${mine!.handle}0`,
        theirs!.handle,
        mine!.handle,
        mine!.handle,
      ]
      assert.equal(await bench.two.redrive(bench.queue, handles), 1)
      await counts(other.one, other.queue, { dead: 1 })
      await counts(bench.one, bench.queue, { ready: 1 })
    },
  },
  {
    id: 'queue.redrive.order',
    title:
      'roughly the oldest first, by when they were sent or redriven: redriven ones do not pass all that wait',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const [dead] = await bury(bench, 1)
      await one.send(queue, messages(60, 'waiting'))
      await two.redrive(queue, [dead!.handle])
      const found = ids(await take(two, queue, 61))
      assert.ok(found.indexOf('m0') >= 30, `it came as number ${found.indexOf('m0')} of 61`)
    },
  },
  {
    id: 'queue.redrive.concurrent',
    title: 'a dead letter that several processes redrive at once comes back once',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const handles = (await bury(bench, 10)).map(({ handle }) => handle)
      const done = await Promise.all(
        numbers(6).map((index) => (index % 2 ? one : two).redrive(queue, handles)),
      )
      assert.equal(
        done.reduce((sum, count) => sum + count),
        10,
      )
      assert.deepEqual(sorted(ids(await take(one, queue, 10))), ids(messages(10)))
      await nothingClaimable(two, queue, 'each came back once')
    },
  },
]
