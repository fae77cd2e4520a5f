// The report of `spillway limits tune` for people.
import type { CurvePoint } from '../../limit/tune/envelope/envelope.ts'
import type { LogFacts, Report } from '../../limit/tune/report.ts'
import { print, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { visible } from '../output/text.ts'
import { count } from '../output/words.ts'
import { costs, seconds } from './numbers.ts'

/** How many vertices of a curve are shown. */
const mostRows = 12

export async function printReport(report: Report): Promise<void> {
  await printFacts(report)
  await printCurve(report)
}

async function printFacts(facts: LogFacts): Promise<void> {
  const span = facts.spanSeconds > 0 ? ` (${seconds(facts.spanSeconds)})` : ''
  await print(
    `${count(facts.requests, 'request')} of ${count(facts.keys, 'key')} (by ${visible(facts.key)}), ${shortTime(facts.from)} to ${shortTime(facts.to)} UTC${span}`,
  )
  const odd = [
    facts.withoutKey > 0 &&
      `${count(facts.withoutKey, 'request')} without a value for ${visible(facts.key)}, not computed with`,
    facts.leftOut > 0 && `${count(facts.leftOut, 'request')} left out by --without`,
    facts.refusedThen > 0 &&
      `${count(facts.refusedThen, 'request')} answered with 429 then, which are demand all the same`,
    facts.outOfOrder > 0 && `${count(facts.outOfOrder, 'line')} out of order, sorted`,
    facts.brokenLines > 0 && `${count(facts.brokenLines, 'broken line')}:`,
  ].filter((line) => line !== false)
  await print(...odd)
  await print(...facts.broken.map(({ log, line, reason }) => `  ${visible(log)}:${line}: ${reason}`))
  if (facts.brokenLines > facts.broken.length) await print('  …')
}

const columns: readonly Column<CurvePoint>[] = [
  { title: 'REFILL A SECOND', right: true, value: ({ ratePerSecond }) => costs(ratePerSecond) },
  { title: 'CAPACITY', right: true, value: ({ capacity }) => costs(capacity) },
]

async function printCurve({ key, busiest, curve, at }: Report): Promise<void> {
  const of =
    key === 'global'
      ? 'all traffic together'
      : `the busiest key, ${visible(busiest.key)} (${count(busiest.requests, 'request')}, cost ${costs(busiest.cost)})`
  await print('', styled('bold', `The smallest bucket that refuses nothing to ${of}`))
  if (at.length > 0) {
    await printTable(columns, at)
    return
  }
  await printTable(columns, spread(curve))
  const left = curve.length - mostRows
  if (left > 0) await print(styled('dim', `${left} more vertices with --json; --at 5,10,20 for given rates`))
}

/** So many of them, the first and the last among them. */
function spread(curve: readonly CurvePoint[]): CurvePoint[] {
  if (curve.length <= mostRows) return [...curve]
  const step = (curve.length - 1) / (mostRows - 1)
  return Array.from({ length: mostRows }, (_, row) => curve[Math.round(row * step)]!)
}

function shortTime(iso: string): string {
  return iso.slice(0, 19).replace('T', ' ')
}
