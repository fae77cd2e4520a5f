import { run, topology } from 'spillway'
import { notificationsService } from './pointer-consumer.ts'
import { delivery } from './pointer-contract.ts'
import { deliveryService } from './pointer-owner.ts'

let told = Promise.withResolvers<void>()
const notifications = notificationsService((line) => {
  console.log(line)
  told.resolve()
})
await using running = await run(
  topology({ contexts: [deliveryService, notifications], engine: 'sqlite:./data' }),
)

/** The order and the event that points to it are committed together: nobody hears of it before. */
async function change(version: number, row: { state: string; address: string; erased?: 1 }) {
  told = Promise.withResolvers<void>()
  await running.service(deliveryService).transaction((tx) => {
    tx.db
      .prepare('REPLACE INTO "order" VALUES (?, ?, ?, ?, ?)')
      .run('4711', version, row.address, row.state, row.erased ?? 0)
    tx.publish(delivery.events.shipped, { orderId: '4711', version })
  })
  await told.promise
}

await change(1, { state: 'packed', address: '7 Mill Lane' })
await change(2, { state: 'shipped', address: '7 Mill Lane' })
await change(3, { state: '', address: '', erased: 1 })
