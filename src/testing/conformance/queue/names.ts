// Listing queues. Others are there too: only our own names are looked for.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { fresh } from '../sample.ts'
import { eventually } from '../wait.ts'
import { messages, type QueueCase, queuePorts } from './bench.ts'

export const nameCases: readonly QueueCase[] = [
  {
    id: 'queue.names.declared',
    title:
      'names tells every queue that was declared, once, to every handle; not one that was only asked for',
    requires: ['queue'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const [base, unknown] = [fresh('queue'), fresh('queue')]
      const queues = [`${base}.b-2`, base, `${base}_A.b`, `${base}.B-1`]
      await one.declare(queues.slice(0, 2))
      await two.declare(queues)
      await refused('UNKNOWN_QUEUE', () => one.send(unknown, messages(1)), 'send')
      for (const port of [one, two])
        await eventually('all are named', async () => {
          const names = await port.names()
          assert.deepEqual(
            names.filter((name) => name.startsWith(base)),
            [...queues].sort(),
          )
          assert.ok(!names.includes(unknown), 'a queue that was not declared is none')
        })
    },
  },
  {
    id: 'queue.names.sorted',
    title: 'names are sorted as texts, all of them',
    requires: ['queue'],
    async run(subject) {
      const { one } = queuePorts(subject)
      for (const end of ['.b', '', '.B', '.a']) await one.declare([`${fresh('queue')}${end}`])
      const names = await one.names()
      assert.deepEqual(names, [...names].sort())
    },
  },
  {
    id: 'queue.names.no-streams',
    title: 'a stream is not named as a queue, nor a queue as a stream',
    requires: ['queue', 'stream'],
    async run(subject) {
      const { one, two } = queuePorts(subject)
      const [queue, stream] = [fresh('queue'), fresh('stream')]
      await one.declare([queue])
      await subject.one.stream!.declare({ name: stream, partitions: 1 })
      await eventually('both are named', async () => {
        const [queues, streams] = [await two.names(), await subject.two.stream!.names()]
        assert.deepEqual([queues.includes(queue), streams.includes(stream)], [true, true])
        assert.deepEqual([queues.includes(stream), streams.includes(queue)], [false, false])
      })
    },
  },
]
