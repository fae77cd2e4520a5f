// The server of `npm run bench:doors`: its parent says by name what stands in front of it from now on, and learns what processor time it took since it said so last. It answers JSON of one line.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { limitNode } from '../src/limit/http/door/node.ts'
import { limits } from '../src/limit/limits.ts'
import type { Rules } from '../src/limit/rule/rule.ts'

type Door = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>

const most = 1_000_000_000
const one: Rules = { each: { capacity: most, refill: 1_000_000, per: 'second', by: 'address' } }
const three: Rules = {
  ...one,
  users: { atMost: 1_000_000, per: 'hour', by: 'user' },
  all: { capacity: most, refill: 1_000_000, per: 'second' },
}

function doorOf(rules: Rules, show: 'own' | 'none'): Door {
  return limitNode(limits({ rules }), {
    show,
    keys: { user: ({ headers }) => headers['x-user']?.toString() },
  })
}

let left = 0
const doors: Readonly<Record<string, () => Door>> = {
  without: () => () => true,
  // What node:http itself takes for two fields more, whatever they say.
  'two fields, no door': () => (_request, response) => {
    left = (left + 1) % 1_000
    response.setHeader('ratelimit-policy', '"each";q=1000;w=60')
    response.setHeader('ratelimit', `"each";r=${left};t=1`)
    return true
  },
  'one rule': () => doorOf(one, 'own'),
  'one rule, no fields': () => doorOf(one, 'none'),
  'three rules': () => doorOf(three, 'own'),
}

const made = new Map(Object.entries(doors).map(([name, make]) => [name, make()]))
let door = made.get('without')!
const body = JSON.stringify({ ok: true, items: [1, 2, 3] })
const server = createServer((request, response) => {
  if (door(request, response) !== true) return
  response.setHeader('content-type', 'application/json')
  response.end(body)
})
// A connection that rests between two turns stays.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))

let before = process.cpuUsage()
process.on('message', (name: string) => {
  const { user, system } = process.cpuUsage(before)
  if (name !== 'end of the turn') door = made.get(name)!
  before = process.cpuUsage()
  process.send!(user + system)
})
process.on('disconnect', () => process.exit())
