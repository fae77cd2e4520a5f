// The client of Kafka that Spillway uses, without Spillway, on the same work: the same envelope, a topic with as many
// partitions, idempotent produces acknowledged by all replicas, one call of send for each bulk; read by a consumer of its own group from the start.
import { randomUUID } from 'node:crypto'
import {
  Admin,
  Consumer,
  MessagesStreamModes,
  ProduceAcks,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import type { Payload } from '../workloads/payload.ts'
import { stringified } from './encoded.ts'
import { deleteTopics } from './kafka-topics.ts'
import type { StreamSystem } from './system.ts'

const topic = 'bare'
const partitions = 8

export const bareKafka: StreamSystem = {
  reads: true,
  clear: deleteTopics,
  async open(url) {
    const client = { clientId: 'bench', bootstrapBrokers: [new URL(url).host] }
    const admin = new Admin(client)
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
    await admin.close()
    const producer = new Producer({ ...client, serializers: stringSerializers, idempotent: true })
    let next = 0
    const message = (payload: Payload, partition: number) => ({
      topic,
      partition,
      value: stringified(payload).body,
    })
    const send = (payloads: readonly Payload[]) => {
      // Together in one partition, and the next call in the next one, as Spillway does without keys.
      const partition = next++ % partitions
      return producer.send({
        messages: payloads.map((payload) => message(payload, partition)),
        acks: ProduceAcks.ALL,
      })
    }
    return {
      durability: 'power-loss: acks=all, log.flush.interval.messages=1',
      append: (payload) => send([payload]),
      appendMany: send,
      async read(handler, count) {
        const consumer = new Consumer({
          ...client,
          groupId: randomUUID(),
          deserializers: stringDeserializers,
          maxWaitTime: 100,
        })
        const messages = await consumer.consume({
          topics: [topic],
          mode: MessagesStreamModes.EARLIEST,
          autocommit: false,
        })
        let left = count
        for await (const { value } of messages) {
          handler((JSON.parse(value) as { readonly data: Payload }).data)
          if (--left === 0) break
        }
        await messages.close()
        await consumer.close(true)
      },
      close: () => producer.close(),
    }
  },
}
