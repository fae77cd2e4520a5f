// npm run test:crash -- --kills N [--engine URL] [--database URL] [--server NAME [--outages N]] [--streams] [--json] [--seed N] [--plant FAULT]
// Without an engine: SQLite in a temporary folder. With --server a server of that name is started, and killed too with --outages. With --database the services keep their effects in PostgreSQL.
// Kills senders and consumers at random, then proves from their histories that nothing was lost, doubled or out of order.
import { parseArgs } from 'node:util'
import { launchers } from '../servers/index.ts'
import { isClean } from './history.ts'
import { table } from './report.ts'
import { crash } from './run.ts'
import { faults, isFault } from './worker/faults.ts'

const values = readOptions()
const kills = Number(values.kills)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const { json, database, plant, streams: streamsOnly } = values
const outages = Number(values.outages)
const launcher = launchers.find(({ name }) => name.split('-')[0] === values.server || name === values.server)
if (values.server !== undefined && !launcher)
  fail(`--server takes one of ${launchers.map(({ name }) => name).join(', ')}`)
if (!Number.isInteger(outages) || outages < 0 || (outages > 0 && !launcher))
  fail('--outages takes a whole number, and needs a --server')
if (!Number.isInteger(kills) || kills < 0 || !Number.isInteger(seed))
  fail('--kills and --seed take whole numbers')
if (plant !== undefined && !isFault(plant)) fail(`--plant takes one of ${faults.join(', ')}`)

const start = performance.now()
const seconds = () => ((performance.now() - start) / 1000).toFixed(1).padStart(6)
const say = json ? () => {} : (line: string) => console.log(`${seconds()} s  ${line}`)
say(`seed ${seed}${plant ? `, planted: ${plant}` : ''}`)
const server = await launcher?.start()
const engine = values.engine ?? server?.url
const result = await crash({
  kills,
  seed,
  onProgress: say,
  ...(engine === undefined ? {} : { engine }),
  ...(database === undefined ? {} : { database }),
  ...(plant !== undefined && isFault(plant) ? { plant } : {}),
  streamsOnly,
  outages,
  ...(server ? { server } : {}),
}).finally(() => server?.stop())
if (json)
  console.log(JSON.stringify({ engine: result.engine, seed, seconds: result.seconds, ...result.verdict }))
else console.log(`\n${table(result)}`)
if (json && result.surprises.length > 0) console.error(result.surprises.join('\n'))
process.exitCode = isClean(result.verdict) && result.surprises.length === 0 ? 0 : 1

function readOptions() {
  try {
    return parseArgs({
      options: {
        kills: { type: 'string', default: '20' },
        engine: { type: 'string' },
        server: { type: 'string' },
        outages: { type: 'string', default: '0' },
        streams: { type: 'boolean', default: false },
        database: { type: 'string' },
        json: { type: 'boolean', default: false },
        seed: { type: 'string' },
        plant: { type: 'string' },
      },
    }).values
  } catch (thrown) {
    return fail((thrown as Error).message)
  }
}

function fail(why: string): never {
  console.error(why)
  process.exit(2)
}
