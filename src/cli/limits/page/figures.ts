// The pictures of the page, each with its figures in a table below it.
import type { CurvePoint } from '../../../limit/tune/envelope/envelope.ts'
import type { Report } from '../../../limit/tune/report.ts'
import { costs, percent, rateText, seconds } from '../numbers.ts'
import { refusedMatrix } from '../rows.ts'
import { axisOf, rateLabel, rateTicks, timeTicks } from './axis.ts'
import { chartOf } from './chart.ts'
import { escaped, tableOf } from './text.ts'

/** So many points draw a curve that bends. */
const drawn = 240
/** More vertices than these are left to --json. */
const mostVertices = 500

export function populationFigure({ population, recommendation }: Report): string {
  const { shares, rates } = population
  const lines = shares.map((share, index) => ({
    name: `${percent(share)} of the keys`,
    points: rates.map(({ ratePerSecond, capacities }) => [ratePerSecond, capacities[index]!] as const),
  }))
  const { ratePerSecond, capacity, knee } = recommendation
  const marks = [{ name: 'recommended', at: [ratePerSecond, capacity] as const }]
  if (knee && knee.ratePerSecond !== ratePerSecond)
    marks.push({ name: 'knee', at: [knee.ratePerSecond, knee.capacity] as const })
  return figure(
    chartOf({
      description:
        'For each refill the capacity with which shares of the keys are never refused; the more refill, the less capacity.',
      x: axisOf(
        'refill',
        rates.map((rate) => rate.ratePerSecond),
        rateLabel,
        rateTicks,
      ),
      y: axisOf(
        'capacity',
        lines.flatMap(({ points }) => points.map(([, y]) => y)),
        costs,
      ),
      lines,
      marks,
    }),
    'With the capacity on a line that share of the keys is never refused. Both axes grow tenfold.',
    tableOf(
      ['refill', ...shares.map(percent)],
      rates.map((rate) => [rateText(rate), ...rate.capacities.map(costs)]),
    ),
  )
}

export function refusedFigure(report: Report): string {
  const { capacities, rows } = refusedMatrix(report)
  const least = report.refused.reduce(
    (low, { requests }) => (requests > 0 ? Math.min(low, requests) : low),
    1,
  )
  const floor = least / 3
  const y = axisOf('requests refused', [floor, ...report.refused.map(({ requests }) => requests)], percent)
  return figure(
    chartOf({
      description:
        'The share of requests refused, by capacity, one line for each refill; it falls with both.',
      x: axisOf('capacity', capacities, costs),
      // Nothing refused has no place on such an axis: it is drawn at the lower end.
      y: { ...y, ticks: [{ at: y.from, label: '0%' }, ...y.ticks.filter(({ at }) => at >= least)] },
      lines: rows.map(({ rate, cells }) => ({
        name: rateText(rate),
        points: cells.map(({ capacity, requests }) => [capacity, requests] as const),
      })),
    }),
    'Real buckets over the recorded requests: what does not fit is refused and not charged. In the table: requests / keys.',
    tableOf(
      ['refill', ...capacities.map(costs)],
      rows.map(({ rate, cells }) => [
        rateText(rate),
        ...cells.map(({ requests, keys }) => `${percent(requests)} / ${percent(keys)}`),
      ]),
    ),
  )
}

export function deferralFigure({ deferral }: Report): string {
  const waiting = deferral.filter(({ delaySeconds }) => delaySeconds.longest > 0)
  const of = (name: string, value: (point: (typeof deferral)[number]) => number) => ({
    name,
    points: waiting.map((point) => [point.capacity, value(point)] as const),
  })
  const lines = [
    of('half within', ({ delaySeconds }) => delaySeconds.p50),
    of('99% within', ({ delaySeconds }) => delaySeconds.p99),
    of('longest', ({ delaySeconds }) => delaySeconds.longest),
  ]
  return figure(
    waiting.length === 0
      ? '<p>Nothing would wait at any of these capacities.</p>'
      : chartOf({
          description:
            'How long requests wait in line, by capacity: half of those that wait, 99 of 100, and the longest.',
          x: axisOf(
            'capacity',
            waiting.map(({ capacity }) => capacity),
            costs,
          ),
          y: axisOf(
            'delay',
            lines.flatMap(({ points }) => points.map(([, y]) => y)),
            seconds,
            timeTicks,
          ),
          lines,
        }),
    'If what does not fit waits for its tokens, in a line for each key, at the recommended refill. Delays are of those that wait.',
    tableOf(
      ['capacity', 'wait', 'half within', '99% within', 'longest', 'deepest line'],
      deferral.map(({ capacity, waiting: share, delaySeconds, depth }) => [
        costs(capacity),
        percent(share),
        ...[delaySeconds.p50, delaySeconds.p99, delaySeconds.longest].map(seconds),
        costs(depth),
      ]),
    ),
  )
}

export function curveFigure({ curve, at, recommendation }: Report): string {
  const bends = curve.slice(1).map(({ ratePerSecond }) => ratePerSecond)
  const from = Math.min(recommendation.ratePerSecond, bends[0] ?? recommendation.ratePerSecond) / 2
  const to = Math.max(recommendation.ratePerSecond, bends.at(-1) ?? 0) * 2
  const rates = Array.from({ length: drawn }, (_, index) => from * (to / from) ** (index / (drawn - 1)))
  const points = rates.map((rate) => [rate, heightAt(curve, rate)] as const)
  const shown = curve.slice(0, mostVertices)
  return figure(
    chartOf({
      description:
        'For each refill the smallest capacity that refuses nothing to this key; it falls and is convex.',
      x: axisOf('refill', rates, rateLabel, rateTicks),
      y: axisOf(
        'capacity',
        points.map(([, y]) => y),
        costs,
      ),
      lines: [{ name: 'smallest capacity', points }],
      marks: at
        .filter(({ ratePerSecond }) => ratePerSecond >= from && ratePerSecond <= to)
        .map((point) => ({
          name: costs(point.capacity),
          at: [point.ratePerSecond, point.capacity] as const,
        })),
    }),
    'Exact: below the curve at least one of the recorded requests would have been refused, on it none.',
    tableOf(
      ['refill a second', 'capacity'],
      [...at, ...shown].map(({ ratePerSecond, capacity }) => [costs(ratePerSecond), costs(capacity)]),
    ) +
      (shown.length < curve.length
        ? `<p class="dim">${curve.length - shown.length} more vertices with --json.</p>`
        : ''),
  )
}

/** Straight between two vertices, level after the last. */
function heightAt(curve: readonly CurvePoint[], rate: number): number {
  const next = curve.findIndex(({ ratePerSecond }) => ratePerSecond > rate)
  const after = curve[next]
  const before = curve[next - 1]
  if (!after || !before) return curve.at(-1)!.capacity
  const share = (rate - before.ratePerSecond) / (after.ratePerSecond - before.ratePerSecond)
  return before.capacity + share * (after.capacity - before.capacity)
}

function figure(picture: string, caption: string, table: string): string {
  return `<figure>\n${picture}\n<figcaption>${escaped(caption)}</figcaption>\n<details><summary>The figures as a table</summary>\n${table}\n</details></figure>`
}
