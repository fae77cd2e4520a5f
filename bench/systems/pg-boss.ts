// pg-boss. Bulk by insert(); no supervision or schedules beside the measurement. Consumed by several local workers that
// fetch batches and go on without a pause while batches come back full (`burstWhenBatchFull`). For latency its
// LISTEN/NOTIFY wake-up is on, with the shortest polling behind it, which costs its sends a little and is off elsewhere.
import { PgBoss } from 'pg-boss'
import type { Payload } from '../workloads/payload.ts'
import { dropSchema, durabilityOf } from './postgres.ts'
import type { QueueSystem } from './system.ts'

const name = 'bench'
const schema = 'pgboss'
/** Tried on two cores: 2 to 10 workers and batches of 100 to 1,000; these were the fastest. */
const workers = 4
const batch = 500

export const pgBoss: QueueSystem = {
  consumes: true,
  clear: (url) => dropSchema(url, schema),
  async open(url, purpose) {
    const notify = purpose === 'latency'
    const boss = new PgBoss({
      connectionString: url,
      schema,
      supervise: false,
      schedule: false,
      useListenNotify: notify,
      max: 20,
    })
    boss.on('error', (error) => console.error(error.message))
    await boss.start()
    await boss.createQueue(name, { notify })
    return {
      durability: await durabilityOf((text) => boss.getDb().executeSql(text)),
      send: (payload) => boss.send(name, payload),
      sendMany: (payloads) =>
        boss.insert(
          name,
          payloads.map((data) => ({ data })),
        ),
      async consume(handler, concurrency) {
        const options = notify
          ? {
              localConcurrency: Math.min(concurrency, 10),
              pollingIntervalSeconds: 0.5,
              notifyPollingIntervalSeconds: 0.5,
            }
          : {
              localConcurrency: workers,
              batchSize: batch,
              burstWhenBatchFull: true,
              pollingIntervalSeconds: 0.5,
            }
        await boss.work<Payload>(name, options, async (jobs) => {
          for (const job of jobs) handler(job.data)
        })
        return { stop: () => boss.offWork(name, { wait: true }) }
      },
      async left() {
        const { rows } = await boss
          .getDb()
          .executeSql(`select count(*)::int as n from ${schema}.job where state <> 'completed'`)
        return (rows[0] as { n: number }).n
      },
      close: () => boss.stop({ graceful: true, close: true }),
    }
  },
}
