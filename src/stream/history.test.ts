// Reading to the end must end, also when the log is trimmed under it.
import { expect, test } from 'vitest'
import type { StreamPort } from '../ports/stream.ts'
import { fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import { readHistory, readTail } from './history.ts'

/** A stream of ten records from which the first five, or all, are trimmed once the reading has asked for its bounds. */
async function trimmedTo(earliest: number): Promise<StreamPort> {
  const port = memory().stream!
  await port.declare({ name: 'log', partitions: 1 })
  await port.append(
    'log',
    Array.from({ length: 10 }, (_, n) => ({ partition: 0, body: String(n) })),
  )
  let asked = 0
  const trimmed: Pick<StreamPort, 'bounds' | 'read'> = {
    async bounds() {
      asked += 1
      return [{ partition: 0, earliest: asked === 1 ? 0 : earliest, next: 10 }]
    },
    async read(stream, from, options) {
      const position = Math.max(from[0]!.position, earliest)
      return port.read(stream, [{ partition: 0, position }], { ...options, waitMs: 20 })
    },
  }
  return trimmed as StreamPort
}

async function read(port: StreamPort): Promise<string[]> {
  const bodies: string[] = []
  for await (const page of readHistory(port, 'log')) bodies.push(...page.map(({ body }) => body))
  return bodies
}

test('what is trimmed while it is read is passed over', { timeout: 5_000 }, async () => {
  expect(await read(await trimmedTo(0))).toHaveLength(10)
  expect(await read(await trimmedTo(5))).toEqual(['5', '6', '7', '8', '9'])
  expect(await read(await trimmedTo(10))).toEqual([])
})

test('the tail begins with the last of all partitions, also where compaction has left few of one', async () => {
  const clock = fakeClock()
  const port = memory({ clock }).stream!
  await port.declare({ name: 'log', partitions: 2, retention: { compact: { tombstonesMs: 0 } } })
  const append = async (partition: number, key: string | undefined, ...bodies: readonly string[]) => {
    await port.append(
      'log',
      bodies.map((body) => ({ partition, key, body })),
    )
    await clock.advance(1_000)
  }
  await append(0, undefined, 'a', 'b', 'c')
  await append(1, 'one', 'd')
  await append(1, 'two', ...Array.from({ length: 200 }, (_, index) => `${index}`))
  for await (const page of readTail(port, 'log', 3)) {
    expect(page.map(({ body }) => body)).toEqual(['c', 'd', '199'])
    break
  }
})
