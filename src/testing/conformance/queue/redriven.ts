// A message tells that it was redriven: whoever runs no old messages has to know which ones somebody asked for.
import assert from 'node:assert/strict'
import type { ClaimedMessage } from '../../../ports/queue.ts'
import { pass } from '../wait.ts'
import { end, kill, messages, type QueueBench, type QueueCase, queueBench, take, takeOne } from './bench.ts'

/** Clocks of engines and of this process may differ by as much. */
const skewMs = 60_000

const told = (list: readonly ClaimedMessage[]) =>
  list.map(({ id, redrivenAt }) => `${id} ${redrivenAt !== undefined}`).sort()

async function redriveAll({ queue, two }: QueueBench): Promise<void> {
  const dead = await two.deadLetters(queue, { limit: 10 })
  assert.ok(
    (await two.redrive(
      queue,
      dead.map(({ handle }) => handle),
    )) > 0,
  )
}

async function sentAndRedriven(bench: QueueBench): Promise<void> {
  await bench.one.send(bench.queue, messages(1))
  await kill(bench.one, bench.queue, 'broken')
  await redriveAll(bench)
}

export const redrivenCases: readonly QueueCase[] = [
  {
    id: 'queue.redriven.told',
    title: 'a claim tells that a message was redriven, and when: of no other one',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await one.send(queue, messages(1))
      const first = await takeOne(one, queue)
      assert.ok(!('redrivenAt' in first), 'not before')
      await end(one, queue, [first], { kind: 'retry', delayMs: 0 })
      const second = await takeOne(one, queue)
      assert.equal(second.redrivenAt, undefined, 'not by a retry')
      await end(one, queue, [second], { kind: 'dead-letter', reason: 'broken' })
      await redriveAll(bench)
      await one.send(queue, messages(2, 'new'))
      const found = await take(two, queue, 3)
      assert.deepEqual(told(found), ['m0 true', 'new0 false', 'new1 false'])
      const { redrivenAt } = found.find(({ id }) => id === 'm0')!
      assert.ok(Math.abs(redrivenAt! - Date.now()) < skewMs, `${redrivenAt} is milliseconds since the epoch`)
    },
  },
  {
    id: 'queue.redriven.kept',
    title: 'it is told until the message ends: after retries, releases and leases that ran out',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two, shortMs } = bench
      await sentAndRedriven(bench)
      const first = await takeOne(two, queue)
      await end(two, queue, [first], { kind: 'retry', delayMs: 0 })
      const second = await takeOne(one, queue)
      await end(one, queue, [second], { kind: 'release' })
      const third = await takeOne(one, queue, shortMs)
      const fourth = await takeOne(two, queue)
      const times = [first, second, third, fourth].map(({ redrivenAt }) => redrivenAt)
      assert.deepEqual(new Set(times), new Set([first.redrivenAt]))
      assert.ok(first.redrivenAt !== undefined)
    },
  },
  {
    id: 'queue.redriven.again',
    title: 'one that died again and is redriven again tells of the last time, with its own id, key and body',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one } = bench
      await one.send(queue, [{ id: 'straße', key: 'k', body: '{"n":1}' }])
      await kill(one, queue, 'broken')
      await redriveAll(bench)
      const first = await takeOne(one, queue)
      await pass(20)
      await end(one, queue, [first], { kind: 'dead-letter', reason: 'broken' })
      const [dead] = await one.deadLetters(queue, { limit: 2 })
      assert.deepEqual([dead!.id, dead!.key, dead!.body], ['straße', 'k', '{"n":1}'])
      await redriveAll(bench)
      const second = await takeOne(one, queue)
      assert.deepEqual([second.id, second.key, second.body], ['straße', 'k', '{"n":1}'])
      assert.ok(second.redrivenAt! > first.redrivenAt!, `${second.redrivenAt} after ${first.redrivenAt}`)
    },
  },
  {
    id: 'queue.redriven.copy',
    title: 'a copy with the id of a message that was redriven does not count as redriven',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await sentAndRedriven(bench)
      await two.send(queue, messages(1))
      const found = await take(one, queue, 2)
      assert.deepEqual(told(found), ['m0 false', 'm0 true'])
    },
  },
  {
    id: 'queue.redriven.rules',
    title: 'under rules it is told as well',
    requires: ['queue', 'queue.keyOrder'],
    async run(subject) {
      const ruled = await queueBench(subject, { keyOrder: true })
      await sentAndRedriven(ruled)
      await ruled.one.send(ruled.queue, messages(1, 'new'))
      const found = await take(ruled.one, ruled.queue, 2)
      assert.deepEqual(told(found), ['m0 true', 'new0 false'])
      await end(ruled.one, ruled.queue, found, { kind: 'retry', delayMs: 0 })
      assert.deepEqual(told(await take(ruled.two, ruled.queue, 2)), ['m0 true', 'new0 false'])
    },
  },
  {
    id: 'queue.redriven.rules-later',
    title: 'one that was redriven before its queue had rules still tells it under them',
    requires: ['queue', 'queue.priority'],
    async run(subject) {
      const bench = await queueBench(subject)
      await sentAndRedriven(bench)
      await bench.two.declare([bench.queue], { priority: true })
      assert.deepEqual(told(await take(bench.one, bench.queue, 1)), ['m0 true'])
    },
  },
]
