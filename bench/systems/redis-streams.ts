// Redis Streams. Bulk as one pipeline (the client puts all commands of a turn into one write), read by XRANGE in pages of
// 1,000.
import { createClient } from '@redis/client'
import type { Payload } from '../workloads/payload.ts'
import { durabilityOf, flush } from './redis.ts'
import type { StreamSystem } from './system.ts'

const key = 'bench'

export const redisStreams: StreamSystem = {
  reads: true,
  clear: flush,
  async open(url) {
    const client = await createClient({ url }).connect()
    const append = (payload: Payload) => client.xAdd(key, '*', { m: JSON.stringify(payload) })
    return {
      durability: await durabilityOf(url),
      append,
      appendMany: (payloads) => Promise.all(payloads.map(append)),
      async read(handler) {
        for (let start = '-'; ; ) {
          const page = (await client.xRange(key, start, '+', { COUNT: 1_000 })) ?? []
          for (const { message } of page) handler(JSON.parse(message.m!) as Payload)
          if (page.length < 1_000) return
          start = `(${page.at(-1)!.id}`
        }
      },
      close: () => client.close(),
    }
  },
}
