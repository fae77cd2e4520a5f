// Rounds: every system once in each, side by side, so that what changes on the machine changes for all.
import { type ChildProcess, fork } from 'node:child_process'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import type { Place } from './servers.ts'
import { rotated } from './statistics.ts'
import type { Entry, Kind, PlaceName } from './systems/system.ts'
import type { Effort, Job, Said } from './workloads/job.ts'
import type { Work } from './workloads/names.ts'

export interface Plan {
  readonly kind: Kind
  readonly entries: readonly Entry[]
  readonly places: ReadonlyMap<PlaceName, Place>
  readonly rounds: number
  readonly effort: Effort
  /** Where Spillway's processes leave CPU profiles. */
  readonly profile: string | undefined
}

export interface Sample {
  readonly system: string
  readonly work: Work
  readonly value: number
}

export interface Failure {
  readonly system: string
  readonly work: string
  readonly error: string
}

export interface Measured {
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
  readonly durability: ReadonlyMap<string, string>
}

export interface Progress {
  started(round: number, entry: Entry): void
  said(entry: Entry, said: Said): void
}

/** A system that hangs is ended after this. */
const longestMs = 240_000

export async function measure(plan: Plan, progress: Progress): Promise<Measured> {
  const samples: Sample[] = []
  const failures: Failure[] = []
  const durability = new Map<string, string>()
  for (let round = 0; round < plan.rounds; round++) {
    for (const entry of rotated(plan.entries, round)) {
      progress.started(round, entry)
      const take = (said: Said) => {
        progress.said(entry, said)
        if (said.says === 'durability') durability.set(entry.name, said.durability)
        else if (said.says === 'sample')
          samples.push({ system: entry.name, work: said.work, value: said.value })
        else failures.push({ system: entry.name, work: said.work, error: withoutPlaces(said.error) })
      }
      await inProcess(plan, entry, take)
    }
  }
  return { samples, failures, durability }
}

async function inProcess(plan: Plan, entry: Entry, take: (said: Said) => void): Promise<void> {
  const { kind, effort } = plan
  const job: Job = { kind, system: entry.name, url: plan.places.get(entry.place)!.url, effort }
  const profiled = plan.profile !== undefined && entry.role === 'spillway'
  const child = fork(`${import.meta.dirname}/workloads/measure.ts`, [JSON.stringify(job)], {
    execArgv: ['--no-warnings'],
    // By the environment, so that it reaches the storage thread too.
    env: {
      ...process.env,
      ...(profiled ? { NODE_OPTIONS: `--cpu-prof "--cpu-prof-dir=${plan.profile}"` } : {}),
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let complaints = ''
  child.stderr!.on('data', (chunk) => {
    complaints = `${complaints}${chunk}`.slice(-2_000)
  })
  child.on('message', (said) => take(said as Said))
  const ending = await end(child)
  if (ending !== undefined)
    take({ says: 'failed', work: 'the process', error: `${ending} ${errorIn(complaints)}`.trim() })
}

/** Results are kept: where this machine keeps its files is nobody's business. */
function withoutPlaces(error: string): string {
  return error.replaceAll(resolve(import.meta.dirname, '..'), '.').replaceAll(tmpdir(), '(temporary)')
}

/** The line that says what went wrong, of all that a process said before it ended. */
function errorIn(complaints: string): string {
  const lines = complaints.trim().split('\n')
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? ''
}

/** What was wrong with the end of the process, if anything. */
function end(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    const kill = () => child.kill('SIGKILL')
    const late = setTimeout(kill, longestMs)
    // Before the folder in which it writes is removed.
    process.prependListener('exit', kill)
    child.once('exit', (code, signal) => {
      clearTimeout(late)
      process.off('exit', kill)
      resolve(code === 0 ? undefined : `It ended with ${signal ?? code}.`)
    })
  })
}
