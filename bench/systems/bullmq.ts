// BullMQ. Bulk by addBulk, finished jobs removed at once (the cheapest setting), one worker with the concurrency asked
// for: BullMQ's guide recommends exactly that within a process, and further workers only in further processes.
import { type ConnectionOptions, Queue, Worker } from 'bullmq'
import type { Payload } from '../workloads/payload.ts'
import { durabilityOf, flush } from './redis.ts'
import type { QueueSystem } from './system.ts'

const name = 'bench'

export const bullmq: QueueSystem = {
  consumes: true,
  clear: flush,
  async open(url) {
    const { hostname, port } = new URL(url)
    const connection: ConnectionOptions = {
      host: hostname,
      port: Number(port),
      maxRetriesPerRequest: null,
    }
    const queue = new Queue<Payload>(name, {
      connection,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    })
    await queue.waitUntilReady()
    return {
      durability: await durabilityOf(url),
      send: (payload) => queue.add('m', payload),
      sendMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'm', data }))),
      async consume(handler, concurrency) {
        const worker = new Worker<Payload>(name, async (job) => handler(job.data), {
          connection,
          concurrency,
        })
        worker.on('error', (error) => console.error(error.message))
        await worker.waitUntilReady()
        return { stop: () => worker.close() }
      },
      async left() {
        const { waiting = 0, active = 0, delayed = 0, failed = 0 } = await queue.getJobCounts()
        return waiting + active + delayed + failed
      },
      close: () => queue.close(),
    }
  },
}
