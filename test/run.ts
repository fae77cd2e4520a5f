// npm test: types, style and floors, then every test; at the end what was exercised, what was not, and how to get it.
// SPILLWAY_REQUIRE=all makes a missing one a failure. SPILLWAY_AGAIN=1 runs the files that failed once more, on a machine that
// is then quiet: what passes only then is named as unsteady, and is a defect to be found, but not of the change at hand.
// SPILLWAY_TIMES=write keeps how long the files took, by which they are put in order (longest-first.ts).
// Arguments go to vitest: npm test -- src/queue
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { whyNot } from './durability/recording.ts'
import { envoy, launchers, nginx, pgbouncer } from './servers/index.ts'

interface Counts {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly startTime: number
    readonly endTime: number
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

const chosen = process.argv.slice(2)
const missing: string[] = []
const present: string[] = ['sqlite', 'memory']
for (const { name, missing: ask } of [...launchers, pgbouncer, nginx, envoy]) {
  const reason = await ask()
  if (reason === undefined) present.push(name)
  else missing.push(`${name}: ${reason}`)
}

const unrecorded = whyNot()
if (unrecorded === undefined) present.push('the durability proof')
else missing.push(`the durability proof: ${unrecorded}`)

if (missing.length > 0 && process.env.SPILLWAY_REQUIRE === 'all') {
  for (const reason of missing) console.error(`required and missing: ${reason}`)
  process.exit(1)
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-test-'))
const report = join(folder, 'report.json')
const steps = [
  ...(chosen.length > 0
    ? []
    : [
        ['biome', 'check', '--error-on-warnings', '.'],
        ['tsc', '--noEmit'],
        ['tsc', '-p', 'tsconfig.build.json', '--noEmit'],
        [process.execPath, 'scripts/check-floors.ts'],
      ]),
]
const vitest = (...filters: readonly string[]) =>
  spawnSync(
    'vitest',
    ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters],
    { stdio: 'inherit' },
  ).status ?? 1

let status = 0
for (const [command = '', ...args] of steps) {
  const step = spawnSync(command, args, { stdio: 'inherit' })
  if (step.status !== 0) {
    status = step.status ?? 1
    break
  }
}
let counts: Counts | undefined
let failures: readonly string[] = []
let failuresAgain: readonly string[] | undefined
if (status === 0) {
  status = vitest(...chosen)
  counts = read(report)
  failures = failuresOf(counts)
  if (status !== 0 && counts && process.env.SPILLWAY_AGAIN === '1') {
    const files = counts.testResults.filter((file) => file.status === 'failed').map(({ name }) => name)
    // More than a few are not unsteady but broken.
    if (files.length > 0 && files.length <= 3) {
      console.log(`\nagain, alone: ${files.join(', ')}`)
      rmSync(report)
      status = vitest(...files)
      failuresAgain = failuresOf(read(report))
    }
  }
}

// Of what was not run, or only in part, nothing was shown.
const whole = counts !== undefined && chosen.length === 0
if (counts && whole && process.env.SPILLWAY_TIMES === 'write') keepTimes(counts)
console.log(
  `\n${whole ? 'exercised' : 'here, but not all of it exercised by this run'}: ${present.join(', ')}`,
)
for (const reason of missing) console.log(`not exercised: ${reason}`)
rmSync(folder, { recursive: true })
for (const line of failures)
  console.log(`${failuresAgain && !failuresAgain.includes(line) ? 'unsteady' : 'failed'}: ${line}`)
for (const line of failuresAgain ?? [])
  if (!failures.includes(line)) console.log(`failed when run again: ${line}`)
if (counts)
  console.log(
    `${counts.numPassedTests} passed, ${counts.numFailedTests} failed, ${counts.numPendingTests} skipped`,
  )
process.exit(status)

/** A line for each: the file, and the test in it; or the file alone, when it could not even be loaded. */
function failuresOf(counts: Counts | undefined): readonly string[] {
  return (counts?.testResults ?? [])
    .filter((file) => file.status === 'failed')
    .flatMap(({ name, assertionResults }) => {
      const tests = assertionResults.filter((test) => test.status === 'failed')
      return tests.length > 0 ? tests.map(({ fullName }) => `${name} > ${fullName}`) : [name]
    })
}

/** Of those that take long. */
function keepTimes({ testResults }: Counts): void {
  const times = testResults
    .map(({ name, startTime, endTime }) => [name, Math.round((endTime - startTime) / 1_000)] as const)
    .filter(([, seconds]) => seconds >= 10)
    .sort(([, a], [, b]) => b - a)
    .map(([name, seconds]) => [relative(process.cwd(), name), seconds])
  writeFileSync(
    join(import.meta.dirname, 'times.json'),
    `${JSON.stringify(Object.fromEntries(times), undefined, 2)}\n`,
  )
}

function read(file: string): Counts | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Counts
  } catch {
    return undefined
  }
}
