import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { open } from 'spillway'
import { deferral, deferredQueue, limitNode, limits, sqliteDeferStore } from 'spillway/limit'

const bounds = limits({
  rules: { orders: { atMost: 1, per: '3s', by: 'user', on: 'POST /orders', over: 'defer' } },
})

await using spillway = await open('sqlite:./data')
const queue = await spillway.queue('late-orders', deferredQueue())
const states = new DatabaseSync('./states.db')
const late = deferral({ queue, store: sqliteDeferStore(states), limits: bounds, expires: '10m' })

const placed: string[] = []
const place = (order: string) => {
  placed.push(order)
  return { status: 201, body: `placed ${order}` }
}

const keys = { user: (request: IncomingMessage) => request.headers['x-user']?.toString() }
const door = limitNode(bounds, { keys, defer: late })
const server = createServer(async (request, response) => {
  if (!(await door(request, response))) return
  const order = Buffer.concat(await request.toArray()).toString()
  const { status, body } = place(order)
  response.writeHead(status).end(body)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

// Here or in another process. `request.id` is the idempotency key of what is done for it.
const consumer = queue.consume(
  late.workOff((request) => place(request.body), {
    authorize: ({ subject }) => subject.user === 'ann', // it has been a while: may she still do so?
  }),
)

const headers = { 'x-user': 'ann', 'idempotency-key': 'checkout-4712' }
const order = (body: string, more = {}) =>
  fetch(`${origin}/orders`, { method: 'POST', headers: { 'x-user': 'ann', ...more }, body })
console.log((await order('4711')).status)
const deferred = await order('4712', headers)
console.log(deferred.status)
const again = await order('4712', headers) // asked again with its key: the same one
console.log(again.headers.get('location') === deferred.headers.get('location'))

const address = origin + deferred.headers.get('location')
for (;;) {
  const response = await fetch(address, { headers: { 'x-user': 'ann' } })
  const state = (await response.json()) as { status: string; result?: unknown }
  if (state.status !== 'queued') {
    console.log(state.status, state.result)
    break
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
}
console.log(placed)

await consumer.stop()
server.close()
states.close()
