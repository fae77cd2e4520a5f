// npm run bench:doors: what the door costs, as CPU time of the server for each request: the same server with it and without, in turns, in one process. Who asks is
// another process. The server answers JSON of one line: one that does more is the same plus what it does.
import { fork } from 'node:child_process'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Command } from 'commander'
import { limitNode } from '../src/limit/http/door/node.ts'
import { limits } from '../src/limit/limits.ts'
import type { Rules } from '../src/limit/rule/rule.ts'
import { percentile, summary } from './statistics.ts'

/** What Spillway set itself, in microseconds of CPU for each request above the same server without. */
const goalUs = 2
const most = 1_000_000_000

const one: Rules = { each: { capacity: most, refill: 1_000_000, per: 'second', by: 'address' } }
const three: Rules = {
  ...one,
  users: { atMost: 1_000_000, per: 'hour', by: 'user' },
  all: { capacity: most, refill: 1_000_000, per: 'second' },
}

type Door = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>

function doorOf(rules: Rules, show: 'own' | 'none'): Door {
  return limitNode(limits({ rules }), {
    show,
    keys: { user: ({ headers }) => headers['x-user']?.toString() },
  })
}

const doors: Readonly<Record<string, Door>> = {
  without: () => true,
  'one rule': doorOf(one, 'own'),
  'one rule, no fields': doorOf(one, 'none'),
  'three rules': doorOf(three, 'own'),
}

const { requests, rounds } = new Command()
  .option('--requests <count>', 'in each round, for each', Number, 1_000)
  .option('--rounds <count>', 'how often each has its turn', Number, 101)
  .parse()
  .opts<{ readonly requests: number; readonly rounds: number }>()

let door: Door = doors.without!
const body = JSON.stringify({ ok: true, items: [1, 2, 3] })
const server = createServer((request, response) => {
  if (door(request, response) !== true) return
  response.setHeader('content-type', 'application/json')
  response.end(body)
})
// A connection that rests between two rounds stays.
server.keepAliveTimeout = 600_000
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const asker = fork(`${import.meta.dirname}/http-asker.ts`, [String((server.address() as AddressInfo).port)])
const ask = (count: number) =>
  new Promise<void>((resolve, reject) => {
    const onExit = () => reject(new Error('Who asks has ended.'))
    asker.once('exit', onExit)
    asker.once('message', () => {
      asker.off('exit', onExit)
      resolve()
    })
    asker.send(count)
  })

const cpuUs = new Map<string, number[]>(Object.keys(doors).map((name) => [name, []]))
for (let round = -5; round < rounds; round++)
  for (const [name, each] of Object.entries(doors)) {
    door = each
    const before = process.cpuUsage()
    await ask(requests)
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) cpuUs.get(name)!.push((user + system) / requests)
  }

/** Others on the machine make a round dearer, and never cheaper: the tenth that was disturbed least says what it costs. */
const quiet = (all: readonly number[]) => percentile(all, 0.1)
const without = quiet(cpuUs.get('without')!)
for (const [name, all] of cpuUs) {
  const above = name === 'without' ? '' : `, ${(quiet(all) - without).toFixed(1)} above`
  console.log(
    `${name.padEnd(20)} ${quiet(all).toFixed(1)} µs${above}  (median ${summary(all).median.toFixed(1)})`,
  )
}
console.log(`the goal: at most ${goalUs} µs above`)
asker.kill()
server.close()
server.closeAllConnections()
