// npm run bench:doors: what the door costs, as processor time of the server for each request: the same server with it and without, in processes of their own, in turns.
// Who asks is another process. The server answers JSON of one line: one that does more is the same plus what it does.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Command } from 'commander'
import { percentile, rotated, summary } from './statistics.ts'

/** What Spillway set itself, in microseconds of processor time for each request above the same server without. */
const goalUs = 2

const options = new Command()
  .option('--requests <count>', 'in each round, of each server', Number, 300)
  .option('--rounds <count>', 'how often each has its turn', Number, 100)
  .option('--servers <count>', 'of each kind: two that are the same never cost the same', Number, 3)
  .option('--only <names...>', 'only these', [
    'two fields, no door',
    'one rule, no fields',
    'one rule',
    'three rules',
  ])
  .parse()
  .opts<{
    readonly requests: number
    readonly rounds: number
    readonly servers: number
    readonly only: string[]
  }>()

interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
  readonly cpuUs: number[]
}

const answer = async (child: ChildProcess, asked?: object | string) => {
  if (asked !== undefined) child.send(asked)
  const [said] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('A process of the bench has ended.'))),
  ])) as [number]
  return said
}

async function serverOf(name: string): Promise<Server> {
  const child = fork(`${import.meta.dirname}/door-server.ts`, [name])
  child.setMaxListeners(0)
  return { name, child, port: await answer(child), cpuUs: [] }
}

const kinds = ['without', ...options.only]
const servers: Server[] = []
for (let i = 0; i < options.servers; i++) for (const name of kinds) servers.push(await serverOf(name))
const asker = fork(
  `${import.meta.dirname}/http-asker.ts`,
  servers.map(({ port }) => String(port)),
)
asker.setMaxListeners(0)

async function turn({ child, port }: Server, count: number): Promise<number> {
  await answer(child, 'before')
  await answer(asker, { port, count })
  return (await answer(child, 'after')) / count
}

// The compiler has done with each before it is measured.
for (const server of servers) await turn(server, 20_000)
for (let round = 0; round < options.rounds; round++)
  for (const server of rotated(servers, round)) server.cpuUs.push(await turn(server, options.requests))

/** Others on the machine make a turn dearer, and never cheaper: the tenth that was disturbed least says what it costs. */
const costs = (name: string, share: number) =>
  summary(servers.filter((server) => server.name === name).map(({ cpuUs }) => percentile(cpuUs, share)))
const text = ({ median, min, max }: ReturnType<typeof summary>) =>
  `${median.toFixed(1)} µs (${min.toFixed(1)} – ${max.toFixed(1)})`
for (const name of kinds) {
  const [quiet, mostly] = [costs(name, 0.1), costs(name, 0.5)]
  const above = (share: number) => (costs(name, share).median - costs('without', share).median).toFixed(1)
  console.log(
    `${name.padEnd(20)} ${text(quiet)}, median ${text(mostly)}${name === 'without' ? '' : `: ${above(0.1)} above, median ${above(0.5)}`}`,
  )
}
console.log(`the goal: at most ${goalUs} µs above`)
for (const { child } of servers) child.kill()
asker.kill()
