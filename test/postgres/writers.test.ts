// No skipped events: positions are given in the order of commit, whatever writers do between them.
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import type { PartitionPosition, StreamRecord } from '../../src/ports/stream.ts'
import { onServers } from './on-servers.ts'

const partitions = 3
const writers = 16
const perWriter = 40

await onServers('concurrent writers', {}, (server) => {
  test('sixteen writers with random pauses, and a long transaction beside them: a subscriber sees every record, in order', async () => {
    const { url } = server()
    const engines = await Promise.all(Array.from({ length: 4 }, () => postgres({ url, poolSize: 4 })))
    const other = new pg.Client(url)
    await other.connect()
    try {
      const stream = 'written'
      await engines[0]!.stream!.declare({ name: stream, partitions })
      // It holds back what waits for the oldest open transaction; here nothing does.
      await other.query('begin isolation level repeatable read; select pg_current_xact_id()')
      const total = writers * perWriter
      const subscriber = subscribe(engines[3]!, stream, total)
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          const port = engines[writer % engines.length]!.stream!
          for (let index = 0; index < perWriter; index++) {
            await pause(Math.random() * 8)
            // A key keeps to its partition; every third append goes to all partitions at once.
            const own = { partition: writer % partitions, key: `w${writer}`, body: `${writer} ${index}` }
            const wide = Array.from({ length: partitions }, (_, partition) => ({ partition, body: 'wide' }))
            await port.append(stream, index % 3 === 0 ? [own, ...wide] : [own])
          }
        }),
      )
      const seen = await subscriber
      for (let partition = 0; partition < partitions; partition++) {
        const positions = seen.filter((one) => one.partition === partition).map(({ position }) => position)
        expect(positions).toEqual(positions.map((_, index) => index))
      }
      for (let writer = 0; writer < writers; writer++)
        expect(seen.filter(({ key }) => key === `w${writer}`).map(({ body }) => body)).toEqual(
          Array.from({ length: perWriter }, (_, index) => `${writer} ${index}`),
        )
    } finally {
      await other.end()
      await Promise.all(engines.map((engine) => engine.close()))
    }
  })
})

await onServers('readers', {}, (server) => {
  test('partitions take turns for each of two readers that happen to take turns themselves', async () => {
    const engine = await postgres({ url: server().url })
    const stream = engine.stream!
    await stream.declare({ name: 'read', partitions: 2 })
    const busy = Array.from({ length: 200 }, () => ({ partition: 0, body: '"busy"' }))
    await stream.append('read', [...busy, { partition: 1, body: '"quiet"' }])
    const options = { maxRecords: 1, maxBytes: 1_000, waitMs: 0 }
    const readers = [1, 2].map(() => ({ next: [0, 0], seen: new Set<string>() }))
    for (let round = 0; round < 30; round++)
      for (const { next, seen } of readers) {
        const from = next.map((position, partition) => ({ partition, position }))
        for (const { partition, position, body } of await stream.read('read', from, options)) {
          next[partition] = position + 1
          seen.add(body)
        }
      }
    for (const { seen } of readers) expect([...seen].sort()).toEqual(['"busy"', '"quiet"'])
    await engine.close()
  })
})

/** Follows the stream until it has seen `total` records with a key; fails when nothing comes any more. */
async function subscribe(
  engine: Awaited<ReturnType<typeof postgres>>,
  stream: string,
  total: number,
): Promise<StreamRecord[]> {
  const next: PartitionPosition[] = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    position: 0,
  }))
  const seen: StreamRecord[] = []
  while (seen.filter(({ key }) => key !== undefined).length < total) {
    const options = { maxRecords: 50, maxBytes: 100_000, waitMs: 10_000 }
    const records = await engine.stream!.read(stream, next, options)
    if (records.length === 0) throw new Error(`nothing after ${seen.length} records`)
    for (const record of records) {
      seen.push(record)
      next[record.partition] = { partition: record.partition, position: record.position + 1 }
    }
  }
  // What was appended together with the last record of a writer, in other partitions.
  seen.push(...(await engine.stream!.read(stream, next, { maxRecords: 1_000, maxBytes: 1e6, waitMs: 0 })))
  return seen
}
