// spillway.trim_stream: retention by hand, until there is a policy for it.
import { expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { looking, onServers } from './on-servers.ts'

await onServers('trimming', {}, (server) => {
  test('positions go on where they were, also when nothing is left', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    const stream = engine.stream!
    await stream.declare({ name: 's', partitions: 2 })
    const append = async (count: number) =>
      stream.append(
        's',
        Array.from({ length: count }, () => ({ partition: 1, body: '{}' })),
      )
    const trim = async (below: number) =>
      Number((await pool.query(`select spillway.trim_stream('s', 1, $1) as gone`, [below])).rows[0].gone)
    await append(10)
    expect(await trim(4)).toBe(4)
    expect(await stream.bounds('s')).toContainEqual({ partition: 1, earliest: 4, next: 10 })
    expect(await trim(1_000)).toBe(6)
    expect(await stream.bounds('s')).toContainEqual({ partition: 1, earliest: 10, next: 10 })
    expect(await append(2)).toEqual({ status: 'appended', positions: [10, 11] })
    expect(await trim(11)).toBe(1)
    const from = [{ partition: 1, position: 0 }]
    const records = await stream.read('s', from, { maxRecords: 10, maxBytes: 1_000, waitMs: 0 })
    expect(records.map(({ position }) => position)).toEqual([11])
    await Promise.all([engine.close(), pool.end()])
  })

  test('nobody waits for a trim that leaves a record; what does not exist is not trimmed', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    await engine.stream!.declare({ name: 'busy', partitions: 1 })
    const records = Array.from({ length: 10 }, () => ({ partition: 0, body: '{}' }))
    await engine.stream!.append('busy', records)
    await pool.query('begin')
    await pool.query(`select spillway.trim_stream('busy', 0, 9)`)
    const appended = { status: 'appended', positions: [10] }
    expect(await engine.stream!.append('busy', records.slice(9))).toEqual(appended)
    await pool.query('commit')
    expect(await engine.stream!.bounds('busy')).toEqual([{ partition: 0, earliest: 9, next: 11 }])
    await expect(pool.query(`select spillway.trim_stream('nobody', 0, 1)`)).rejects.toThrow(/no partition 0/)
    await expect(pool.query(`select spillway.trim_stream('busy', 1, 1)`)).rejects.toThrow(/no partition 1/)
    await Promise.all([engine.close(), pool.end()])
  })

  test('a stream that keeps versions is not trimmed', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    await engine.stream!.declare({ name: 'v', partitions: 1, versions: true })
    await engine.stream!.append('v', [{ partition: 0, key: 'k', body: '{}' }])
    await expect(pool.query(`select spillway.trim_stream('v', 0, 1)`)).rejects.toThrow(/keeps versions/)
    expect(await engine.stream!.readKey('v', 'k', { fromVersion: 1, limit: 10 })).toHaveLength(1)
    await Promise.all([engine.close(), pool.end()])
  })
})
