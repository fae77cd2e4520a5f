// npm run bench -- tune: how long `spillway limits tune` takes for a log of a million requests, and how much memory, each time in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { Command, InvalidArgumentError } from 'commander'
import { machine } from './machine.ts'
import { summary } from './statistics.ts'

interface Options {
  readonly requests: number
  readonly rounds: number
  readonly json?: true
}

interface Shape {
  readonly title: string
  readonly file: string
  readonly key: string
  /** How many different keys may come; few of them make most requests. */
  readonly keys: number
  readonly line: (time: Date, key: number, cost: number) => string
}

/** What one million requests may take. */
const goal = { seconds: 10, megabytes: 500 }

const json = (time: Date, key: number, cost: number) =>
  `{"time":"${time.toISOString()}","user":"user-${key}","path":"/api/orders","cost":${cost}}\n`
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const access = (time: Date, key: number) => {
  const [, month = '1', day] = time.toISOString().slice(0, 10).split('-')
  const stamp = `${day}/${months[Number(month) - 1]}/${time.getUTCFullYear()}:${time.toISOString().slice(11, 19)} +0000`
  const address = `10.${(key >> 16) & 255}.${(key >> 8) & 255}.${key & 255}`
  return `${address} - - [${stamp}] "GET /a/b/c?d=1 HTTP/1.1" 200 2326 "http://www.example.com/start.html" "Mozilla/5.0 (X11; Linux x86_64)"\n`
}

const shapes: readonly Shape[] = [
  { title: 'lines of JSON by user', file: 'json', key: 'user', keys: 20_000, line: json },
  { title: 'the same, all traffic together', file: 'json', key: 'global', keys: 20_000, line: json },
  { title: 'the same, gzipped', file: 'json.gz', key: 'user', keys: 20_000, line: json },
  { title: 'an access log by address', file: 'access', key: 'address', keys: 20_000, line: access },
  {
    title: 'lines of JSON, most keys come once or twice',
    file: 'sparse',
    key: 'user',
    keys: 3_000_000,
    line: json,
  },
]

/** On its way out the process says what it used. */
const usage = `data:text/javascript,${encodeURIComponent(
  `import { writeFileSync } from 'node:fs'
   process.on('exit', () => writeFileSync(process.env.SPILLWAY_USAGE, JSON.stringify(process.resourceUsage())))`,
)}`

export function tuneBench(): Command {
  return new Command('tune')
    .description(
      'How long `spillway limits tune` takes for a log of a million requests, and how much memory.',
    )
    .option('--requests <n>', 'how many requests a log has', wholeNumber, 1_000_000)
    .option('--rounds <n>', 'how many rounds', wholeNumber, 3)
    .option('--json', 'print one JSON object instead of a table')
    .action(bench)
}

async function bench({ requests, rounds, json: asJson }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-bench-tune-'))
  try {
    const { warnings } = await machine()
    for (const warning of warnings) console.error(warning)
    for (const shape of shapes) await write(folder, shape, requests)
    const rows = shapes.map((shape) => ({
      shape,
      seconds: [] as number[],
      processor: [] as number[],
      megabytes: [] as number[],
    }))
    for (let round = 0; round < rounds; round++)
      for (const row of rows) {
        console.error(`round ${round + 1} of ${rounds}: ${row.shape.title}`)
        const used = await tune(folder, row.shape)
        row.seconds.push(used.seconds)
        row.processor.push(used.processor)
        row.megabytes.push(used.megabytes)
      }
    const found = rows.map(({ shape, ...values }) => ({
      log: shape.title,
      megabytesOfLog: statSync(join(folder, shape.file)).size / 1e6,
      seconds: summary(values.seconds),
      processorSeconds: summary(values.processor),
      peakMegabytes: summary(values.megabytes),
    }))
    if (asJson) console.log(JSON.stringify({ requests, rounds, goal, found }, undefined, 2))
    else
      for (const { log, megabytesOfLog, seconds, processorSeconds, peakMegabytes } of found)
        console.log(
          `${log.padEnd(44)}${megabytesOfLog.toFixed(0).padStart(5)} MB  ${seconds.median.toFixed(2)} s (${seconds.min.toFixed(2)} – ${seconds.max.toFixed(2)}), processor ${processorSeconds.median.toFixed(2)} s, peak ${peakMegabytes.median.toFixed(0)} MB`,
        )
    const missed = found.some(
      ({ seconds, peakMegabytes }) => seconds.median > goal.seconds || peakMegabytes.median > goal.megabytes,
    )
    if (requests <= 1_000_000 && missed) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Poisson arrivals, a few every second; keys by a law that favours few; by a seed. */
async function write(folder: string, { file, keys, line }: Shape, requests: number): Promise<void> {
  const path = join(folder, file)
  if (statSync(path, { throwIfNoEntry: false })) return
  let state = 12_345
  const chance = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  async function* lines() {
    let time = Date.UTC(2026, 0, 1)
    let piece = ''
    for (let index = 0; index < requests; index++) {
      time -= Math.log(1 - chance()) * 700
      const key = Math.floor(keys * chance() * chance() * chance())
      piece += line(new Date(time), key, chance() < 0.1 ? 3 : 1)
      if (piece.length < 1 << 16) continue
      yield piece
      piece = ''
    }
    yield piece
  }
  const output = createWriteStream(path)
  await (file.endsWith('.gz') ? pipeline(lines(), createGzip(), output) : pipeline(lines(), output))
}

async function tune(folder: string, { file, key }: Shape) {
  const said = join(folder, 'usage')
  const main = resolve(import.meta.dirname, '../src/cli/main.ts')
  const begun = performance.now()
  const child = spawn(
    process.execPath,
    ['--import', usage, main, 'limits', 'tune', join(folder, file), '--key', key, '--json'],
    { env: { ...process.env, SPILLWAY_USAGE: said }, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`It ended with ${code}.`)
  const seconds = (performance.now() - begun) / 1_000
  const used = JSON.parse(readFileSync(said, 'utf8')) as NodeJS.ResourceUsage
  return {
    seconds,
    processor: (used.userCPUTime + used.systemCPUTime) / 1e6,
    megabytes: used.maxRSS / 1_024,
  }
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It takes a whole number from 1.')
  return value
}
