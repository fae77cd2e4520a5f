import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { limitNode, limits } from 'spillway/limit'

const bounds = limits({
  rules: {
    posts: { atMost: 2, per: 'second', by: 'user', on: 'POST /posts' },
    accounts: { atMost: 10, per: 'day', by: 'address', on: 'POST /accounts' },
    all: { capacity: 2_000, refill: 1_000, per: 'second' }, // of everybody together
  },
})

const door = limitNode(bounds, {
  // What authenticates comes before, and leaves on the request whom it found.
  keys: { user: (request: IncomingMessage) => request.headers['x-user']?.toString() },
  trustedProxies: ['10.0.0.0/8'], // whose X-Forwarded-For is believed
  refund: (status) => status >= 500, // what failed here costs nothing
})

const server = createServer(async (request, response) => {
  if (!(await door(request, response))) return // it was answered
  response.end('posted')
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/posts`

for (let post = 1; post <= 3; post++) {
  const response = await fetch(url, { method: 'POST', headers: { 'x-user': 'ann' } })
  const { headers } = response
  console.log(response.status, headers.get('ratelimit'), headers.get('retry-after') === null)
  if (post === 1) console.log(headers.get('ratelimit-policy'))
  if (response.status === 429) console.log(await response.json())
}
server.close()
