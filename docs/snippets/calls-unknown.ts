import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { run, topology } from 'spillway'
import { inventory } from './calls-inventory.ts'
import { ordersService } from './calls-orders.ts'

// An owner that does the work and dies before it has answered, once.
const keys: unknown[] = []
const owner = createServer((request, response) => {
  keys.push(request.headers['idempotency-key'])
  if (keys.length === 1) request.socket.destroy()
  else response.setHeader('content-type', 'application/json').end('{"reservation":7}')
}).listen(0, '127.0.0.1')
await new Promise((resolve) => owner.once('listening', resolve))

const shop = await run(
  topology({
    contexts: [ordersService, inventory],
    engine: 'sqlite:./data',
    addresses: { inventory: [`http://127.0.0.1:${(owner.address() as AddressInfo).port}`] },
    calls: { inventory: { retry: { attempts: 1 } } },
  }),
)
let result = await shop.service(ordersService).call(inventory.calls.reserve, { product: 'bowl', pieces: 3 })
console.log(result.status)
if (result.status === 'unknown') result = await result.again()
console.log(result.status === 'ok' && result.value.reservation, keys[0] === keys[1])
await shop.stop()
owner.close()
