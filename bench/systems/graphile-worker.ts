// graphile-worker. Bulk by addJobs; consumed with its batching (a local queue that fetches 2,000 jobs at a time,
// completions gathered into one statement), as its guide to performance sets it. For latency the local queue
// is off and each worker fetches for itself when it is notified, which is its default.
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'
import type { Payload } from '../workloads/payload.ts'
import { dropSchema, durabilityOf } from './postgres.ts'
import type { QueueSystem } from './system.ts'

const task = 'bench'
const schema = 'graphile_worker'
const silent = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message)
})

export const graphileWorker: QueueSystem = {
  consumes: true,
  clear: (url) => dropSchema(url, schema),
  async open(url, purpose) {
    const pgPool = new pg.Pool({ connectionString: url, max: 20 })
    pgPool.on('error', (error) => console.error(error.message))
    const utils = await makeWorkerUtils({ pgPool, logger: silent })
    await utils.migrate()
    return {
      durability: await durabilityOf((text) => pgPool.query(text)),
      send: (payload) => utils.addJob(task, payload),
      sendMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: task, payload }))),
      async consume(handler, concurrency) {
        const batching =
          purpose === 'latency'
            ? {}
            : { localQueue: { size: 2_000 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
        const runner = await run({
          pgPool,
          logger: silent,
          noHandleSignals: true,
          parsedCronItems: [],
          taskList: { [task]: async (payload) => handler(payload as Payload) },
          preset: { worker: { concurrentJobs: concurrency, ...batching } },
        })
        return { stop: () => runner.stop() }
      },
      async left() {
        const { rows } = await pgPool.query<{ n: number }>(`select count(*)::int as n from ${schema}.jobs`)
        return rows[0]!.n
      },
      async close() {
        await utils.release()
        await pgPool.end()
      },
    }
  },
}
