// npm run bench:growth: what a claim and its settlement cost from a long backlog, against a short one, side by side in one run.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { postgres } from '../src/engines/postgres/engine.ts'
import { sqlite } from '../src/engines/sqlite/engine.ts'
import type { Engine } from '../src/ports/engine.ts'
import type { OutgoingMessage, QueuePort } from '../src/ports/queue.ts'
import type { QueueRules } from '../src/ports/queue-rules.ts'
import { embeddedPostgres } from '../test/servers/index.ts'
import { summary } from './statistics.ts'

interface Shape {
  readonly title: string
  readonly rules: QueueRules
  readonly carried: (index: number) => Partial<OutgoingMessage>
}

/** The most that the long backlog may cost, in times of the short one. */
const goal = 1.5

const shapes: Readonly<Record<string, Shape>> = {
  plain: { title: 'no rules', rules: {}, carried: () => ({}) },
  keyed: {
    title: 'order per key, ten messages for each key',
    rules: { keyOrder: true },
    carried: (index) => ({ key: `customer-${Math.floor(index / 10)}` }),
  },
  scattered: {
    title: 'order per key, a thousand keys in turn',
    rules: { keyOrder: true },
    carried: (index) => ({ key: `customer-${index % 1_000}` }),
  },
  all: {
    title: 'all rules at once',
    rules: {
      keyOrder: true,
      priority: true,
      dedup: true,
      groups: { concurrency: 500 },
      concurrency: 1_000,
      rate: { count: 1_000_000, perMs: 1 },
    },
    carried: (index) => ({
      key: `customer-${index % 10_000}`,
      priority: index % 3,
      dedup: { key: `once-${index}` },
      group: `tenant-${index % 50}`,
    }),
  },
}

interface Options {
  readonly engine: 'sqlite' | 'postgres'
  readonly short: number
  readonly long: number
  readonly rounds: number
  readonly shapes: readonly string[]
  readonly json?: true
}

const perRound = 1_000
const atOnce = 100
const body = JSON.stringify({ text: 'x'.repeat(400) })

new Command('bench:growth')
  .description(
    'Claims and settles from a short and from a long backlog in turns. Fails where the long one costs more than 1.5 times.',
  )
  .option('--engine <name>', 'sqlite or postgres', 'sqlite')
  .option('--short <messages>', 'how many messages the short backlog has', wholeNumber, 10_000)
  .option('--long <messages>', 'how many messages the long backlog has', wholeNumber, 1_000_000)
  .option('--rounds <n>', 'how often each is measured', wholeNumber, 9)
  .option('--shapes <names...>', `some of ${Object.keys(shapes).join(', ')}`, Object.keys(shapes))
  .option('--json', 'print one JSON object')
  .action(run)
  .parseAsync()
  .catch((error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  })

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It takes a whole number from 1.')
  return value
}

async function run(options: Options): Promise<void> {
  const results: { shape: string; title: string; shortUs: number; longUs: number; ratio: number }[] = []
  for (const name of options.shapes) {
    const shape = shapes[name]
    if (shape === undefined) throw new Error(`There is no shape '${name}'.`)
    console.error(`${name}: filling ${options.short} and ${options.long} …`)
    const { shortUs, longUs } = await measure(shape, options)
    results.push({ shape: name, title: shape.title, shortUs, longUs, ratio: longUs / shortUs })
  }
  if (options.json) console.log(JSON.stringify({ ...options, results }, undefined, 2))
  else
    for (const { shape, title, shortUs, longUs, ratio } of results)
      console.log(
        `${shape.padEnd(10)} ${shortUs.toFixed(1).padStart(8)} µs → ${longUs.toFixed(1).padStart(8)} µs a message: ${ratio.toFixed(2)} ×${ratio > goal ? '  above the goal' : ''}  (${title})`,
      )
  if (results.some(({ ratio }) => ratio > goal)) process.exitCode = 1
}

async function measure(
  shape: Shape,
  { engine, short, long, rounds }: Options,
): Promise<{ shortUs: number; longUs: number }> {
  await using places = await openTwo(engine)
  const [small, large] = places.queues
  await fill(small, shape, short)
  await fill(large, shape, long)
  const took = { small: [] as number[], large: [] as number[] }
  // The first round warms up.
  for (let round = 0; round <= rounds; round++)
    for (const [name, queue] of round % 2
      ? ([
          ['small', small],
          ['large', large],
        ] as const)
      : ([
          ['large', large],
          ['small', small],
        ] as const)) {
      const us = await handle(queue)
      if (round > 0) took[name].push(us)
      // As long as it was.
      await fill(queue, shape, perRound, (name === 'small' ? short : long) + round * perRound)
    }
  return { shortUs: summary(took.small).median, longUs: summary(took.large).median }
}

interface Two extends AsyncDisposable {
  readonly queues: readonly [QueuePort, QueuePort]
}

/** Stores apart, so that one backlog is no burden to the other. */
async function openTwo(engine: Options['engine']): Promise<Two> {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-growth-'))
  const server = engine === 'postgres' ? await embeddedPostgres.start() : undefined
  const open = (name: string): Promise<Engine> =>
    server ? postgres({ url: server.url, schema: name }) : sqlite({ path: join(folder, name) })
  const engines = [await open('short'), await open('long')]
  return {
    queues: [engines[0]!.queue!, engines[1]!.queue!],
    async [Symbol.asyncDispose]() {
      await Promise.all(engines.map((one) => one.close()))
      await server?.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function fill(queue: QueuePort, { rules, carried }: Shape, count: number, from = 0): Promise<void> {
  await queue.declare(['q'], rules)
  for (let sent = 0; sent < count; sent += 5_000) {
    const messages = Array.from({ length: Math.min(5_000, count - sent) }, (_, index) => {
      const at = from + sent + index
      return { id: `m${at}`, body, ...carried(at) }
    })
    await queue.send('q', messages)
  }
}

/** Microseconds for each of so many messages, claimed and settled a hundred at a time. */
async function handle(queue: QueuePort): Promise<number> {
  const begun = performance.now()
  let handled = 0
  while (handled < perRound) {
    const claimed = await queue.claim('q', { limit: atOnce, leaseMs: 60_000, waitMs: 1_000 })
    if (claimed.length === 0) throw new Error('nothing can be claimed')
    await queue.settle(
      'q',
      claimed.map(({ lease }) => ({ lease, kind: 'done' as const })),
    )
    handled += claimed.length
  }
  return ((performance.now() - begun) * 1_000) / handled
}
