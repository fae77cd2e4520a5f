import { service } from 'spillway'
import { sqliteDatabase } from 'spillway/sqlite'
import { delivery, notifications } from './pointer-contract.ts'

const setup = 'CREATE TABLE IF NOT EXISTS told (orderId TEXT, state TEXT)'

export function notificationsService(tell: (line: string) => void) {
  return service(notifications, {
    database: sqliteDatabase('./data/notifications.db', { setup: (db) => db.exec(setup) }),
  }).on(delivery.events.shipped, async (event, { commit }) => {
    const { orderId, version } = event.data // all that was on the bus
    const { current } = event // what delivery says of the order now
    if (current.state === 'gone') return tell(`${orderId} was erased`)
    const { address, state } = current.value
    tell(`${orderId} version ${version}: ${state} to ${address}, which is version ${current.version}`)
    await commit(({ db }) => db.prepare('INSERT INTO told VALUES (?, ?)').run(orderId, state))
  })
}
