// Spillway as its users have it: open(), a queue or a stream, nothing set that is not the default.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { open, type Spillway, unchecked } from '../../src/index.ts'
import type { Payload } from '../workloads/payload.ts'
import { dropSchema } from './postgres.ts'
import type { BenchQueue, BenchStream, QueueSystem, StreamSystem } from './system.ts'

type EngineName = 'sqlite' | 'postgres' | 'nats' | 'kafka'

const name = 'bench'
/** The peers check nothing, so nothing is checked here either. */
const data = unchecked<Payload>()

function urlOf(engine: EngineName, place: string): string {
  return engine === 'sqlite' ? `sqlite:${join(place, 'spillway')}` : place
}

async function clear(engine: EngineName, place: string): Promise<void> {
  if (engine === 'sqlite') await rm(join(place, 'spillway'), { recursive: true, force: true })
  if (engine === 'postgres') await dropSchema(place, 'spillway')
  if (engine === 'nats') await (await import('./nats.ts')).deleteStreams(place)
  if (engine === 'kafka') await (await import('./kafka-topics.ts')).deleteTopics(place)
}

function durabilityOf({ durability }: Spillway): string {
  return `${durability.level}: ${durability.statement}`
}

export function spillwayQueue(engine: EngineName): QueueSystem {
  return {
    consumes: true,
    clear: (place) => clear(engine, place),
    async open(place): Promise<BenchQueue> {
      const spillway = await open(urlOf(engine, place))
      const queue = await spillway.queue(name, { data })
      return {
        durability: durabilityOf(spillway),
        send: (payload) => queue.send(payload),
        sendMany: (payloads) => queue.sendMany(payloads),
        consume: async (handler, concurrency) =>
          queue.consume((message) => handler(message.data), {
            concurrency,
            onReport: ({ error }) => console.error(error.message),
          }),
        async left() {
          const { ready, delayed, leased, dead } = await queue.count()
          return ready + delayed + leased + dead
        },
        close: () => spillway.close(),
      }
    },
  }
}

export function spillwayStream(engine: EngineName): StreamSystem {
  return {
    reads: true,
    clear: (place) => clear(engine, place),
    async open(place): Promise<BenchStream> {
      const spillway = await open(urlOf(engine, place))
      const stream = await spillway.stream(name, { data })
      return {
        durability: durabilityOf(spillway),
        append: (payload) => stream.append(payload),
        appendMany: (payloads) => stream.appendMany(payloads),
        async read(handler) {
          for await (const event of stream.read()) handler(event.message.data)
        },
        close: () => spillway.close(),
      }
    },
  }
}
