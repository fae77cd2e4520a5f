// Tables for people: columns as wide as what is in them, one of them cut so that a line fits the terminal.
import { cut, padEnd, padStart, visible, widthOf } from './text.ts'

export interface Column<Row> {
  readonly title: string
  value(row: Row): string
  /** Numbers stand to the right. */
  readonly right?: boolean
  /** Gets what the others leave of the line. One column at most. */
  readonly rest?: boolean
}

const gap = 2
/** What the rest gets however narrow the terminal is. */
const leastRest = 12

/** The lines, the titles first. Without a width nothing is cut. Columns that are empty in every row are left out. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width?: number): string[] {
  const all = columns.map((column) => ({ column, cells: rows.map((row) => visible(column.value(row))) }))
  const shown = all.filter(({ cells }) => rows.length === 0 || cells.some((cell) => cell !== ''))
  const widths = shown.map(({ column, cells }) => Math.max(widthOf(column.title), ...cells.map(widthOf)))
  const rest = shown.findIndex(({ column }) => column.rest)
  const total = widths.reduce((sum, each) => sum + each + gap, -gap)
  if (width !== undefined && rest >= 0 && total > width)
    widths[rest] = Math.max(leastRest, widths[rest]! - (total - width))
  const line = (cellOf: (index: number) => string) =>
    shown
      .map(({ column }, index) => {
        const cell = cut(cellOf(index), widths[index]!)
        return column.right ? padStart(cell, widths[index]!) : padEnd(cell, widths[index]!)
      })
      .join(' '.repeat(gap))
      .trimEnd()
  return [
    line((index) => shown[index]!.column.title),
    ...rows.map((_, row) => line((index) => shown[index]!.cells[row]!)),
  ]
}
