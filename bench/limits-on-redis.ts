// npm run bench:redis-limits: decisions about limits on one Redis server, many at a time over many keys, and by leases over few; side by side in one run.
import { createClient } from '@redis/client'
import { Command, InvalidArgumentError } from 'commander'
import { Redis } from 'ioredis'
import rateLimiterFlexible from 'rate-limiter-flexible'
import { tokenBucket } from '../src/core/bucket/token-bucket.ts'
import { redis as spillwayRedis } from '../src/engines/redis/engine.ts'
import { redis } from '../test/servers/index.ts'
import { leased, leasedGoal } from './limits-leased.ts'
import { rotated, type Summary, summary } from './statistics.ts'

interface Decider {
  readonly name: string
  decide(key: string): Promise<unknown>
  close(): Promise<unknown>
}

interface Options {
  readonly keys: number
  readonly inFlight: number
  readonly seconds: number
  readonly rounds: number
  readonly processes: number
  readonly busyKeys: number
  readonly json?: true
}

/** What Spillway set itself, in times of the better of the others. */
const goal = 1.2
const { RateLimiterRedis } = rateLimiterFlexible
/** Nothing is refused: a refusal is an exception there, and would be the dearer one. */
const most = 1_000_000
const hour = 3_600

async function deciders(url: string): Promise<readonly Decider[]> {
  const engine = await spillwayRedis({ url, timeoutMs: 10_000 })
  const algorithm = tokenBucket(most, most, hour * 1_000_000)!
  const client = await createClient({ url }).connect()
  const ioredis = new Redis(url)
  const rules = { points: most, duration: hour }
  const byClient = new RateLimiterRedis({
    ...rules,
    storeClient: client,
    useRedisPackage: true,
    keyPrefix: 'client',
  })
  const byIoredis = new RateLimiterRedis({ ...rules, storeClient: ioredis, keyPrefix: 'ioredis' })
  return [
    {
      name: 'spillway',
      decide: (bucket) =>
        engine.limit!.exchange([
          { holder: 'bench', leaseMs: 1_000, asks: [{ bucket, algorithm, used: 0, cost: 1, hold: 0 }] },
        ]),
      close: () => engine.close(),
    },
    {
      name: 'rate-limiter-flexible on @redis/client',
      decide: (key) => byClient.consume(key),
      close: () => client.close(),
    },
    {
      name: 'rate-limiter-flexible on ioredis',
      decide: (key) => byIoredis.consume(key),
      close: () => ioredis.quit(),
    },
  ]
}

/** Decisions a second. */
async function measure(decider: Decider, { keys, inFlight }: Options, seconds: number): Promise<number> {
  let made = 0
  let at = 0
  const start = performance.now()
  const end = start + seconds * 1_000
  const asker = async () => {
    while (performance.now() < end) {
      // Each key in its turn, spread over all.
      at = (at + 7_919) % keys
      await decider.decide(`user-${at}`)
      made += 1
    }
  }
  await Promise.all(Array.from({ length: inFlight }, asker))
  return made / ((performance.now() - start) / 1_000)
}

async function main(options: Options): Promise<void> {
  const missing = await redis.missing()
  if (missing !== undefined) throw new Error(missing)
  await using server = await redis.start({ persistence: 'none' })
  const all = await deciders(server.url)
  const rates = new Map<string, number[]>(all.map(({ name }) => [name, []]))
  for (const decider of all) await measure(decider, options, options.seconds)
  for (let round = 0; round < options.rounds; round++)
    for (const decider of rotated(all, round))
      rates.get(decider.name)!.push(await measure(decider, options, options.seconds))
  await Promise.all(all.map((decider) => decider.close()))
  const figures = [...rates].map(([name, values]) => ({ name, ...summary(values) }))
  const [own, ...others] = figures
  const times = own!.median / Math.max(...others.map(({ median }) => median))
  const byLeases = await leased(server.url, options)
  if (options.json)
    return console.log(
      JSON.stringify({ ...options, version: server.version, figures, times, leased: byLeases }),
    )
  console.log(
    `Redis ${server.version} without persistence, ${options.inFlight} in flight, ${options.keys} keys, ${options.rounds} rounds of ${options.seconds} s; decisions a second:`,
  )
  print(figures)
  console.log(`${times.toFixed(2)} times the better one; the goal is ${goal}.`)
  console.log(
    `${options.processes} processes that share ${options.busyKeys} busy keys, ${options.inFlight} in flight in each; decisions a second of all of them:`,
  )
  print(byLeases.figures)
  console.log(`By leases ${byLeases.times.toFixed(1)} times the peer; the goal is ${leasedGoal}.`)
}

function print(figures: readonly (Summary & { readonly name: string })[]): void {
  for (const { name, median, min, max } of figures)
    console.log(`  ${name.padEnd(40)} ${[median, min, max].map((rate) => Math.round(rate)).join('   ')}`)
}

function whole(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidArgumentError('A whole number from 1.')
}

const command = new Command('bench:redis-limits')
  .description('Decisions about limits on Redis: medians, least and most of several rounds, interleaved.')
  .option('--keys <count>', 'different keys', whole, 100_000)
  .option('--in-flight <count>', 'decisions at a time', whole, 64)
  .option('--seconds <count>', 'of a round', whole, 2)
  .option('--rounds <count>', 'of each system', whole, 7)
  .option('--processes <count>', 'that share busy keys by leases', whole, 4)
  .option('--busy-keys <count>', 'that they share', whole, 100)
  .option('--json', 'for programs')
  .action((options: Options) => main(options))
await command.parseAsync()
