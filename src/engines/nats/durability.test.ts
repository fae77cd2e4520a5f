// What is said about durability: by judgement, and as found on real servers.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packagedNats, type RunningServer, nats as server } from '../../../test/servers/index.ts'
import { judge } from './durability.ts'
import { nats } from './engine.ts'

const missing = await server.missing()
const old = await packagedNats.missing()

test('only a server that is seen to sync first survives a power failure, however many replicas there are', () => {
  const found = { version: '2.15.0', replicas: 3, canSync: true }
  expect(judge({ ...found, syncAlways: true })).toMatchObject({ level: 'power-loss', weaknesses: [] })
  expect(judge({ ...found, syncAlways: false }).level).toBe('process')
  expect(judge({ ...found, syncAlways: undefined }).weaknesses[0]).toMatch(/monitor=/)
  expect(judge({ ...found, canSync: false, syncAlways: undefined }).weaknesses[0]).toMatch(/2\.10/)
})

describe.skipIf(missing)('as found', () => {
  let syncing: RunningServer
  let lax: RunningServer
  beforeAll(async () => {
    syncing = await server.start()
    lax = await server.start({ sync: 'interval' })
  })
  afterAll(() => Promise.all([syncing?.stop(), lax?.stop()]))

  const plain = (url: string) => url.split('?')[0]!

  test('strict opens what the monitoring port vouches for, and nothing else', async () => {
    const engine = await nats({ url: syncing.url, strict: true })
    expect(engine.durability.statement).toMatch(/sync_interval: always/)
    await engine.close()
    for (const url of [lax.url, plain(syncing.url), plain(lax.url)])
      await expect(nats({ url, strict: true })).rejects.toMatchObject({ code: 'DURABILITY' })
  })

  test('a stream that somebody made in memory is told, and refused in strict mode', async () => {
    const maker = await nats({ url: syncing.url, streamConfig: { storage: 'memory' } })
    await maker.stream!.declare({ name: 'volatile', partitions: 1 })
    expect(maker.durability).toMatchObject({ level: 'none' })
    expect(maker.durability.weaknesses.at(-1)).toMatch(/volatile/)
    await maker.close()
    const strict = await nats({ url: syncing.url, strict: true })
    await expect(strict.stream!.bounds('volatile')).rejects.toMatchObject({ code: 'DURABILITY' })
    await strict.close()
  })

  test('a monitoring address that is none is an error', async () => {
    const url = `${plain(lax.url)}?monitor=http://127.0.0.1:1`
    await expect(nats({ url })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  })

  test('more replicas than servers are an error that says so', async () => {
    const engine = await nats({ url: lax.url, replicas: 3 })
    await expect(engine.queue!.declare(['orders'])).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('replicas'),
    })
    await engine.close()
  })
})

test.skipIf(old)('what an old server drops in silence is an error that names it', async () => {
  await using started = await packagedNats.start()
  if (!started.version.startsWith('2.9.')) return
  const engine = await nats({ url: started.url, streamConfig: { compression: 's2' } })
  const small = { name: 'small', partitions: 1 }
  // Also the second time: the stream that was made without it is not there.
  for (const _ of [1, 2])
    await expect(engine.stream!.declare(small)).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringMatching(/2\.9\.\d+.*compression/),
    })
  await engine.close()
})
