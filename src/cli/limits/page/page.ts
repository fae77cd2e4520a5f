// The report as one page of HTML that needs nothing else: no network, no script.
import { rulesFile } from '../../../limit/tune/advice/rules.ts'
import type { Report } from '../../../limit/tune/report.ts'
import { visible } from '../../output/text.ts'
import { costs, moment, seconds } from '../numbers.ts'
import { adviceLines, headline } from '../print-advice.ts'
import { factLines } from '../print-facts.ts'
import {
  separationColumns,
  separationTitle,
  serviceColumns,
  serviceRows,
  serviceTitle,
  type TableColumn,
} from '../service-tables.ts'
import { curveFigure, deferralFigure, populationFigure, refusedFigure } from './figures.ts'
import { style } from './style.ts'
import { escaped, tableOf } from './text.ts'

export function pageOf(report: Report): string {
  const { doubts, rule, key, busiest, logs } = report
  const title = visible(`Token buckets for ${logs.join(', ')}`)
  const paragraphs = (lines: readonly string[], name = '') =>
    lines.map((line) => `<p${name && ` class="${name}"`}>${escaped(visible(line))}</p>`).join('\n')
  const [facts = '', ...odd] = factLines(report)
  const of = key === 'global' ? 'all traffic together' : `the busiest key, ${visible(busiest.key)}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
${paragraphs([facts])}
${paragraphs(odd, 'dim')}
</header>
<main>
<section class="answer"><p><strong>${escaped(headline(report))}</strong></p>
${paragraphs(adviceLines(report))}
${paragraphs(
  doubts.map(({ text }) => `! ${text}`),
  'doubt',
)}
</section>
<pre><code># in shadow mode: it counts what it would refuse, and refuses nothing
${escaped(rulesFile(rule))}</code></pre>
${report.keys > 1 ? section('Capacity with which so many keys are never refused', populationFigure(report)) : ''}
${section('What would be refused', refusedFigure(report))}
${section(serviceTitle, rowsOf(serviceColumns, serviceRows(report)))}
${report.separation === null ? '' : section(separationTitle(report.separation), rowsOf(separationColumns, report.separation.points))}
${section(key === 'global' ? 'The interval that forces it' : 'The keys that need most', forcing(report))}
${section('If requests wait instead', deferralFigure(report))}
${section(`The smallest bucket that refuses nothing to ${of}`, curveFigure(report))}
</main>
</body>
</html>
`
}

function rowsOf<Row>(columns: readonly TableColumn<Row>[], rows: readonly Row[]): string {
  return tableOf(
    columns.map(([name]) => name),
    rows.map((row) => columns.map(([, value]) => value(row))),
  )
}

function section(title: string, content: string): string {
  return `<section><h2>${escaped(title)}</h2>\n${content}\n</section>`
}

function forcing({ forcedBy, key }: Report): string {
  const hint = key === 'global' ? '' : '<p class="dim">--without KEY solves again without one.</p>'
  return (
    tableOf(
      ['key', '', 'needs', 'requests', 'from', 'for', 'cost within'],
      forcedBy.map((each) => [
        visible(each.key),
        each.served ? '' : 'would be refused',
        costs(each.capacity),
        costs(each.requests),
        moment(each.from, true),
        seconds((Date.parse(each.to) - Date.parse(each.from)) / 1_000),
        costs(each.costWithin),
      ]),
      2,
    ) + hint
  )
}
