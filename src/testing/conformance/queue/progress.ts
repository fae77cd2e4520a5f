// What a holder says of its progress: seen while its lease lasts, and written by nobody else.
import assert from 'node:assert/strict'
import type { QueuePort } from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { owners } from '../subject.ts'
import { eventually } from '../wait.ts'
import {
  counts,
  end,
  givenBack,
  longMs,
  messages,
  type QueueCase,
  queueBench,
  take,
  takeOne,
} from './bench.ts'

async function progressOf(port: QueuePort, queue: string): Promise<(string | undefined)[]> {
  return (await port.peek(queue, { limit: 10 })).map(({ progress }) => progress)
}

/** Peek may lag behind. */
async function shown(
  port: QueuePort,
  queue: string,
  expected: readonly (string | undefined)[],
): Promise<void> {
  await eventually('the progress is shown', async () =>
    assert.deepEqual(await progressOf(port, queue), expected),
  )
}

/** Engines may keep messages under rules in another way: each case is there for both. */
const kinds: readonly (readonly [suffix: string, rules: QueueRules | undefined, QueueCase['requires']])[] = [
  ['', undefined, []],
  ['.rules', { priority: true }, ['queue.priority']],
]

const forEach = kinds.flatMap(([suffix, rules, needs]): QueueCase[] => [
  {
    id: `queue.progress.seen${suffix}`,
    title: `peek shows what the holder said last${rules ? ', under rules' : ''}; of each message its own`,
    requires: ['queue.progress', 'queue.peek', ...needs],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(4))
      const held = await take(one, queue, 3)
      const leases = held.map(({ lease }) => lease)
      await shown(two, queue, [undefined, undefined, undefined, undefined])
      await one.extend(queue, leases, longMs, ['0.25', undefined, '{"step":"ü"}'])
      await shown(two, queue, ['0.25', undefined, '{"step":"ü"}', undefined])
      await one.extend(queue, leases, longMs)
      await one.extend(queue, leases, longMs, ['0.5', undefined, undefined])
      await shown(two, queue, ['0.5', undefined, '{"step":"ü"}', undefined])
      await end(one, queue, held.slice(0, 1))
      await shown(two, queue, [undefined, '{"step":"ü"}', undefined])
    },
  },
  {
    id: `queue.progress.over${suffix}`,
    title: `with the lease the progress is over${rules ? ', under rules' : ''}: the next start begins without`,
    requires: ['queue.progress', 'queue.peek', ...needs],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, messages(1))
      for (const ending of givenBack) {
        const held = await takeOne(one, queue)
        await one.extend(queue, [held.lease], longMs, ['1'])
        await shown(two, queue, ['1'])
        await end(one, queue, [held], ending)
        assert.deepEqual(await progressOf(one, queue), [undefined], ending.kind)
        const again = await takeOne(two, queue)
        assert.deepEqual(await progressOf(two, queue), [undefined], ending.kind)
        await end(two, queue, [again], { kind: 'release' })
      }
      const held = await takeOne(one, queue, shortMs)
      await one.extend(queue, [held.lease], shortMs, ['2'])
      await takeOne(two, queue)
      assert.deepEqual(await progressOf(two, queue), [undefined], 'the lease ended by its time')
    },
  },
  {
    id: `queue.progress.fenced${suffix}`,
    title: `who lost its lease writes nothing${rules ? ', under rules' : ''}`,
    requires: ['queue.progress', 'queue.peek', 'queue.fencing', ...needs],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject, rules)
      await one.send(queue, messages(1))
      const stale = await takeOne(one, queue, shortMs)
      const held = await takeOne(two, queue)
      await two.extend(queue, [held.lease], longMs, ['"mine"'])
      assert.deepEqual(await one.extend(queue, [stale.lease], longMs, ['"theirs"']), ['stale'])
      await shown(one, queue, ['"mine"'])
      await end(two, queue, [held], { kind: 'retry', delayMs: 0 })
      assert.deepEqual(await two.extend(queue, [held.lease], longMs, ['"late"']), ['stale'])
      await shown(one, queue, [undefined])
    },
  },
  {
    id: `queue.progress.long${suffix}`,
    title: `too long a text is refused${rules ? ', under rules' : ''}, and no lease extended: INVALID_OPTION`,
    requires: ['queue.progress', 'queue.peek', ...needs],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject, rules)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue)
      const text = (length: number) => `"${'x'.repeat(length - 2)}"`
      await refused('INVALID_OPTION', () => one.extend(queue, [lease], longMs, [text(4_001)]), 'extend')
      assert.deepEqual(await one.extend(queue, [lease], longMs, [text(4_000)]), ['extended'])
      await shown(two, queue, [text(4_000)])
    },
  },
])

export const progressCases: readonly QueueCase[] = [
  ...forEach,
  {
    id: 'queue.progress.missing',
    title: 'an engine without progress refuses it, and extends nothing: CAPABILITY_MISSING',
    requires: ['queue', 'without queue.progress'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(1))
      const { lease } = await takeOne(one, queue)
      const say = () => one.extend(queue, [lease], longMs, ['1'])
      await refusedForLack(subject.one.name, owners('queue', 'progress'), say, 'progress')
      assert.deepEqual(await one.extend(queue, [lease], longMs, [undefined]), ['extended'])
      await counts(one, queue, { leased: 1 })
    },
  },
]
