// What the doctor says at the end, for people and for programs.
import { print, printJson, printTable, styled } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { count } from '../output/words.ts'
import { capabilitiesOf, columns } from './capabilities.ts'
import type { LeftBehind } from './cleanup.ts'
import type { Examination, Examined } from './examine.ts'

type Failed = Extract<Examined, { outcome: 'failed' }>
type Skipped = Extract<Examined, { outcome: 'skipped' }>

export interface Facts {
  readonly name: string
  readonly url: string
  readonly durability: {
    readonly level: string
    readonly statement: string
    readonly weaknesses: readonly string[]
  }
}

export async function printFacts({ name, url, durability }: Facts): Promise<void> {
  await print(`${styled('bold', name)} at ${url}`, `survives: ${durability.level}. ${durability.statement}`)
  for (const weakness of durability.weaknesses) await print(styled('yellow', `weakness: ${weakness}`))
}

export async function printReport(
  name: string,
  examination: Examination,
  interrupted: boolean,
): Promise<void> {
  const { passed, failed, skipped } = sorted(examination.results)
  await print('')
  await printTable(columns, capabilitiesOf(examination))
  await print(
    '',
    `${count(passed.length, 'case')} passed, ${failed.length} failed, ${skipped.length} skipped.`,
  )
  if (interrupted) await print(styled('yellow', 'It was broken off: the other cases were not run.'))
  for (const [reason, cases] of reasons(skipped)) await print(styled('dim', `  ${cases} skipped: ${reason}`))
  for (const { id, title, error } of failed) {
    await print('', styled('red', `FAILED ${id}`), `  ${title}`)
    await print(...visibleLines(error.message).map((line) => `  ${line}`))
  }
  const stray = examination.strays[0]
  if (stray)
    await print(
      '',
      styled('yellow', `${count(examination.strays.length, 'error')} that no case waited for, the first:`),
      `  ${visible(stray.message)}`,
    )
  await print('', ...leftBehind(name, examination.leftBehind))
}

export function printReportJson(facts: Facts, examination: Examination, interrupted: boolean): Promise<void> {
  const { passed, failed, skipped } = sorted(examination.results)
  const { name, url, durability } = facts
  return printJson({
    engine: name,
    url,
    durability,
    capabilities: capabilitiesOf(examination),
    cases: { passed: passed.length, failed: failed.length, skipped: skipped.length },
    failures: failed.map(({ id, title, error }) => ({ id, title, message: error.message })),
    skipped: skipped.map(({ id, reason }) => ({ id, reason })),
    strays: examination.strays.map(({ message }) => message),
    interrupted,
    leftBehind: examination.leftBehind,
  })
}

function sorted(results: readonly Examined[]) {
  return {
    passed: results.filter(({ outcome }) => outcome === 'passed'),
    failed: results.filter((result): result is Failed => result.outcome === 'failed'),
    skipped: results.filter((result): result is Skipped => result.outcome === 'skipped'),
  }
}

function reasons(skipped: readonly Skipped[]): [string, number][] {
  const found = new Map<string, number>()
  for (const { reason } of skipped) {
    const why = reason.startsWith("it has '")
      ? 'they are for engines that lack what this one has'
      : reason.includes('[CAPABILITY_MISSING]')
        ? 'they need what this engine lacks; see the table'
        : reason
    found.set(why, (found.get(why) ?? 0) + 1)
  }
  return [...found].sort(([, a], [, b]) => b - a)
}

function visibleLines(text: string): string[] {
  return text.trimEnd().split('\n').map(visible)
}

/** How those who look after the servers remove what the ports cannot. */
const removal: Readonly<Record<string, string>> = {
  sqlite: 'To leave nothing next time, give the doctor a folder of its own on the same disk.',
  postgres: 'To leave nothing next time, give the doctor a database of its own on the same server.',
  kafka: "kafka-topics.sh --bootstrap-server <broker> --delete --topic 'conformance-.*' removes them.",
  nats: 'nats stream ls --names | grep _conformance- | xargs -n 1 nats stream rm --force removes them.',
}

function leftBehind(name: string, { queues, messages, streams }: LeftBehind): string[] {
  if (queues + streams === 0) return ['Nothing is left behind.']
  const inside = messages === 0 ? 'empty' : `with ${count(messages, 'message')} that cases still hold`
  const what = [
    ...(queues > 0 ? [`${count(queues, 'queue')}, ${inside}`] : []),
    ...(streams > 0 ? [`${count(streams, 'stream')}`] : []),
  ].join('; ')
  return [`Left behind, all called conformance-…: ${what}. Listings pass them over.`, removal[name] ?? '']
}
