// What is particular to Kafka, on a real broker: what others see of our records, and we of theirs.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  crc32c,
  ProduceAcks,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, kafka as server } from '../../../test/servers/index.ts'
import type { Engine } from '../../ports/engine.ts'
import type { StreamPort } from '../../ports/stream.ts'
import { readHistory } from '../../stream/history.ts'
import { kafka } from './engine.ts'

const missing = await server.missing()
const read = { maxRecords: 1000, maxBytes: 1e7, waitMs: 5000 }
let names = 0
const fresh = () => `broker-test-${++names}`

describe.skipIf(missing)('a real broker', () => {
  let broker: RunningServer
  let engine: Engine
  let stream: StreamPort
  let admin: Admin
  let brokers: string[]

  beforeAll(async () => {
    broker = await server.start()
    brokers = [broker.url.slice('kafka://'.length)]
    engine = await kafka({ url: broker.url })
    stream = engine.stream!
    admin = new Admin({ clientId: 'test', bootstrapBrokers: brokers })
  })
  afterAll(async () => {
    await engine?.close()
    await admin?.close()
    await broker?.stop()
  })

  const producer = (transactionalId?: string) =>
    new Producer({
      clientId: 'test',
      bootstrapBrokers: brokers,
      serializers: stringSerializers,
      ...(transactionalId === undefined ? {} : { transactionalId, idempotent: true }),
    })

  async function all(name: string, count: number): Promise<string[]> {
    const found: string[] = []
    let position = 0
    while (found.length < count) {
      const records = await stream.read(name, [{ partition: 0, position }], read)
      if (records.length === 0) break
      found.push(...records.map(({ body }) => body))
      position = records.at(-1)!.position + 1
    }
    return found
  }

  test('others see a CloudEvent in structured mode: the key, the event as the value, the content type', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const body = '{"specversion":"1.0","id":"1"}'
    await stream.append(name, [{ partition: 0, key: 'customer-7', body }])
    const consumer = new Consumer({
      clientId: 'test',
      groupId: 'others',
      bootstrapBrokers: brokers,
      deserializers: stringDeserializers,
    })
    const messages = await consumer.consume({ topics: [name], mode: 'earliest', autocommit: false })
    for await (const message of messages) {
      expect(message.key).toBe('customer-7')
      expect(message.value).toBe(body)
      expect([...message.headers]).toEqual([['content-type', 'application/cloudevents+json']])
      break
    }
    await messages.close()
    await consumer.close(true)
  })

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'we read what others compressed with %s',
    async (compression) => {
      const name = fresh()
      await stream.declare({ name, partitions: 1 })
      const values = Array.from({ length: 300 }, (_, index) => `${index} `.repeat(50))
      const other = producer()
      await other.send({
        messages: values.map((value) => ({ topic: name, partition: 0, value })),
        acks: ProduceAcks.ALL,
        compression,
      })
      await other.close()
      expect(await all(name, 300)).toEqual(values)
    },
  )

  test('of the transactions of others we see what was committed, and not past one that is open', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const other = producer(`t-${name}`)
    const send = (transaction: Awaited<ReturnType<typeof other.beginTransaction>>, value: string) =>
      transaction.send({ messages: [{ topic: name, partition: 0, value }] })
    const aborted = await other.beginTransaction()
    await send(aborted, 'aborted')
    await aborted.abort()
    const committed = await other.beginTransaction()
    await send(committed, 'committed')
    await committed.commit()
    expect(await all(name, 1)).toEqual(['committed'])
    const open = await other.beginTransaction()
    await send(open, 'open')
    await stream.append(name, [{ partition: 0, body: 'behind it' }])
    const [{ next } = { next: -1 }] = await stream.bounds(name)
    expect(await stream.read(name, [{ partition: 0, position: next }], { ...read, waitMs: 0 })).toEqual([])
    const waiting = stream.read(name, [{ partition: 0, position: next }], read)
    await open.commit()
    const found = [...(await waiting)]
    while (found.length < 2)
      found.push(...(await stream.read(name, [{ partition: 0, position: found.at(-1)!.position + 1 }], read)))
    expect(found.map(({ body }) => body)).toEqual(['open', 'behind it'])
    await other.close()
  })

  test('positions that no reader is given count for nothing at the end: markers, and what was aborted', async () => {
    const [name, none] = [fresh(), fresh()]
    for (const each of [name, none]) await stream.declare({ name: each, partitions: 2 })
    await stream.append(name, [{ partition: 0, body: 'first' }])
    const other = producer(`t-${name}`)
    const transact = async (topic: string, count: number, end: 'commit' | 'abort') => {
      const transaction = await other.beginTransaction()
      for (let index = 0; index < count; index++)
        await transaction.send({ messages: [{ topic, partition: 0, value: `${end} ${index}` }] })
      await transaction[end]()
    }
    const settled = (topic: string, next: number) =>
      // The markers are written after the answer.
      expect
        .poll(async () => {
          const [found] = await admin.listOffsets({
            topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1n }] }],
            isolationLevel: 1,
          })
          return found!.partitions[0]!.offset
        })
        .toBe(BigInt(next))
    await transact(name, 2, 'commit')
    await settled(name, 4)
    expect(await stream.bounds(name)).toEqual([
      { partition: 0, earliest: 0, next: 3 },
      { partition: 1, earliest: 0, next: 0 },
    ])
    await transact(name, 30, 'abort')
    await transact(none, 3, 'abort')
    await settled(name, 35)
    await settled(none, 4)
    for (const [topic, next] of [
      [name, 3],
      [none, 0],
    ] as const) {
      const [bounds] = await stream.bounds(topic)
      expect(bounds).toEqual({ partition: 0, earliest: 0, next })
      const [position] = await stream.positionsAt(topic, Date.now() + 60_000)
      expect(position).toEqual({ partition: 0, position: next })
    }
    const whole: string[] = []
    for await (const page of readHistory(stream, name)) whole.push(...page.map(({ body }) => body))
    expect(whole).toEqual(['first', 'commit 0', 'commit 1'])
    for await (const page of readHistory(stream, none)) expect(page).toBeUndefined()
    await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 33n }] }] })
    expect((await stream.bounds(name))[0]).toEqual({ partition: 0, earliest: 33, next: 33 })
    await other.close()
  })

  test('partitions that were added are there for who knew the stream before', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 2 })
    await stream.bounds(name)
    await admin.createPartitions({ topics: [{ name, count: 4, assignments: null }] })
    const other = await kafka({ url: broker.url })
    await expect.poll(() => other.stream!.declare({ name, partitions: 1 })).toEqual({ partitions: 4 })
    await other.stream!.append(name, [{ partition: 3, body: 'new' }])
    await other.close()
    const [record] = await stream.read(name, [{ partition: 3, position: 0 }], read)
    expect(record?.body).toBe('new')
    expect(await stream.append(name, [{ partition: 2, body: 'ours' }])).toMatchObject({ positions: [0] })
    expect(await stream.bounds(name)).toHaveLength(4)
    expect(await stream.positionsAt(name, 0)).toHaveLength(4)
    expect(await stream.committed(name, 'g')).toHaveLength(4)
    await expect(stream.append(name, [{ partition: 4, body: 'x' }])).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  })

  test('a partition asked for from two positions mixes up nobody', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    await stream.append(
      name,
      Array.from({ length: 100 }, (_, index) => ({ partition: 0, body: `${index}` })),
    )
    const look = (...positions: number[]) =>
      stream.read(
        name,
        positions.map((position) => ({ partition: 0, position })),
        { ...read, maxRecords: 20, waitMs: 0 },
      )
    for (let round = 0; round < 5; round++) {
      await look(0, 50)
      for (const position of [10, 60]) expect((await look(position))[0]?.position).toBe(position)
    }
  })

  test.each([
    ['does not match its checksum', (bytes: Buffer) => bytes.writeUInt8(1, bytes.length - 1)],
    [
      'cannot be decompressed',
      (bytes: Buffer) => {
        bytes.writeInt16BE(bytes.readInt16BE(21) | 1, 21)
        bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
      },
    ],
  ])('a stored batch that %s: reported in time, never passed over', async (what, damage) => {
    const name = fresh()
    const hasty = await kafka({ url: broker.url, timeoutMs: 1500 })
    const port = hasty.stream!
    await port.declare({ name, partitions: 2 })
    for (const body of ['0', '1', '2']) await port.append(name, [{ partition: 0, body }])
    const file = openSync(`${broker.folder}/data/${name}-0/${'0'.repeat(20)}.log`, 'r+')
    const head = Buffer.alloc(12)
    readSync(file, head, 0, 12, 0)
    const start = 12 + head.readInt32BE(8)
    // All three batches have the same size.
    const bytes = Buffer.alloc(start)
    readSync(file, bytes, 0, start, start)
    damage(bytes)
    writeSync(file, bytes, 0, start, start)
    closeSync(file)
    const from = (position: number) => [
      { partition: 0, position },
      { partition: 1, position: 0 },
    ]
    expect((await port.read(name, from(0), read)).map(({ body }) => body)).toEqual(['0'])
    for (const waitMs of [0, 20_000]) {
      const reading = port.read(name, from(1).slice(0, 1), { ...read, waitMs })
      await expect(reading).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
        message: expect.stringContaining(`the batch at 1 ${what}`),
      })
    }
    // Also when a healthy partition is waited for, in short reads.
    await expect
      .poll(() => port.read(name, from(1), { ...read, waitMs: 100 }).catch(({ code }) => code), {
        timeout: 10_000,
      })
      .toBe('ENGINE_UNAVAILABLE')
    await port.append(name, [{ partition: 1, body: 'healthy' }])
    await expect
      .poll(() => port.read(name, from(1), { ...read, waitMs: 100 }).catch(() => []), { timeout: 10_000 })
      .toMatchObject([{ body: 'healthy' }])
    expect((await port.bounds(name))[0]).toEqual({ partition: 0, earliest: 0, next: 3 })
    await hasty.close()
  })

  test('a look finds the earliest record that is kept, also inside a batch, and none beyond the end', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const records = Array.from({ length: 6 }, (_, index) => ({ partition: 0, body: `${index}` }))
    await stream.append(name, records)
    await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 4n }] }] })
    const look = (position: number) =>
      stream
        .read(name, [{ partition: 0, position }], { ...read, waitMs: 0 })
        .then((found) => found.map(({ body }) => body))
    expect(await look(0)).toEqual(['4', '5'])
    expect(await look(5)).toEqual(['5'])
    expect(await look(6)).toEqual([])
    expect(await look(1000)).toEqual([])
    expect(await look(0)).toEqual(['4', '5'])
  })

  test("a topic's own limit counts, and nothing of the call is stored", async () => {
    const name = fresh()
    await admin.createTopics({
      topics: [name],
      partitions: 1,
      replicas: 1,
      configs: [{ name: 'max.message.bytes', value: '2000' }],
    })
    expect(await stream.declare({ name, partitions: 9 })).toEqual({ partitions: 1 })
    const small = { partition: 0, body: 'x'.repeat(1000) }
    const large = { partition: 0, body: 'x'.repeat(2000) }
    await expect(stream.append(name, [small, large])).rejects.toMatchObject({ code: 'TOO_LARGE' })
    // Each fits by itself, all of them are more than a batch may have: they go in several.
    const result = await stream.append(name, Array(5).fill(small))
    expect(result).toEqual({ status: 'appended', positions: [0, 1, 2, 3, 4] })
  })

  test('a limit that was lowered after we read it: batches shrink, a record too large is refused by name', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    await admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: 2,
          resourceName: name,
          configs: [{ name: 'max.message.bytes', configOperation: 0, value: '3000' }],
        },
      ],
    })
    const bodies = Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(700))
    await expect
      .poll(() => stream.append(name, [{ partition: 0, body: 'x'.repeat(5000) }]).catch((error) => error))
      .toMatchObject({ code: 'TOO_LARGE' })
    const start = (await stream.bounds(name))[0]!.next
    await stream.append(
      name,
      bodies.map((body) => ({ partition: 0, body })),
    )
    const found: string[] = []
    while (found.length < 40) {
      const position = start + found.length
      found.push(...(await stream.read(name, [{ partition: 0, position }], read)).map(({ body }) => body))
    }
    expect(found).toEqual(bodies)
  })

  test('others see a tombstone as a record without a value, and read the event in its header', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1, retention: { compact: { tombstonesMs: 1_000 } } })
    const body = '{"specversion":"1.0","id":"1","tombstone":true}'
    await stream.append(name, [{ partition: 0, key: 'ada', body, tombstone: true }])
    const consumer = new Consumer({
      clientId: 'test',
      groupId: `${name}-others`,
      bootstrapBrokers: brokers,
      deserializers: stringDeserializers,
    })
    const messages = await consumer.consume({ topics: [name], mode: 'earliest', autocommit: false })
    for await (const message of messages) {
      expect(message.key).toBe('ada')
      expect(message.value ?? null).toBeNull()
      expect(message.headers.get('spillway-event')).toBe(body)
      break
    }
    await consumer.close(true)
    expect(await all(name, 1)).toEqual([body])
  })

  test('a record without a key is refused where the topic is compacted, and those sent with it are stored', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1, retention: { compact: { tombstonesMs: 1_000 } } })
    const append = (key: string | undefined, body: string) =>
      stream.append(name, [{ partition: 0, key, body }])
    const ends = await Promise.allSettled([append('a', '1'), append(undefined, '2'), append('b', '3')])
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((ends[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'INVALID_DATA' })
    expect(await all(name, 2)).toEqual(['1', '3'])
  })

  test('a compacted topic is refused: it would lose records before they are read', async () => {
    const name = fresh()
    await admin.createTopics({
      topics: [name],
      partitions: 1,
      replicas: 1,
      configs: [{ name: 'cleanup.policy', value: 'compact' }],
    })
    await expect(stream.declare({ name, partitions: 1 })).rejects.toMatchObject({ code: 'CONFIGURATION' })
  })

  test('a topic whose name collides with another is refused, naming the reason', async () => {
    const name = fresh()
    await stream.declare({ name: `${name}.a`, partitions: 1 })
    await expect(stream.declare({ name: `${name}_a`, partitions: 1 })).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('collides'),
    })
  })

  test('a group of a stream is the Kafka group group@stream, and others see what it committed', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 2 })
    const assigned = Promise.withResolvers<void>()
    const member = await stream.join(name, 'billing', {
      sessionMs: 5000,
      assigned: () => assigned.resolve(),
      revoked: async () => {},
      failed: assigned.reject,
    })
    await assigned.promise
    await member.commit([{ partition: 1, position: 17 }])
    const groupId = `billing@${name}`
    const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
    const committed = group!.topics.flatMap(({ partitions }) => partitions)
    expect(committed.find(({ partitionIndex }) => partitionIndex === 1)?.committedOffset).toBe(17n)
    expect((await admin.describeGroups({ groups: [groupId] })).get(groupId)).toMatchObject({
      protocolType: 'consumer',
      state: 'Stable',
    })
    await member.leave()
  })

  test('a topic that we create keeps its records, whatever the broker keeps by default', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const [found] = await admin.describeConfigs({
      resources: [
        { resourceType: ConfigResourceTypes.TOPIC, resourceName: name, configurationKeys: ['retention.ms'] },
      ],
    })
    expect(found!.configs).toMatchObject([{ name: 'retention.ms', value: '-1' }])
  })

  test('a session time that the broker does not take is an invalid option', async () => {
    const name = fresh()
    await stream.declare({ name, partitions: 1 })
    const member = { sessionMs: 10, assigned() {}, revoked: async () => {}, failed() {} }
    await expect(stream.join(name, 'g', member)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  test('one replica without flushing survives a process, and says so; strict wants more', async () => {
    expect(engine.durability.level).toBe('process')
    expect(engine.durability.weaknesses).toEqual([expect.stringContaining('one replica')])
    await expect(kafka({ url: broker.url, strict: true })).rejects.toMatchObject({ code: 'DURABILITY' })
  })

  test('with flush.messages=1 a single broker is enough, unless a topic is set otherwise', async () => {
    const strict = await kafka({ url: broker.url, strict: true, topicConfig: { 'flush.messages': '1' } })
    try {
      expect(strict.durability).toMatchObject({ level: 'power-loss', weaknesses: [] })
      await strict.stream!.declare({ name: fresh(), partitions: 1 })
      const older = fresh()
      await stream.declare({ name: older, partitions: 1 })
      await expect(strict.stream!.declare({ name: older, partitions: 1 })).rejects.toMatchObject({
        code: 'DURABILITY',
        message: expect.stringContaining(older),
      })
    } finally {
      await strict.close()
    }
  })

  test('more replicas than brokers cannot be had', async () => {
    const greedy = await kafka({ url: broker.url, replicas: 3 })
    try {
      await expect(greedy.stream!.declare({ name: fresh(), partitions: 1 })).rejects.toMatchObject({
        code: 'CONFIGURATION',
      })
    } finally {
      await greedy.close()
    }
  })
})
