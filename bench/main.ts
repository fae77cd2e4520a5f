// npm run bench: Spillway, its peers and the limits at the same work, in one run on this machine.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { Argument, Command, InvalidArgumentError } from 'commander'
import { machine } from './machine.ts'
import { markdownOf, type Report, reportOf, textOf } from './report.ts'
import { measure, type Plan, type Progress } from './run.ts'
import { startPlaces } from './servers.ts'
import { systems } from './systems/index.ts'
import type { Entry, Kind } from './systems/system.ts'
import { tuneBench } from './tune.ts'
import { efforts } from './workloads/job.ts'
import { unitOf } from './workloads/names.ts'

interface Options {
  readonly quick?: true
  readonly json?: true
  readonly save?: true
  readonly only?: string[]
  readonly rounds?: number
  readonly postgres?: string
  readonly profile?: string
}

const here = import.meta.dirname

new Command('bench')
  .description(
    'Measures Spillway, its peers and the limits at the same work, in one run, round by round. See bench/README.md.',
  )
  .addArgument(
    new Argument('<kind>', 'what is measured').choices(['queue', 'stream', 'call', 'transaction', 'limit']),
  )
  .option('--quick', 'three short rounds, in about two minutes: noisier, but sound')
  .option('--json', 'print one JSON object instead of tables; progress goes to the error output')
  .option('--only <names...>', 'only systems with one of these in their name')
  .option('--rounds <n>', 'how many rounds (5, or 3 with --quick)', wholeNumber)
  .option('--postgres <major>', 'which PostgreSQL to use (the newest there is)')
  .option('--save', 'keep the result in bench/results and put its table into bench/README.md')
  .option('--profile <folder>', "write CPU profiles of Spillway's processes there; figures suffer")
  .addHelpText('after', `\nSystems:\n${systems.map(describe).join('\n')}`)
  .showHelpAfterError()
  .action(bench)
  .enablePositionalOptions()
  .addCommand(tuneBench())
  .parseAsync()
  .catch((error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  })

function describe(entry: Entry): string {
  const kinds = (['queue', 'stream', 'call', 'transaction', 'limit'] as const).filter(
    (kind) => entry[kind] !== undefined,
  )
  return `  ${entry.name.padEnd(22)}${entry.title} (${kinds.join(', ')})`
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It takes a whole number from 1.')
  return value
}

async function bench(kind: Kind, options: Options): Promise<void> {
  const quick = options.quick === true
  const chosen = choose(kind, options.only)
  console.error('Starting servers …')
  await using places = await startPlaces(new Set(chosen.map(({ place }) => place)), {
    postgresMajor: options.postgres,
  })
  const skipped = chosen.flatMap(({ name, place }) => {
    const reason = places.missing.get(place)
    return reason === undefined ? [] : [{ system: name, reason }]
  })
  const plan: Plan = {
    kind,
    entries: chosen.filter(({ place }) => places.found.has(place)),
    places: places.found,
    rounds: options.rounds ?? (quick ? 3 : 5),
    effort: quick ? efforts.quick : efforts.full,
    profile: options.profile === undefined ? undefined : resolve(options.profile),
  }
  const facts = { quick, machine: await machine(), skipped }
  for (const warning of facts.machine.warnings) console.error(warning)
  const measured = await measure(plan, progress(plan))
  const report = reportOf(plan, measured, facts)
  console.log(options.json ? JSON.stringify(report, undefined, 2) : textOf(report, systems))
  if (options.save) save(report)
  const own = new Set(plan.entries.filter(({ role }) => role === 'spillway').map(({ name }) => name))
  if (report.rows.length === 0 || report.failures.some(({ system }) => own.has(system))) process.exitCode = 1
}

function choose(kind: Kind, only: readonly string[] | undefined): Entry[] {
  const all = systems.filter((entry) => entry[kind] !== undefined)
  for (const part of only ?? [])
    if (!all.some(({ name }) => name.includes(part)))
      throw new Error(
        `No system that has a ${kind} is named '${part}'; there are ${all.map(({ name }) => name).join(', ')}.`,
      )
  return all.filter(({ name }) => only === undefined || only.some((part) => name.includes(part)))
}

function progress({ rounds, entries }: Plan): Progress {
  let done = 0
  return {
    started(round, entry) {
      console.error(
        `round ${round + 1} of ${rounds}, ${++done} of ${rounds * entries.length}: ${entry.title}`,
      )
    },
    said(_, said) {
      if (said.says === 'sample')
        console.error(`    ${said.work}: ${Number(said.value.toPrecision(4))} ${unitOf(said.work)}`)
      if (said.says === 'failed') console.error(`    ${said.work} failed: ${said.error}`)
    },
  }
}

function save(report: Report): void {
  const folder = join(here, 'results')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${report.date}-${report.kind}${report.quick ? '-quick' : ''}.json`)
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
  const readme = join(here, 'README.md')
  const [before, after] = [`<!-- ${report.kind} -->`, `<!-- end of ${report.kind} -->`]
  const text = readFileSync(readme, 'utf8')
  const [start, end] = [text.indexOf(before), text.indexOf(after)]
  if (start >= 0 && end > start)
    writeFileSync(
      readme,
      `${text.slice(0, start + before.length)}\n\n${markdownOf(report, systems)}\n\n${text.slice(end)}`,
    )
  console.error(`Saved as ${relative(process.cwd(), file)}.`)
}
