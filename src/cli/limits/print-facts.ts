// What of a log was computed with, and what was not.
import type { LogFacts } from '../../limit/tune/log-facts.ts'
import { print } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { count } from '../output/words.ts'
import { moment, seconds } from './numbers.ts'

export function printFacts(facts: LogFacts): Promise<void> {
  return print(...factLines(facts).map(visible))
}

/** What was computed with, then what was odd. */
export function factLines(facts: LogFacts): string[] {
  const span = facts.spanSeconds > 0 ? ` (${seconds(facts.spanSeconds)})` : ''
  const { key } = facts
  const odd = [
    [facts.withoutKey, 'request', `without a value for ${key}, not computed with`],
    [facts.leftOut, 'request', 'left out by --without'],
    [facts.retries.sameId, 'request', 'with an id that came before, which are the same, not computed with'],
    [
      facts.retries.afterRefusal,
      'request',
      'that came again after a 429, which are the same, not computed with (--keep-retries)',
    ],
    [facts.refusedThen, 'request', 'answered with 429 then, which are demand all the same'],
    [facts.outOfOrder, 'line', 'out of order, sorted'],
    [facts.brokenLines, 'broken line', 'not computed with'],
  ] as const
  return [
    `${count(facts.requests, 'request')} of ${count(facts.keys, 'key')} (by ${key}), ${moment(facts.from)} to ${moment(facts.to)} UTC${span}`,
    ...odd.filter(([number]) => number > 0).map(([number, what, why]) => `${count(number, what)} ${why}`),
    ...facts.broken.map(({ log, line, reason }) => `  ${log}:${line}: ${reason}`),
    ...(facts.brokenLines > facts.broken.length ? ['  …'] : []),
  ]
}
