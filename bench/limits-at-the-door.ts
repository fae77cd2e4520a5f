// npm run bench:doors: what the door costs, as processor time of the server for each request: with it and without, in turns, in the same process.
// Who asks is another process. The server answers JSON of one line: one that does more is the same plus what it does.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Command } from 'commander'
import { percentile, rotated, summary } from './statistics.ts'

/** What Spillway set itself, in microseconds of processor time for each request above the same server without. */
const goalUs = 2

const options = new Command()
  .option('--requests <count>', 'in each turn', Number, 400)
  .option('--rounds <count>', 'how often each has its turn, in each process', Number, 120)
  .option('--servers <count>', 'processes: two that are the same never cost the same', Number, 3)
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
  readonly child: ChildProcess
  readonly port: number
  /** Of each kind, in the order of the rounds. */
  readonly cpuUs: ReadonlyMap<string, number[]>
}

const answer = async (child: ChildProcess, asked?: object | string) => {
  if (asked !== undefined) child.send(asked)
  const [said] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('A process of the bench has ended.'))),
  ])) as [number]
  return said
}

const kinds = ['without', ...options.only]
const servers: Server[] = []
for (let i = 0; i < options.servers; i++) {
  const child = fork(`${import.meta.dirname}/door-server.ts`)
  child.setMaxListeners(0)
  servers.push({ child, port: await answer(child), cpuUs: new Map(kinds.map((kind) => [kind, []])) })
}
const asker = fork(
  `${import.meta.dirname}/http-asker.ts`,
  servers.map(({ port }) => String(port)),
)
asker.setMaxListeners(0)

async function turn({ child, port }: Server, kind: string, count: number): Promise<number> {
  await answer(child, kind)
  await answer(asker, { port, count })
  return (await answer(child, 'end of the turn')) / count
}

// The compiler has done with each before it is measured.
for (const server of servers) for (const kind of kinds) await turn(server, kind, 20_000)
for (let round = 0; round < options.rounds; round++)
  for (const server of servers)
    for (const kind of rotated(kinds, round))
      server.cpuUs.get(kind)!.push(await turn(server, kind, options.requests))

/** Of each process: the median over the rounds. What is above is taken within a round, where both had the same neighbours on the machine. */
const costs = (kind: string) => summary(servers.map(({ cpuUs }) => percentile(cpuUs.get(kind)!, 0.5)))
const above = (kind: string) =>
  summary(
    servers.map(({ cpuUs }) => {
      const without = cpuUs.get('without')!
      return percentile(
        cpuUs.get(kind)!.map((us, round) => us - without[round]!),
        0.5,
      )
    }),
  )
const text = ({ median, min, max }: ReturnType<typeof summary>) =>
  `${median.toFixed(1)} µs (${min.toFixed(1)} – ${max.toFixed(1)})`
console.log(
  `without: ${text(costs('without'))} of processor time for each request; of each process the median`,
)
for (const kind of options.only) console.log(`${kind.padEnd(20)} ${text(above(kind))} above`)
console.log(`the goal: at most ${goalUs} µs above`)
for (const { child } of servers) child.kill()
asker.kill()
