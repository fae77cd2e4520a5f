// spillway limits show: what each rule of a file says, allows at worst, keeps in memory, and what to mind about it.
import { Command } from 'commander'
import { type RuleSummary, summaryOf } from '../../limit/rule-summary.ts'
import { forgiveReaders, print, printJson, printTable, styled } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { count, every } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { names, rulesOf } from './rules-of.ts'

interface Choice {
  readonly keys: readonly string[]
  readonly json?: boolean
}

const examples = `
A rules file has a rule under each name:

  rules:
    posts:    { atMost: 2, per: second, by: user, on: POST /posts }
    accounts: { atMost: 10, per: day, by: address, on: POST /accounts }
    uploads:  { capacity: 20, refill: 5, per: second, by: user, over: wait }

For each it says the algorithm that keeps it, the true worst case in any window, what
a bucket takes in memory, and what to know before it wakes you. What does not hold is
told with line and reason: exit code 1.

Examples:
  $ spillway limits show limits.yaml
  $ spillway limits show limits.yaml --keys team,tenant   keys that your program names
  $ spillway limits show - --json < limits.yaml | jq '.rules[].plans[].most'`

export function showCommand(): Command {
  return new Command('show')
    .description('Say what each rule of a file allows at worst, what it costs, and what to mind about it.')
    .addHelpText('after', examples)
    .argument('<rules>', 'a rules file, YAML or JSON; - for the standard input')
    .option(
      '--keys <names>',
      'keys that your program names beside user, address, device, apiKey, session',
      names,
      [],
    )
    .option('--json', 'print JSON for programs')
    .action((file: string, { keys, json }: Choice) => {
      forgiveReaders()
      return reporting(async () => {
        const rules = await rulesOf(file, { keys, json })
        if (rules === undefined) return
        const summaries = rules.map(summaryOf)
        if (json) await printJson({ rules: summaries })
        else await printSummaries(summaries)
      })
    })
}

async function printSummaries(rules: readonly RuleSummary[]): Promise<void> {
  if (rules.length === 0) return print('No rules: everything is allowed.')
  await printTable(
    [
      { title: 'RULE', value: ({ name }) => name },
      { title: 'ALGORITHM', value: ({ algorithm }) => algorithm },
      { title: 'KEY', value: ({ by }) => (by.length === 0 ? 'all together' : by.join(' + ')) },
      { title: 'ON', value: ({ on }) => on?.join(', ') ?? '', rest: true },
      { title: 'COST', value: ({ cost }) => cost ?? '' },
      { title: 'BEYOND', value: beyond },
      { title: 'STORE AWAY', value: awayText },
      { title: 'BYTES', right: true, value: ({ bytes }) => count(bytes) },
    ],
    rules,
  )
  for (const { name, plans, warnings } of rules) {
    await print('', styled('bold', name))
    for (const { plan, guarantee } of plans)
      await print(`  ${visible(plan === undefined ? guarantee : `${plan}: ${guarantee}`)}`)
    for (const warning of warnings) await print(styled('yellow', `  ! ${visible(warning)}`))
  }
  await print('', styled('dim', 'BYTES: of one bucket in memory; a key that nobody uses takes none.'))
}

function beyond({ over, line, longestWaitMs, shadow }: RuleSummary): string {
  if (shadow) return 'counted only'
  if (over === 'wait') return `waits (line ${line}, ${every(longestWaitMs!)} at most)`
  return over === 'defer' ? 'deferred' : 'refused'
}

function awayText({ away }: RuleSummary): string {
  return typeof away === 'string' ? away : `share ${away.share}`
}
