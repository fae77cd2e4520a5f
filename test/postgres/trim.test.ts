// Who appends does not wait for who trims; a trim of any size is short transactions.
import { expect, test, vi } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { looking, onServers } from './on-servers.ts'

await onServers('trimming', {}, (server) => {
  test('nobody waits for a trim that leaves a record', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    await engine.stream!.declare({ name: 'busy', partitions: 1 })
    const records = Array.from({ length: 10 }, () => ({ partition: 0, body: '{}' }))
    await engine.stream!.append('busy', records)
    const id = `(select id from spillway.stream where name = 'busy')`
    const client = await pool.connect()
    await client.query('begin')
    await client.query(`select spillway.trim_step(${id}, 0, 0, 9, 100)`)
    const appended = { status: 'appended', positions: [10] }
    expect(await engine.stream!.append('busy', records.slice(9))).toEqual(appended)
    await client.query('commit')
    client.release()
    expect(await engine.stream!.bounds('busy')).toEqual([{ partition: 0, earliest: 9, next: 11 }])
    await Promise.all([engine.close(), pool.end()])
  })

  test('what is trimmed while its size is counted does not count for ever', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url, 2)
    const retention = { maxBytes: 1_000_000 }
    await engine.stream!.declare({ name: 'sized', partitions: 1, retention })
    const records = Array.from({ length: 10 }, () => ({ partition: 0, body: '{}' }))
    await engine.stream!.append('sized', records)
    const id = `(select id from spillway.stream where name = 'sized')`
    const client = await pool.connect()
    await client.query('begin')
    await client.query(`select spillway.retain_step(${id}, 0, 0, 100)`)
    const trimming = engine.stream!.trim('sized', [{ partition: 0, position: 8 }])
    const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%trim_step%'`
    await vi.waitFor(async () => {
      const over = await Promise.race([trimming.then(() => true), false])
      expect(over || (await pool.query(waits)).rows.length > 0).toBe(true)
    })
    await client.query('commit')
    client.release()
    await trimming
    const { rows } = await pool.query(`select bytes::int from spillway.stream_size where stream = ${id}`)
    expect(rows).toEqual([{ bytes: 4 }])
    await Promise.all([engine.close(), pool.end()])
  })

  test('who declares other limits waits for the step that goes by the old ones', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url, 2)
    const all = { name: 'limited', partitions: 1 }
    await engine.stream!.declare({ ...all, retention: { maxBytes: 10 } })
    const id = `(select id from spillway.stream where name = 'limited')`
    const client = await pool.connect()
    await client.query('begin')
    await client.query(`select spillway.retain_step(${id}, 0, 0, 100)`)
    let over = false
    const declaring = engine.stream!.declare({ ...all, retention: {} }).then(() => {
      over = true
    })
    const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%limit_stream%'`
    await vi.waitFor(async () => expect((await pool.query(waits)).rows.length).toBe(1))
    expect(over).toBe(false)
    await client.query('commit')
    client.release()
    await declaring
    const records = Array.from({ length: 10 }, () => ({ partition: 0, body: '"a long body"' }))
    await engine.stream!.append('limited', records)
    await pool.query(`select spillway.retain_step(${id}, 0, 0, 100)`)
    expect(await engine.stream!.bounds('limited')).toEqual([{ partition: 0, earliest: 0, next: 10 }])
    await Promise.all([engine.close(), pool.end()])
  })

  test('a partition that was empty when compaction looked keeps the last of what comes meanwhile', async () => {
    const { url } = server()
    const engine = await postgres({ url, retentionEveryMs: 1 })
    await engine.stream!.declare({
      name: 'emptied',
      partitions: 1,
      retention: { compact: { tombstonesMs: 0 } },
    })
    const gone = { partition: 0, key: 'a', body: 'null', tombstone: true }
    for (let round = 1; round <= 200; round++) {
      await engine.stream!.append('emptied', [gone, gone, gone])
      expect((await engine.stream!.bounds('emptied'))[0]!.next).toBe(3 * round)
      await engine.stream!.trim('emptied', [{ partition: 0, position: 3 * round }])
    }
    await engine.close()
  })

  test('a step removes no more than it may, and says where the next one begins', async () => {
    const { url } = server()
    const engine = await postgres({ url })
    const pool = looking(url)
    await engine.stream!.declare({ name: 'steps', partitions: 1 })
    const records = Array.from({ length: 10 }, () => ({ partition: 0, body: '{}' }))
    await engine.stream!.append('steps', records)
    const step = async (from: number) => {
      const text = `select reached::int, gone::int from spillway.trim_step(
        (select id from spillway.stream where name = 'steps'), 0, $1, 1000, 4)`
      return (await pool.query(text, [from])).rows[0] as unknown
    }
    expect(await step(0)).toEqual({ reached: 4, gone: 4 })
    expect(await step(4)).toEqual({ reached: 8, gone: 4 })
    expect(await step(8)).toEqual({ reached: 10, gone: 2 })
    expect(await step(10)).toEqual({ reached: 1000, gone: 0 })
    expect(await engine.stream!.bounds('steps')).toEqual([{ partition: 0, earliest: 10, next: 10 }])
    await Promise.all([engine.close(), pool.end()])
  })
})
