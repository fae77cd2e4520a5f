// Lines over two axes, as SVG in the page: colours by the page's style, so that they suit light and dark.
import { type Axis, along } from './axis.ts'
import { escaped } from './text.ts'

export interface Line {
  readonly name: string
  /** By x, rising. */
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Mark {
  readonly name: string
  readonly at: readonly [x: number, y: number]
}

export interface Chart {
  /** What is to be seen, for who does not see it. */
  readonly description: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
  readonly marks?: readonly Mark[]
}

const size = { width: 760, height: 380 }
const inner = { left: 78, right: 16, top: 12, bottom: 48 }

export function chartOf({ description, x, y, lines, marks = [] }: Chart): string {
  const wide = size.width - inner.left - inner.right
  const high = size.height - inner.top - inner.bottom
  const atX = (value: number) => round(inner.left + along(x, value) * wide)
  const atY = (value: number) => round(inner.top + (1 - along(y, value)) * high)
  const [right, bottom] = [size.width - inner.right, size.height - inner.bottom]
  const drawn = [
    ...x.ticks.flatMap(({ at, label }) => [
      `<path class="grid" d="M${atX(at)} ${inner.top}V${bottom}"/>`,
      `<text x="${atX(at)}" y="${bottom + 18}" text-anchor="middle">${escaped(label)}</text>`,
    ]),
    ...y.ticks.flatMap(({ at, label }) => [
      `<path class="grid" d="M${inner.left} ${atY(at)}H${right}"/>`,
      `<text x="${inner.left - 8}" y="${atY(at) + 4}" text-anchor="end">${escaped(label)}</text>`,
    ]),
    `<path class="axis" d="M${inner.left} ${inner.top}V${bottom}H${right}"/>`,
    `<text class="title" x="${(inner.left + right) / 2}" y="${size.height - 8}" text-anchor="middle">${escaped(x.title)}</text>`,
    `<text class="title" x="14" y="${(inner.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(inner.top + bottom) / 2})">${escaped(y.title)}</text>`,
    ...lines.map(({ name, points }, index) => {
      const path = points.map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${atX(px)} ${atY(py)}`).join('')
      return `<path class="line l${index}" d="${path}"><title>${escaped(name)}</title></path>`
    }),
    ...marks.map(({ name, at: [px, py] }, index) => {
      // Within the picture on both sides.
      const left = atX(px) > size.width / 2
      return `<g class="mark m${index}"><circle cx="${atX(px)}" cy="${atY(py)}" r="5"/><text x="${atX(px) + (left ? -10 : 10)}" y="${atY(py) - 8}" text-anchor="${left ? 'end' : 'start'}">${escaped(name)}</text></g>`
    }),
  ]
  return [
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(description)}">`,
    ...drawn,
    '</svg>',
    lines.length > 1 ? legendOf(lines) : '',
  ].join('\n')
}

function legendOf(lines: readonly Line[]): string {
  const items = lines.map(
    ({ name }, index) =>
      `<li><svg viewBox="0 0 28 8" aria-hidden="true"><path class="line l${index}" d="M0 4H28"/></svg>${escaped(name)}</li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
