// The guide and the examples of the help name only commands and options that there are.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { program } from './program.ts'

const pages = [
  'README.md',
  'docs/guides/operating.md',
  'docs/guides/outbox.md',
  'docs/guides/calls.md',
  'docs/guides/limits.md',
  'docs/guides/tuning-limits.md',
  'docs/reference/cli.md',
]

/** What follows `spillway` in a line of a page, up to a pipe, a comment or the words behind an example. */
function commandsIn(page: string): string[] {
  return [
    ...readFileSync(page, 'utf8').matchAll(
      /^(?: *\$ |npx )?spillway ((?:queue|stream|outbox|saga|calls|limits|doctor|up|check)\b.*)$/gm,
    ),
  ].map(([, rest]) => rest!.split(/ \|| {2}| #| >/)[0]!.trim())
}

function wrongIn(words: readonly string[], of: Command): string | undefined {
  const [first = '', ...rest] = words
  const deeper = of.commands.find((each) => each.name() === first)
  if (deeper) return wrongIn(rest, deeper)
  if (of.commands.length > 0) return `${of.name()} has no command ${JSON.stringify(first)}`
  const options = words.filter((word) => /^--?[a-z]/.test(word))
  const unknown = options.find(
    (word) =>
      word !== '--help' && !of.options.some((option) => word === option.long || word === option.short),
  )
  return unknown && `${of.name()} has no option ${unknown}`
}

test.each(pages)('%s', (page) => {
  const commands = commandsIn(page)
  expect(commands.length).toBeGreaterThan(2)
  for (const line of commands) expect([line, wrongIn(line.split(' '), program())]).toEqual([line, undefined])
})

test('every command teaches by example', () => {
  const leaves = (of: Command): Command[] => (of.commands.length === 0 ? [of] : of.commands.flatMap(leaves))
  const taught = leaves(program())
  expect(taught.length).toBeGreaterThan(10)
  for (const each of taught) {
    let help = ''
    each.configureOutput({
      writeOut: (text) => {
        help += text
      },
    })
    each.outputHelp()
    expect(help).toMatch(new RegExp(`Examples:\\n {2}\\$ spillway .*${each.name()}`, 's'))
  }
})
