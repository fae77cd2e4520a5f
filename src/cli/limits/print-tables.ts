// The trade-offs as tables: by rate, by rate and capacity, by key, by line.
import type { CurvePoint } from '../../limit/tune/envelope/envelope.ts'
import type { CoarsePoint, PopulationPoint, Report } from '../../limit/tune/report.ts'
import { print, printTable, styled } from '../output/print.ts'
import type { Column } from '../output/table.ts'
import { visible } from '../output/text.ts'
import { count } from '../output/words.ts'
import { costs, moment, percent, rateText, seconds } from './numbers.ts'
import { refusedMatrix, someOf, tellingRates } from './rows.ts'
import {
  separationColumns,
  separationTitle,
  serviceColumns,
  serviceRows,
  serviceTitle,
} from './service-tables.ts'

export async function printTables(report: Report): Promise<void> {
  if (report.keys > 1) await printPopulation(report)
  await printRefused(report)
  await printService(report)
  await printSeparation(report)
  await printForcing(report)
  await printDeferral(report)
  await printCurve(report)
}

function title(text: string): Promise<void> {
  return print('', styled('bold', text))
}

async function printPopulation(report: Report): Promise<void> {
  const { shares } = report.population
  await title('Capacity with which so many keys are never refused')
  await printTable<PopulationPoint>(
    [
      { title: 'REFILL', right: true, value: rateText },
      ...shares.map((share, index) => ({
        title: percent(share),
        right: true,
        value: ({ capacities }: PopulationPoint) => costs(capacities[index]!),
      })),
      {
        title: '',
        value: ({ ratePerSecond }) =>
          ratePerSecond === report.recommendation.ratePerSecond ? '< recommended' : '',
      },
    ],
    tellingRates(report),
  )
}

async function printRefused(report: Report): Promise<void> {
  const { capacities, rows } = refusedMatrix(report)
  const keys = report.keys > 1
  await title(`Refused: requests${keys ? ' / keys' : ''}, by refill and capacity`)
  await printTable(
    [
      { title: 'REFILL', right: true, value: ({ rate }) => rateText(rate) },
      ...capacities.map(
        (capacity, index): Column<(typeof rows)[number]> => ({
          title: costs(capacity),
          right: true,
          value: ({ cells }) =>
            percent(cells[index]!.requests) + (keys ? ` / ${percent(cells[index]!.keys)}` : ''),
        }),
      ),
    ],
    rows,
  )
}

async function printService(report: Report): Promise<void> {
  await title(serviceTitle)
  await printTable(
    serviceColumns.map(([name, value]) => ({ title: name.toUpperCase(), right: true, value })),
    serviceRows(report),
  )
}

async function printSeparation({ separation }: Report): Promise<void> {
  if (separation === null) return
  await title(separationTitle(separation))
  await printTable(
    separationColumns.map(([name, value]) => ({ title: name.toUpperCase(), right: true, value })),
    separation.points,
  )
}

async function printForcing({ forcedBy, key }: Report): Promise<void> {
  await title(
    key === 'global' ? 'The interval that forces it' : 'The keys that need most at the recommended refill',
  )
  await printTable(
    [
      { title: 'NEEDS', right: true, value: ({ capacity }) => costs(capacity) },
      { title: 'REQUESTS', right: true, value: ({ requests }) => count(requests) },
      { title: 'FROM', value: ({ from }) => moment(from, true) },
      {
        title: 'FOR',
        right: true,
        value: ({ from, to }) => seconds((Date.parse(to) - Date.parse(from)) / 1_000),
      },
      { title: 'COST WITHIN', right: true, value: ({ costWithin }) => costs(costWithin) },
      { title: '', value: ({ served }) => (served ? '' : 'would be refused') },
      { title: 'KEY', rest: true, value: ({ key: name }) => name },
    ],
    forcedBy,
  )
  if (key !== 'global') await print(styled('dim', '--without KEY solves again without one'))
}

async function printDeferral({ deferral, recommendation }: Report): Promise<void> {
  await title(
    `If what does not fit waits in a line for each key, at ${costs(recommendation.refill)} per ${recommendation.per}`,
  )
  await printTable(
    [
      { title: 'CAPACITY', right: true, value: ({ capacity }) => costs(capacity) },
      { title: 'WAIT', right: true, value: ({ waiting }) => percent(waiting) },
      { title: 'HALF WITHIN', right: true, value: ({ delaySeconds }) => seconds(delaySeconds.p50) },
      { title: '99% WITHIN', right: true, value: ({ delaySeconds }) => seconds(delaySeconds.p99) },
      { title: 'LONGEST', right: true, value: ({ delaySeconds }) => seconds(delaySeconds.longest) },
      { title: 'DEEPEST LINE', right: true, value: ({ depth }) => costs(depth) },
    ],
    deferral,
  )
}

const curveColumns: readonly Column<CurvePoint>[] = [
  { title: 'REFILL A SECOND', right: true, value: ({ ratePerSecond }) => costs(ratePerSecond) },
  { title: 'CAPACITY', right: true, value: ({ capacity }) => costs(capacity) },
]

async function printCurve({ key, busiest, curve, at, coarse }: Report): Promise<void> {
  const of =
    key === 'global'
      ? 'all traffic together'
      : `the busiest key, ${visible(busiest.key)} (${count(busiest.requests, 'request')}, cost ${costs(busiest.cost)})`
  await title(`The smallest bucket that refuses nothing to ${of}`)
  if (at.length > 0 && coarse)
    return printTable<CoarsePoint>(
      [
        { title: 'REFILL A SECOND', right: true, value: ({ ratePerSecond }) => costs(ratePerSecond) },
        { title: 'AT LEAST', right: true, value: ({ atLeast }) => costs(atLeast) },
        { title: 'SPREAD EVENLY', right: true, value: ({ evenlySpread }) => costs(evenlySpread) },
        { title: 'ALL AT ONCE', right: true, value: ({ atOnce }) => costs(atOnce) },
        { title: 'AT MOST', right: true, value: ({ atMost }) => costs(atMost) },
      ],
      coarse,
    )
  const shown = at.length > 0 ? at : someOf(curve)
  await printTable(curveColumns, shown)
  const left = curve.length - shown.length
  if (at.length === 0 && left > 0)
    await print(
      styled(
        'dim',
        `${count(left, 'more vertex', 'more vertices')} with --json; --at 5,10,20 for given rates`,
      ),
    )
}
