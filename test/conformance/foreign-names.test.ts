// On servers that other programs use too: what they keep there is neither queue nor stream, whatever it is called.

import { connect } from '@nats-io/transport-node'
import { Admin } from '@platformatic/kafka'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafka as openKafka } from '../../src/engines/kafka/engine.ts'
import { nats as openNats } from '../../src/engines/nats/engine.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { kafka, nats, packagedNats, type RunningServer } from '../servers/index.ts'

const noKafka = await kafka.missing()

describe.skipIf(noKafka)(`kafka${noKafka ? `, skipped: ${noKafka}` : ''}`, () => {
  let server: RunningServer
  let engine: Engine
  beforeAll(async () => {
    server = await kafka.start()
    engine = await openKafka({ url: server.url })
  })
  afterAll(async () => {
    await engine?.close()
    await server?.stop()
  })

  test('topics of others are no streams, and other consumer groups are no groups of ours', async () => {
    const admin = new Admin({ clientId: 'other', bootstrapBrokers: [new URL(server.url).host] })
    const looksLikeOurs = [
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
      { name: 'min.insync.replicas', value: '1' },
    ]
    await admin.createTopics({ topics: ['theirs'], partitions: 1, replicas: 1, configs: looksLikeOurs })
    await admin.close()
    await engine.stream!.declare({ name: 'orders', partitions: 2 })
    await expect.poll(() => engine.stream!.names()).toEqual(['orders'])
    expect(await engine.stream!.groups('theirs')).toEqual([])
  })
})

for (const launcher of [nats, packagedNats]) {
  const missing = await launcher.missing()
  describe.skipIf(missing)(`${launcher.name}${missing ? `, skipped: ${missing}` : ''}`, () => {
    let server: RunningServer
    beforeAll(async () => {
      server = await launcher.start()
    })
    afterAll(() => server?.stop())

    test('streams of others, and of another prefix, are neither queues nor streams', async () => {
      const connection = await connect({ servers: new URL(server.url).host })
      const others = { spillway_q_theirs: 'theirs.work', spillway_s_theirs: 'theirs.0', theirs: 'all.>' }
      for (const [name, subject] of Object.entries(others)) {
        const config = { name, subjects: [subject], storage: 'file', retention: 'limits' }
        const answer = await connection.request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify(config))
        expect(answer.json()).not.toHaveProperty('error')
      }
      await connection.close()
      const engine = await openNats({ url: server.url })
      // Its NATS streams are called as those of the queue q_x and the stream s_x of the other one would be.
      const other = await openNats({ url: server.url, prefix: 'spillway_q' })
      await engine.queue!.declare(['a.b', 'plain'])
      await engine.stream!.declare({ name: 'c.d', partitions: 2 })
      await other.queue!.declare(['x'])
      await other.stream!.declare({ name: 'y', partitions: 1 })
      await expect.poll(() => engine.queue!.names()).toEqual(['a.b', 'plain'])
      await expect.poll(() => engine.stream!.names()).toEqual(['c.d'])
      expect(await other.queue!.names()).toEqual(['x'])
      expect(await other.stream!.names()).toEqual(['y'])
      await Promise.all([engine.close(), other.close()])
    })
  })
}
