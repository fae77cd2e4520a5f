// spillway limits export: rules in the language of a gateway that is somebody else's, and plainly what it cannot hold.
import { Command, InvalidArgumentError, Option } from 'commander'
import { toEnvoy } from '../../limit/export/envoy.ts'
import { type ExportedRule, type Exporter, sentence } from '../../limit/export/exported.ts'
import { toNginx } from '../../limit/export/nginx.ts'
import type { CheckedRule } from '../../limit/rule/checked-rule.ts'
import { forgiveReaders, print } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { count } from '../output/words.ts'
import { reporting } from '../reporting.ts'
import { rulesOf } from './rules-of.ts'

const exporters: Readonly<Record<string, Exporter>> = { nginx: toNginx, envoy: toEnvoy }

interface Choice {
  readonly to: string
  readonly key?: Readonly<Record<string, string>>
  readonly plan?: string
  readonly strict?: boolean
}

const examples = `
The fragment goes to the standard output, with comments: for each rule what the gateway
allows at worst, and how it differs. What it cannot hold stands there too, and on the
standard error. Nothing is exported that allows more than the rule without saying so.

Gateways know addresses and headers. --key tells them which header says who the user
is: one that whatever authenticates sets, and that clients cannot.

Examples:
  $ spillway limits export limits.yaml --to nginx --key user=x-user > limits.conf
  $ spillway limits export limits.yaml --to envoy --key user=x-user --plan x-plan --strict`

export function exportCommand(): Command {
  return new Command('export')
    .description('Translate rules for a gateway that is not ours, and say what it cannot hold.')
    .addHelpText('after', examples)
    .argument('<rules>', 'a rules file, YAML or JSON; - for the standard input')
    .addOption(
      new Option('--to <gateway>', 'the gateway').choices(Object.keys(exporters)).makeOptionMandatory(),
    )
    .option('--key <name=header>', 'the request header that has a key; may be given several times', key)
    .option('--plan <header>', 'the request header that says the plan', header)
    .option('--strict', 'exit code 1 when something could not be held')
    .action((file: string, { to, key = {}, plan, strict }: Choice) => {
      forgiveReaders()
      return reporting(async () => {
        const rules = await rulesOf(file, { keys: Object.keys(key), json: false })
        if (rules === undefined) return
        const exported = exporters[to]!(rules, { keys: key, plan })
        await print(exported.text.trimEnd())
        process.stderr.write(`${summary(exported.rules, rules, to).map(visible).join('\n')}\n`)
        if (strict && exported.rules.some(({ held }) => held !== 'whole')) process.exitCode = 1
      })
    })
}

function summary(reports: readonly ExportedRule[], rules: readonly CheckedRule[], to: string): string[] {
  const lines = reports.flatMap(({ rule, held, bounds, lost, differs }, i) => [
    ...(held === 'not' ? [`${rule}: NOT held: ${lost.join('; ')}`] : []),
    ...bounds.map((bound) => `${rule}: ${sentence(bound, rules[i]!)}`),
    ...(held === 'not' ? [] : lost.map((line) => `${rule}: NOT held: ${line}`)),
    ...differs.map((line) => `${rule}: differs: ${line}`),
  ])
  const many = (held: string) => reports.filter((report) => report.held === held).length
  const total = `${to} holds ${count(many('whole'))} of ${count(reports.length, 'rule')}, ${many('partly')} in part, ${many('not')} not.`
  return [...lines, `${total} What is so of all of them stands at the head of the fragment.`]
}

function key(value: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [, name, rest] = /^([^=]+)=(.+)$/.exec(value) ?? []
  if (name === undefined || rest === undefined)
    throw new InvalidArgumentError('It takes a key and a header, as user=x-user.')
  if (name === 'address')
    throw new InvalidArgumentError(
      'Gateways know addresses, and would take a header as it is written: tell yours which proxies it trusts.',
    )
  return { ...before, [name]: header(rest) }
}

function header(value: string): string {
  if (/^[A-Za-z0-9-]{1,100}$/.test(value)) return value.toLowerCase()
  throw new InvalidArgumentError('A header has letters, digits and dashes, as x-user.')
}
