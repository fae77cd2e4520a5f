// The recommendation, why, how sure it is, and the rule.
import { rulesFile } from '../../limit/tune/advice/rules.ts'
import type { HoldOut, Report } from '../../limit/tune/report.ts'
import { print, styled } from '../output/print.ts'
import { visible } from '../output/text.ts'
import { costs, moment, percent, seconds } from './numbers.ts'

export function printAdvice(report: Report): Promise<void> {
  return print(
    '',
    styled('bold', headline(report)),
    ...adviceLines(report).map((line) => `- ${visible(line)}`),
    ...report.doubts.map(({ text }) => styled('yellow', `! ${visible(text)}`)),
    '',
    styled('dim', '# in shadow mode: it counts what it would refuse, and refuses nothing'),
    rulesFile(report.rule).trimEnd(),
  )
}

export function headline({ recommendation: { capacity, refill, per } }: Report): string {
  return `Recommended: capacity ${costs(capacity)}, refill ${costs(refill)} per ${per}`
}

/** Why, what it allows, and how sure it is. */
export function adviceLines({ recommendation, holdOut }: Report): string[] {
  const { worst, burstSeconds, interval, evenlySpread, reasons } = recommendation
  const [low, high] = interval
  const inAsked = [1, 60, 3_600].includes(worst.seconds)
    ? ''
    : `, ${costs(worst.asked)} in ${seconds(worst.seconds)}`
  return [
    ...reasons,
    `At worst one key gets through ${costs(worst.second)} in a second, ${costs(worst.minute)} in a minute, ${costs(worst.hour)} in an hour${inAsked}.`,
    `The capacity is ${seconds(burstSeconds)} of refill: so long an empty bucket takes to fill up.`,
    `With other keys of the same kind the capacity would lie between ${costs(low)} and ${high === null ? 'a bound that these keys do not show' : costs(high)} (95 of 100).`,
    ...(evenlySpread === null
      ? []
      : [
          `If requests of one time stamp were spread evenly over it, ${costs(evenlySpread)} would be enough.`,
        ]),
    ...holdOutLines(holdOut),
  ]
}

function holdOutLines(holdOut: HoldOut | null): string[] {
  if (!holdOut) return []
  const { splitAt, rule, predicted, found, held } = holdOut
  const [low, high] = predicted.interval
  const verdict = held ? 'it holds' : 'more than predicted: traffic changes, watch it in shadow mode'
  return [
    `Hold-out: what is before ${moment(splitAt)} gives capacity ${costs(rule.capacity)}, refill ${costs(rule.refill)} per ${rule.per}, which refuses ${percent(predicted.requests)} of requests there (${percent(low)} to ${percent(high)}); after it ${percent(found.requests)} of requests and ${percent(found.keys)} of keys were: ${verdict}.`,
  ]
}
