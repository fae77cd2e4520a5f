// npm run test:soak -- [--minutes N] [--engine URL | --server NAME] [--rate N] [--every SECONDS] [--hold never|'at times'|always] [--json]
// Works an engine for a long time and looks whether anything grows. Without an engine: SQLite in a temporary folder; with --server a PostgreSQL
// of that name is started. A line for each sample, at the end the verdict; exit code 1 when something grows.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fail, readOptions } from '../command-line.ts'
import { embeddedPostgres, systemPostgres } from '../servers/index.ts'
import { detail, line } from './report.ts'
import { type SoakOptions, soak } from './run.ts'

const { values } = readOptions({
  options: {
    minutes: { type: 'string', default: '10' },
    engine: { type: 'string' },
    server: { type: 'string' },
    rate: { type: 'string', default: '500' },
    every: { type: 'string', default: '5' },
    hold: { type: 'string', default: 'at times' },
    json: { type: 'boolean', default: false },
  },
})
const [minutes, rate, every] = [values.minutes, values.rate, values.every].map(Number) as [
  number,
  number,
  number,
]
if (!(minutes > 0 && rate > 0 && every > 0)) fail('--minutes, --rate and --every take numbers above 0')
const holds = ['never', 'at times', 'always'] as const
const hold = holds.find((one) => one === values.hold) ?? fail(`--hold takes one of ${holds.join(', ')}`)
const launchers = [embeddedPostgres, systemPostgres]
const launcher = launchers.find(({ name }) => name === values.server || name.split('-')[0] === values.server)
if (values.server !== undefined && !launcher)
  fail(`--server takes one of ${launchers.map(({ name }) => name).join(', ')}`)
if (values.engine !== undefined && !/^(sqlite|postgres|postgresql):/.test(values.engine))
  fail('--engine takes sqlite:… or postgres://…')

const server = await launcher?.start()
const folder = mkdtempSync(join(tmpdir(), 'spillway-soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const engine = values.engine ?? server?.url ?? `sqlite:${folder}`
try {
  const options: SoakOptions = { engine, ms: minutes * 60_000, everyMs: every * 1_000, rate, hold }
  const say = (text: string) => console.log(text)
  const { samples, findings, claimP50 } = await soak({
    ...options,
    onSample: (sample) => say(values.json ? JSON.stringify({ ...sample, claimMs: undefined }) : line(sample)),
  })
  if (values.json) say(JSON.stringify({ findings, claimP50 }))
  else say(`\n${detail(samples, { findings, claimP50 })}`)
  process.exitCode = findings.length === 0 ? 0 : 1
} finally {
  await server?.stop()
}
