// NATS JetStream, one stream in a file, one replica. Bulk as an atomic batch of 1,000, its own means for that; read by an
// ordered consumer that asks ahead, its documented way to read a stream from the start.
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Payload } from '../workloads/payload.ts'
import { stringified } from './encoded.ts'
import type { StreamSystem } from './system.ts'

const name = 'BENCH'
const subject = 'bench'
const durability = {
  always: 'power-loss: file storage, sync_interval=always',
  interval: 'process: file storage, synced every two minutes, which is the default',
} as const

/** `encode`: what is stored for a payload; `decode` gives it back. */
interface Form {
  readonly encode: (payload: Payload) => string
  readonly decode: (body: string) => Payload
}

/** As a peer stores it: the payload and nothing else. */
const bare: Form = { encode: JSON.stringify, decode: JSON.parse }
/** The same work as Spillway's: its envelope, whole. */
export const enveloped: Form = {
  encode: (payload) => stringified(payload).body,
  decode: (body) => (JSON.parse(body) as { readonly data: Payload }).data,
}

export function jetStream(sync: keyof typeof durability, { encode, decode }: Form = bare): StreamSystem {
  return {
    reads: true,
    clear: deleteStreams,
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
        append: (payload) => client.publish(subject, encode(payload)),
        async appendMany(payloads) {
          const batch = await client.startBatch(subject, encode(payloads[0]!))
          for (let i = 1; i < payloads.length - 1; i++) batch.add(subject, encode(payloads[i]!))
          await batch.commit(subject, encode(payloads.at(-1)!))
        },
        async read(handler, count) {
          const consumer = await client.consumers.get(name)
          const messages = await consumer.consume({ max_messages: 5_000 })
          let left = count
          for await (const message of messages) {
            handler(decode(message.string()))
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

/** Empties a server that runs for the measurements alone: key-value buckets are streams too. */
export async function deleteStreams(url: string): Promise<void> {
  const connection = await connect({ servers: new URL(url).host })
  const manager = await jetstreamManager(connection)
  for await (const stream of manager.streams.names()) await manager.streams.delete(stream)
  await connection.close()
}
