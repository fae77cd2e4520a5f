import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { backOff, limitNode, limits } from 'spillway/limit'

const door = limitNode(limits({ rules: { each: { atMost: 2, per: 'second', by: 'address' } } }))
let refused = 0
const server = createServer(async (request, response) => {
  if (await door(request, response)) response.end('done')
  else refused += 1
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

// One for the whole process: all that is sent through it shares what it was told.
const ask = backOff(fetch, { longestWait: '1m' })
const answers = await Promise.all([1, 2, 3, 4].map(() => ask(url)))
console.log(answers.map(({ status }) => status))

// What was learnt holds for the next ones: they wait before they are sent.
const before = refused
await Promise.all([1, 2].map(() => ask(url)))
console.log(refused === before)
server.close()
