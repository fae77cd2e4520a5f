// Documentation that cannot drift: code blocks come from files that are compiled and run, reference pages from the code.
//   docs.ts          fails and names what is out of date
//   docs.ts --write  brings it up to date
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { program } from '../src/cli/program.ts'
import { errorCodes } from '../src/core/errors.ts'
import { capabilityTable, fencedByEffects, portTable } from '../src/ports/capability.ts'
import { clientAddressPage } from './client-addresses.ts'

/** A page names the file of a code block in a comment on the line before it; where there is no block yet it gets one. */
const snippet = /<!-- from: (\S+) -->(?:\n+```ts\n(?:[^\n]*\n)*?```$)?/gm

export function pages(): Map<string, string> {
  const wanted = new Map<string, string>()
  for (const page of markdown())
    wanted.set(page, withDecisions(withTables(withSnippets(readFileSync(page, 'utf8')))))
  wanted.set('docs/reference/errors.md', errorPage())
  wanted.set('docs/reference/cli.md', cliPage())
  wanted.set('docs/reference/capabilities.md', capabilityPage())
  wanted.set('docs/reference/client-addresses.md', clientAddressPage())
  return wanted
}

export function outOfDate(): string[] {
  return [...pages()]
    .filter(([page, text]) => !existsSync(page) || readFileSync(page, 'utf8') !== text)
    .map(([page]) => page)
}

function markdown(): string[] {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !file.startsWith('reference'))
    .map((file) => join('docs', file))
  return [...readdirSync('.').filter((file) => file.endsWith('.md')), ...docs]
}

export function withSnippets(text: string): string {
  return text.replace(
    snippet,
    (_, file: string) =>
      `<!-- from: ${file} -->\n\n\`\`\`ts\n${readFileSync(file, 'utf8').trimEnd()}\n\`\`\``,
  )
}

/** A page of an engine has what that engine can do between two comments. */
const table = /<!-- capabilities: (\w+) -->\n[\s\S]*?<!-- end of capabilities -->/g

function withTables(text: string): string {
  return text.replace(
    table,
    (_, engine: string) =>
      `<!-- capabilities: ${engine} -->\n\n${engineTable(engine)}\n\n<!-- end of capabilities -->`,
  )
}

/** The index has the decisions by the titles that they give themselves. */
function withDecisions(text: string): string {
  return text.replace(/<!-- decisions -->\n[\s\S]*?<!-- end of decisions -->/, () => {
    const decisions = readdirSync('docs/decisions').sort()
    const titles = decisions.map((file) => {
      const [, title] = /^# (?:\d+\.? )?(.*)$/m.exec(readFileSync(join('docs/decisions', file), 'utf8')) ?? []
      return `- [${title}](decisions/${file})`
    })
    return `<!-- decisions -->\n\n${titles.join('\n')}\n\n<!-- end of decisions -->`
  })
}

function engineTable(engine: string): string {
  const has = (owners: readonly string[]) => (owners.includes(engine) ? 'yes' : '–')
  const rows = (['queue', 'stream'] as const).flatMap((port) => {
    const name = port === 'queue' ? 'queues' : 'streams'
    if (has(portTable[port]) !== 'yes') return [`| **${name}** | – |`]
    const byEffects = has(fencedByEffects[port]) === 'yes'
    return [
      `| **${name}** | yes |`,
      `| a stale holder is refused by | ${byEffects ? "the service's transaction" : 'the engine'} |`,
      ...Object.entries(capabilityTable[port]).map(
        ([flag, { title, engines: owners }]) => `| ${title} (\`${flag}\`) | ${has(owners)} |`,
      ),
    ]
  })
  const keepsBuckets = `| **limits that processes share** | ${has(portTable.limit)} |`
  return [`| ${engine} | |`, '| --- | --- |', ...rows, keepsBuckets].join('\n')
}

function errorPage(): string {
  const rows = Object.entries(errorCodes).map(
    ([code, { meaning, remedy, retryable }]) =>
      `| \`${code}\` | ${meaning} | ${remedy} | ${retryable ? 'yes' : 'no'} |`,
  )
  return [
    '# Error codes',
    '',
    'Every error that Spillway throws is a `SpillwayError` with one of these codes. `retryable` says whether the same call may succeed later without anything being changed. `cause` keeps the native error.',
    '',
    '| code | what happened | what was kept, what to do | retryable |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

/** Every engine has a page of its own in docs/engines. */
export const engines = ['sqlite', 'postgres', 'nats', 'kafka', 'redis', 'memory']

function capabilityPage(): string {
  const row = (name: string, cells: readonly string[]) => `| ${name} | ${cells.join(' | ')} |`
  const sections = (['queue', 'stream'] as const).flatMap((port) => {
    const carriers = engines.filter((engine) => (portTable[port] as readonly string[]).includes(engine))
    const byEffects: readonly string[] = fencedByEffects[port]
    const rows = Object.entries(capabilityTable[port]).map(([flag, { title, engines: owners }]) => {
      const cells = carriers.map((engine) => ((owners as readonly string[]).includes(engine) ? 'yes' : '–'))
      return row(`${title} (\`${flag}\`)`, cells)
    })
    return [
      `## ${port === 'queue' ? 'Queues' : 'Streams'}`,
      '',
      row('', carriers),
      row(
        '---',
        carriers.map(() => '---'),
      ),
      row(
        'a stale holder is refused by',
        carriers.map((engine) => (byEffects.includes(engine) ? "the service's transaction" : 'the engine')),
      ),
      ...rows,
      '',
    ]
  })
  return [
    '# Capabilities',
    '',
    'What is not in these tables every engine has that carries the port. What an engine does not have is refused when the program starts, with the engine, the feature and those that have it; nothing is imitated. The conformance suite holds each line both ways.',
    '',
    ...sections,
    '## Limits',
    '',
    `Buckets of rate limits that several processes share are kept by: ${portTable.limit.join(', ')}.`,
    '',
  ].join('\n')
}

function cliPage(): string {
  const sections = cliSections(program(), 'spillway', 1)
  return `${sections.join('\n\n').replace('# spillway', '# The command `spillway`')}\n`
}

function cliSections(command: Command, path: string, depth: number): string[] {
  const heading = `${'#'.repeat(depth)} ${path}\n\n${fence(helpOf(command))}`
  const deeper = command.commands.flatMap((each) => cliSections(each, `${path} ${each.name()}`, depth + 1))
  return [heading, ...deeper]
}

/** With the examples below it, and as wide on every terminal. */
function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({
    writeOut: (text) => {
      help += text
    },
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return help
}

function fence(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``
}

if (import.meta.main) {
  if (process.argv.includes('--write')) for (const [page, text] of pages()) writeFileSync(page, text)
  const stale = outOfDate()
  for (const page of stale) console.error(`${page} is out of date: run npm run docs`)
  if (stale.length > 0) process.exit(1)
  console.log('docs: every page is up to date')
}
