// NATS JetStream, one stream in a file, one replica. Bulk as an atomic batch of 1,000, its own means for that; read by an
// ordered consumer that asks ahead, its documented way to read a stream from the start.
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Payload } from '../workloads/payload.ts'
import type { StreamSystem } from './system.ts'

const name = 'BENCH'
const subject = 'bench'
const durability = {
  always: 'power-loss: file storage, sync_interval=always',
  interval: 'process: file storage, synced every two minutes, which is the default',
} as const

export function jetStream(sync: keyof typeof durability): StreamSystem {
  return {
    reads: true,
    async clear(url) {
      const connection = await connect({ servers: new URL(url).host })
      const manager = await jetstreamManager(connection)
      await manager.streams.delete(name).catch(() => {})
      await connection.close()
    },
    async open(url) {
      const connection = await connect({ servers: new URL(url).host })
      const manager = await jetstreamManager(connection)
      await manager.streams.add({
        name,
        subjects: [subject],
        storage: StorageType.File,
        allow_atomic: true,
        allow_direct: true,
      })
      const client = jetstream(connection)
      return {
        durability: durability[sync],
        append: (payload) => client.publish(subject, JSON.stringify(payload)),
        async appendMany(payloads) {
          const batch = await client.startBatch(subject, JSON.stringify(payloads[0]))
          for (let i = 1; i < payloads.length - 1; i++) batch.add(subject, JSON.stringify(payloads[i]))
          await batch.commit(subject, JSON.stringify(payloads.at(-1)))
        },
        async read(handler, count) {
          const consumer = await client.consumers.get(name)
          const messages = await consumer.consume({ max_messages: 5_000 })
          let left = count
          for await (const message of messages) {
            handler(message.json<Payload>())
            if (--left === 0) break
          }
          await messages.close()
          await consumer.delete()
        },
        close: () => connection.close(),
      }
    },
  }
}
