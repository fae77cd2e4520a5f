// spillway limits tune: what a token bucket must hold for the traffic of a log, exactly, and which one to begin with.
import { statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { type Duration, milliseconds } from '../../core/duration.ts'
import { asError, SpillwayError } from '../../core/errors.ts'
import { fileSource, type Source } from '../../limit/tune/reading/lines.ts'
import type { Report } from '../../limit/tune/report.ts'
import { tune } from '../../limit/tune/tune.ts'
import { Bar } from '../output/bar.ts'
import { forgiveReaders, print, printJson } from '../output/print.ts'
import { count } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { UsageError } from '../usage.ts'
import { pageOf } from './page/page.ts'
import { printReport } from './print-report.ts'

interface Choice {
  readonly key?: string
  readonly cost?: string
  readonly time?: string
  readonly at?: readonly number[]
  readonly without?: readonly string[]
  readonly honest?: number
  readonly worst?: number
  readonly json?: boolean
  readonly html?: string
  readonly id?: string
  readonly keepRetries?: boolean
  readonly label?: string
}

const examples = `
A token bucket holds up to its capacity and is refilled at a rate; a request takes
its cost, or is refused. The larger the refill, the less it has to hold: this
command computes how much, from what your clients really did.

It reads access logs (common, combined) and lines of JSON, plain or gzipped:

  {"time":"2026-11-23T06:50:03.120Z","user":"u17","cost":2}

time is ISO 8601 or seconds, milliseconds, … since 1970; cost is 1 where there is none.

Examples:
  $ spillway limits tune access.log                  by client address
  $ spillway limits tune requests.jsonl --key user --at 5,10,20
  $ spillway limits tune requests.jsonl --key user --honest 99% --worst 10s
  $ spillway limits tune access.log --without 10.0.0.7 --html report.html
  $ spillway limits tune access.log.*.gz --key global   all traffic together
  $ zcat old/*.gz | spillway limits tune - --json | jq .curve`

export function tuneCommand(): Command {
  return new Command('tune')
    .description('Find capacity and refill of a token bucket from recorded traffic.')
    .addHelpText('after', examples)
    .argument('<log...>', 'access logs or lines of JSON, plain or gzipped; - for the standard input')
    .option(
      '--key <fields>',
      'what has a bucket of its own: address, user, path, method or agent of an access log; a field of JSON; several as user+path; or global for all together',
    )
    .option('--cost <field>', 'the field with the cost of a request (default: cost, or 1 each)')
    .option('--time <field>', 'the field of JSON with the time (default: time)')
    .option('--at <rates>', 'the smallest capacity for these refills a second, as 5,10,20', rates)
    .option('--honest <share>', 'how many of the keys shall never be refused (default: 99.9%)', share)
    .option(
      '--worst <time>',
      'over which time one key that takes all it can shall get through least: 10s, 5m, 1h (default: 1m)',
      time,
    )
    .option('--without <key>', 'leave a key out; may be given several times', several)
    .option('--id <field>', 'the field with an idempotency key: requests with the same are one')
    .option(
      '--keep-retries',
      'count what comes again after a 429 as new requests, not as the one that was refused',
    )
    .option(
      '--label <field>',
      'the field that says abusive or honest; else one of a thousand keys is taken for abusive, by its cost',
    )
    .option('--html <file>', 'also write a page with the curves drawn, which needs nothing else')
    .option('--json', 'print JSON for programs')
    .action((logs: string[], options: Choice) => {
      forgiveReaders()
      return reporting(async () => {
        const sources = await sourcesOf(logs)
        const bar = new Reading(sources)
        checkPage(options.html)
        const { worst: worstSeconds, ...rest } = options
        const asked = { ...rest, ...(worstSeconds === undefined ? {} : { worstSeconds }) }
        const report = await tune(sources, asked, (source, bytes, requests) =>
          bar.at(source, bytes, requests),
        ).finally(() => bar.end())
        if (options.json) await printJson(report)
        else await printReport(report)
        if (options.html === undefined) return
        // At the end: where it fails the figures were told.
        writePage(options.html, report)
        if (!options.json) await print('', `Drawn in ${options.html}`)
      })
    })
}

/** Before the work of minutes. */
function checkPage(file: string | undefined): void {
  if (file === undefined) return
  if (!statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() || file === '')
    throw new UsageError(`--html ${file}: there is no folder for it.`)
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`--html ${file}: it is a folder; name a file.`)
}

function writePage(file: string, report: Report): void {
  try {
    writeFileSync(file, pageOf(report))
  } catch (thrown) {
    throw new SpillwayError(
      'INVALID_OPTION',
      `--html ${file} cannot be written: ${asError(thrown).message}.`,
      {
        remedy: 'The figures were printed; name another file for the page.',
      },
    )
  }
}

async function sourcesOf(logs: readonly string[]): Promise<Source[]> {
  if (logs.filter((log) => log === '-').length > 1)
    throw new UsageError('The standard input (-) can be read once only.')
  return Promise.all(
    logs.map((log) =>
      log === '-'
        ? { name: '(standard input)', size: undefined, open: () => process.stdin }
        : fileSource(log),
    ),
  )
}

/** How far the logs are read, for who sits at a terminal; of a pipe nobody knows the length. */
class Reading {
  readonly #bar: Bar | undefined
  readonly #sources: readonly Source[]

  constructor(sources: readonly Source[]) {
    this.#sources = sources
    const sizes = sources.map(({ size }) => size)
    const total = sizes.reduce<number>((sum, size) => sum + (size ?? Number.NaN), 0)
    this.#bar = process.stderr.isTTY && total > 0 ? new Bar('reading', total) : undefined
  }

  at(source: Source, bytes: number, requests: number): void {
    let before = 0
    for (const each of this.#sources) {
      if (each === source) break
      before += each.size ?? 0
    }
    this.#bar?.at(before + bytes, count(requests, 'request'))
  }

  end(): void {
    this.#bar?.end()
  }
}

function rates(text: string): number[] {
  return text.split(',').map((part) => {
    const rate = Number(part)
    if (part.trim() === '' || !(rate >= 0 && rate <= 1e9))
      throw new InvalidArgumentError('It takes rates a second, as 5,10,20 or 0.5.')
    return rate
  })
}

function share(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? []
  const value = percent ? Number(number) / 100 : Number(number)
  if (value > 0 && value <= 1) return value
  throw new InvalidArgumentError('It takes a share of the keys, as 99.9% or 0.999.')
}

function time(text: string): number {
  try {
    return milliseconds(text as Duration, '--worst') / 1_000
  } catch {
    throw new InvalidArgumentError('It takes a time, as 10s, 5m or 1h.')
  }
}

function several(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
