import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { type TuneOptions, tune } from '../../../limit/tune/tune.ts'
import { along, axisOf, rateLabel, rateTicks } from './axis.ts'
import { pageOf } from './page.ts'

const hostile = '<script>alert("1")</script>&amp;\u202e'

async function page(options: TuneOptions = {}, users = 40) {
  const lines = Array.from({ length: 400 }, (_, index) =>
    JSON.stringify({
      time: 1_764_000_000_000 + index * 1_001 - (index % 7) * 900,
      user: index % users === 0 ? hostile : `u${index % users}`,
      cost: index % users === 0 ? 9 : 1 + (index % 3),
    }),
  )
  const content = Buffer.from(lines.join('\n'))
  const source = { name: 'a<b>.jsonl', size: undefined, open: () => Readable.from([content]) }
  return pageOf(await tune([source], { key: 'user', ...options }))
}

/** Every tag that opens is closed, in order. */
function unbalanced(html: string): string[] {
  const open: string[] = []
  const wrong: string[] = []
  for (const [, slash, name = '', rest = ''] of html.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^>"])*)>/g,
  )) {
    if (['meta', 'path', 'circle'].includes(name) || rest.endsWith('/')) continue
    if (slash === '') open.push(name)
    else if (open.pop() !== name) wrong.push(name)
  }
  return [...wrong, ...open]
}

test('the page is whole, needs nothing from elsewhere, and shows keys as text', async () => {
  const html = await page({ at: [0.1, 2] })
  // The links between pictures and their style are the only ones; the log's name and keys are no markup.
  expect(html).not.toMatch(/<script|<link|<img|https?:|url\(|\son\w+=/)
  expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;\\u202e')
  // Nor does it turn the direction of what stands around it.
  expect(html).not.toContain('\u202e')
  expect(html).toContain('a&lt;b&gt;.jsonl')
  expect(html).toContain("default-src 'none'")
  expect(html).toContain('prefers-color-scheme:dark')
  expect(unbalanced(html)).toEqual([])
})

test('every picture has words and a table', async () => {
  const html = await page()
  const figures = html
    .split('<figure>')
    .slice(1)
    .map((each) => each.split('</figure>')[0]!)
  expect(figures.length).toBe(4)
  for (const figure of figures) {
    expect(figure).toMatch(/role="img" aria-label="[^"]{20,}"/)
    expect(figure).toMatch(/<figcaption>.{20,}<\/figcaption>/)
    expect(figure).toMatch(/<details>.*<tbody><tr>/s)
    expect(figure).not.toMatch(/NaN|Infinity|undefined/)
  }
})

test('all traffic together has no shares of keys; one instant alone is drawn too', async () => {
  const global = await page({ key: 'global' })
  expect(global.split('<figure>').length - 1).toBe(3)
  expect(global).not.toMatch(/NaN|Infinity/)
  const source = {
    name: 'one',
    size: undefined,
    open: () => Readable.from([Buffer.from('{"time":1,"user":"a"}')]),
  }
  const one = pageOf(await tune([source]))
  expect(one).not.toMatch(/NaN|Infinity/)
  expect(unbalanced(one)).toEqual([])
})

test('axes: what is tenfold is as far everywhere, and rates are named as people name them', () => {
  const axis = axisOf('refill', [1 / 86_400, 100], rateLabel, rateTicks)
  expect(axis.ticks.map(({ label }) => label)).toEqual([
    '1/day',
    '10/day',
    '1/h',
    '10/h',
    '1/min',
    '10/min',
    '1/s',
    '10/s',
    '100/s',
  ])
  expect(along(axis, 10) - along(axis, 1)).toBeCloseTo(along(axis, 0.1) - along(axis, 0.01), 12)
  expect([along(axis, 0), along(axis, 1e9)]).toEqual([0, 1])
  expect(axisOf('capacity', [], String).ticks.length).toBeGreaterThan(1)
  expect(axisOf('capacity', [5], String).ticks.length).toBeGreaterThan(1)
})
