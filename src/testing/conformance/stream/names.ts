// Listing streams. Others are there too: only our own names are looked for.
import assert from 'node:assert/strict'
import { refused } from '../refusal.ts'
import { fresh } from '../sample.ts'
import { eventually } from '../wait.ts'
import { records, type StreamCase, streamPorts } from './bench.ts'

export const nameCases: readonly StreamCase[] = [
  {
    id: 'stream.names.declared',
    title:
      'names tells every stream that was declared, once, to every handle; not one that was only asked for',
    requires: ['stream'],
    async run(subject) {
      const { one, two } = streamPorts(subject)
      const [base, unknown] = [fresh('stream'), fresh('stream')]
      const streams = [`${base}.b-2`, base, `${base}_A.b`, `${base}.B-1`]
      for (const name of streams.slice(0, 2)) await one.declare({ name, partitions: 2 })
      for (const name of streams) await two.declare({ name, partitions: 1 })
      await refused('UNKNOWN_STREAM', () => one.append(unknown, records(1)), 'append')
      for (const port of [one, two])
        await eventually('all are named', async () => {
          const names = await port.names()
          assert.deepEqual(
            names.filter((name) => name.startsWith(base)),
            [...streams].sort(),
          )
          assert.ok(!names.includes(unknown), 'a stream that was not declared is none')
        })
    },
  },
  {
    id: 'stream.names.sorted',
    title: 'names are sorted as texts, all of them',
    requires: ['stream'],
    async run(subject) {
      const { one } = streamPorts(subject)
      for (const end of ['.b', '', '.B', '.a'])
        await one.declare({ name: `${fresh('stream')}${end}`, partitions: 1 })
      const names = await one.names()
      assert.deepEqual(names, [...names].sort())
    },
  },
]
