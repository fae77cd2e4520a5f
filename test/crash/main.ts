// npm run test:crash -- [outbox] --kills N [--engine URL] [--database URL] [--server NAME [--outages N]] [--streams] [--json] [--seed N] [--plant FAULT]
// Kills senders and consumers at random, then proves from their histories that nothing was lost, doubled or out of order.
// Without an engine: SQLite in a temporary folder. With --server a server of that name is started, and killed too with --outages. With --database the services keep their effects in PostgreSQL.
// With `outbox`: a business that commits and undoes orders, the relays of its outbox, and who receives. Where no engine is named: on SQLite, then on a PostgreSQL of its own.
import { fail, readOptions } from '../command-line.ts'
import { type Launcher, launchers } from '../servers/index.ts'
import { isClean, sumOf } from './history.ts'
import { table } from './report.ts'
import { type CrashResult, crash, type Scene } from './run.ts'
import { faults, isFault } from './worker/faults.ts'

const { values, positionals } = readOptions({
  allowPositionals: true,
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
})
const [word = 'everything', ...more] = positionals
const scene = word as Scene
if ((scene !== 'everything' && scene !== 'outbox') || more.length > 0)
  fail('the only word that it takes is outbox')
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

const results: CrashResult[] = []
for (const on of await places()) {
  const result = await once(on)
  results.push(result)
  if (!json) console.log(`\n${table(result)}\n`)
  else if (result.surprises.length > 0) console.error(result.surprises.join('\n'))
}
if (json) console.log(JSON.stringify(results.length === 1 ? shown(results[0]!) : together()))
process.exitCode = results.every(({ verdict, surprises }) => isClean(verdict) && surprises.length === 0)
  ? 0
  : 1

/** Where it runs, one after the other: undefined for what the options say. */
async function places(): Promise<(Launcher | undefined)[]> {
  if (scene !== 'outbox' || values.engine !== undefined || launcher) return [launcher]
  for (const postgres of launchers.filter(({ name }) => name.startsWith('postgres')))
    if ((await postgres.missing()) === undefined) return [undefined, postgres]
  say('not on PostgreSQL: there is none on this machine')
  return [undefined]
}

async function once(on: Launcher | undefined): Promise<CrashResult> {
  const server = await on?.start()
  const engine = values.engine ?? server?.url
  // What is committed with an outbox is struck on the same server.
  const effects = database ?? (scene === 'outbox' && engine?.startsWith('postgres') ? engine : undefined)
  try {
    return await crash({
      scene,
      kills,
      seed,
      onProgress: say,
      ...(engine === undefined ? {} : { engine }),
      ...(effects === undefined ? {} : { database: effects }),
      ...(plant !== undefined && isFault(plant) ? { plant } : {}),
      streamsOnly,
      outages,
      ...(server ? { server } : {}),
    })
  } finally {
    await server?.stop()
  }
}

function shown({ engine, verdict, undone, seconds: lasted }: CrashResult) {
  return { engine, seed, seconds: lasted, ...verdict, ...(scene === 'outbox' ? { undone } : {}) }
}

function together() {
  const engines = results.map(({ engine }) => engine)
  const lasted = results.reduce((sum, { seconds }) => sum + seconds, 0)
  const undone = results.reduce((sum, result) => sum + result.undone, 0)
  const verdict = sumOf(results.map((result) => result.verdict))
  return { engine: engines.join(', '), seed, seconds: lasted, ...verdict, undone, runs: results.map(shown) }
}
