// Appends that name their producer are repeated by the engine when their answer was lost: none fails, and none is stored twice.
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { looking, onServers } from './on-servers.ts'

await onServers('appends that may be repeated', {}, (server) => {
  test('connections that are cut lose nothing and double nothing', { timeout: 120_000 }, async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    const stream = engine.stream!
    await stream.declare({ name: 'once', partitions: 2 })
    let over = false
    let cut = 0
    const cutting = (async () => {
      while (!over) {
        const { rows } = await pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where state = 'active' and query like '%append_once%' and pid <> pg_backend_pid() limit 1`,
        )
        cut += rows.length
        await pause(100)
      }
    })()
    const append = (id: string, sequence: number) =>
      stream.append(
        'once',
        [0, 1].map((partition) => ({ partition, body: `"${id}-${sequence}"` })),
        { producer: { id, sequence } },
      )
    const ended = await Promise.allSettled(
      ['a', 'b', 'c'].map(async (id) => {
        for (let sequence = 0; sequence < 60 || cut < 3; sequence++) {
          const { status } = await append(id, sequence)
          expect(['appended', 'duplicate']).toContain(status)
          expect((await append(id, sequence)).status).toBe('duplicate')
        }
      }),
    )
    over = true
    await cutting
    expect(ended.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(cut).toBeGreaterThan(0)
    for (const partition of [0, 1]) {
      const from = [{ partition, position: 0 }]
      const found = await stream.read('once', from, { maxRecords: 100_000, maxBytes: 1e8, waitMs: 1_000 })
      for (const id of ['a', 'b', 'c']) {
        const numbers = found
          .map(({ body }) => JSON.parse(body) as string)
          .filter((body) => body.startsWith(id))
          .map((body) => Number(body.slice(2)))
        expect(numbers).toEqual(numbers.map((_, index) => index))
        expect(numbers.length).toBeGreaterThanOrEqual(60)
      }
    }
    await Promise.all([engine.close(), pool.end()])
  })
})
