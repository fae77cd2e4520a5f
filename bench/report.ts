// What a run found: as an object for programs and for keeping, and as text for people.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Ratio, type Row, ratiosOf } from './goals.ts'
import type { Machine } from './machine.ts'
import type { Failure, Measured, Plan } from './run.ts'
import { summary } from './statistics.ts'
import type { Entry, Kind } from './systems/system.ts'
import { isTime, type Unit, unitOf, works } from './workloads/names.ts'

export interface Report {
  readonly kind: Kind
  /** Of the day on which it was run, UTC. */
  readonly date: string
  readonly quick: boolean
  readonly rounds: number
  readonly machine: Machine
  /** Of clients (by package) and servers (by place). */
  readonly versions: Readonly<Record<string, string>>
  readonly rows: readonly Row[]
  readonly ratios: readonly Ratio[]
  readonly skipped: readonly { readonly system: string; readonly reason: string }[]
  readonly failures: readonly Failure[]
}

export function reportOf(
  plan: Plan,
  measured: Measured,
  facts: Pick<Report, 'quick' | 'machine' | 'skipped'>,
): Report {
  const rows = works[plan.kind].flatMap((name) =>
    plan.entries.flatMap((entry): Row[] => {
      const values = measured.samples
        .filter((sample) => sample.system === entry.name && sample.work === name)
        .map(({ value }) => value)
      if (values.length === 0) return []
      const { median, min, max } = summary(values)
      return [
        {
          work: name,
          system: entry.name,
          durability: measured.durability.get(entry.name) ?? '',
          median: rounded(median),
          min: rounded(min),
          max: rounded(max),
          unit: unitOf(name),
        },
      ]
    }),
  )
  const ratios = ratiosOf(plan.kind, rows).map((ratio) => ({
    ...ratio,
    ratio: Number(ratio.ratio.toPrecision(3)),
  }))
  return {
    kind: plan.kind,
    date: new Date().toISOString().slice(0, 10),
    rounds: plan.rounds,
    ...facts,
    versions: versionsOf(plan),
    rows,
    ratios,
    failures: once(measured.failures),
  }
}

/** What fails in every round is said once. */
function once(failures: readonly Failure[]): Failure[] {
  return [...new Map(failures.map((failure) => [JSON.stringify(failure), failure])).values()]
}

function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}

function versionsOf({ entries, places }: Plan): Record<string, string> {
  const versions: Record<string, string> = {}
  for (const { client, place } of entries) {
    if (client !== undefined) versions[client] = versionOf(client)
    const server = places.get(place)?.version
    if (server !== undefined) versions[`${place} server`] = server
  }
  return versions
}

/** Of an installed package, whatever it exports. */
function versionOf(name: string): string {
  const { resolve } = createRequire(import.meta.url)
  for (const folder of resolve.paths(name) ?? [])
    try {
      return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string })
        .version
    } catch {}
  return 'unknown'
}

export function textOf(report: Report, entries: readonly Entry[]): string {
  const titles = new Map(entries.map(({ name, title }) => [name, title]))
  const title = (name: string) => titles.get(name) ?? name
  const lines: string[] = []
  for (const name of works[report.kind]) {
    const rows = report.rows.filter((row) => row.work === name)
    if (rows.length === 0) continue
    lines.push('', `${name} (${unitOf(name)})`)
    lines.push(
      ...table(
        rows.map((row) => [
          title(row.system),
          figure(row.median, row.unit),
          `${figure(row.min, row.unit)} – ${figure(row.max, row.unit)}`,
          level(row.durability),
        ]),
      ),
    )
  }
  if (report.ratios.length > 0) lines.push('', 'Ratios of the medians')
  lines.push(
    ...table(
      report.ratios.map((ratio) => [
        `${title(ratio.system)}: ${ratio.work}`,
        `${ratio.ratio} ×`,
        title(ratio.against),
        ratio.goal ?? '',
        ratio.met === null ? '' : ratio.met ? 'met' : 'MISSED',
      ]),
    ),
  )
  lines.push(
    '',
    report.kind === 'call' ? 'What stands around a call' : 'What each keeps once it has answered',
  )
  const kept = new Map(report.rows.map(({ system, durability }) => [system, durability]))
  lines.push(...table([...kept].map(([system, durability]) => [title(system), durability])))
  for (const { system, reason } of report.skipped) lines.push('', `skipped: ${title(system)}: ${reason}`)
  for (const { system, work, error } of report.failures)
    lines.push('', `failed: ${title(system)}, ${work}: ${error}`)
  lines.push('', factsOf(report))
  return lines.join('\n')
}

export function factsOf({ kind, machine, rounds, quick, versions }: Report): string {
  const found = Object.entries(versions).map(([what, version]) => `${what} ${version}`)
  return [
    `Medians of ${rounds} rounds${quick ? ' (quick)' : ''}, least and greatest beside them${kind === 'call' ? '' : '; 200-byte payloads'}.`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.platform}, Node ${machine.node}; one fdatasync takes ${machine.fdatasyncMs} ms.`,
    ...(found.length > 0 ? [`${found.join(', ')}.`] : []),
    ...machine.warnings,
  ].join('\n')
}

/** The same as Markdown, for the README. */
export function markdownOf(report: Report, entries: readonly Entry[]): string {
  const titles = new Map(entries.map(({ name, title }) => [name, title]))
  const title = (name: string) => titles.get(name) ?? name
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `${report.date}. ${factsOf(report).replaceAll('\n', ' ')}`,
    '',
    row(['work', 'system', 'median', 'least – greatest', kept(report.kind)]),
    row(['---', '---', '---:', '---:', '---']),
    ...report.rows.map(({ work, system, median, min, max, unit, durability }) =>
      row([
        work,
        title(system),
        `${figure(median, unit)} ${unit}`,
        `${figure(min, unit)} – ${figure(max, unit)}`,
        level(durability),
      ]),
    ),
    '',
    row(['work', 'system', 'against', 'ratio', 'goal', '']),
    row(['---', '---', '---', '---:', '---', '---']),
    ...report.ratios.map(({ work, system, against, ratio, goal, met }) =>
      row([
        work,
        title(system),
        title(against),
        `${ratio}`,
        goal ?? '',
        met === null ? '' : met ? 'met' : 'missed',
      ]),
    ),
  ].join('\n')
}

function kept(kind: Kind): string {
  return kind === 'call' ? 'around it' : 'kept over'
}

/** 'power-loss: how …' begins with the level. */
function level(durability: string): string {
  return durability.split(':')[0] ?? ''
}

function figure(value: number, unit: Unit): string {
  return isTime(unit) ? value.toFixed(value < 10 ? 2 : 1) : Math.round(value).toLocaleString('en-US')
}

/** Columns side by side; figures to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, index) => Math.max(all[index] ?? 0, cell.length)),
    [],
  )
  return rows.map((row) =>
    `  ${row
      .map((cell, index) =>
        index > 0 && /^[\d.,]+( ×)?( – [\d.,]+)?$/.test(cell)
          ? cell.padStart(widths[index]!)
          : cell.padEnd(widths[index]!),
      )
      .join('  ')}`.trimEnd(),
  )
}
