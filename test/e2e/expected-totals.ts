// The totals of the shop computed from the CSV alone: no backbone, and no code of the shop, so that both must be right to agree.
import { readFileSync } from 'node:fs'

export interface ExpectedTotals {
  invoices: number
  orders: number
  cancellations: number
  lines: number
  rejectedLines: Record<string, number>
  revenueByCountry: Record<string, number>
  events: Record<string, number>
  handled: Record<string, number>
  deadLetters: number
}

/** For files whose rows are whole: every row has its eight fields. */
export function expectedTotals(file: string): ExpectedTotals {
  const [, ...rows] = cells(readFileSync(file, 'utf8'))
  const seen = new Set<string>()
  const sold = new Set<string>()
  const rejectedLines: Record<string, number> = {}
  const thousandths: Record<string, number> = {}
  for (const [number = '', , , quantity, , price, , country = ''] of rows) {
    seen.add(number)
    const sign = number[0] === 'C' ? -1 : 1
    const reason = /^[^C\d]/.test(number)
      ? 'adjustment'
      : Math.sign(Number(quantity)) !== sign
        ? 'quantity'
        : !(Number(price) > 0)
          ? 'no-price'
          : undefined
    if (reason) {
      rejectedLines[reason] = (rejectedLines[reason] ?? 0) + 1
      continue
    }
    sold.add(number)
    thousandths[country] = (thousandths[country] ?? 0) + Number(quantity) * Math.round(Number(price) * 1000)
  }
  const cancellations = [...sold].filter((number) => number.startsWith('C')).length
  const orders = sold.size - cancellations
  return {
    invoices: seen.size,
    orders,
    cancellations,
    lines: rows.length,
    rejectedLines,
    // The one price finer than a penny is 0.001 for one piece: rounding the sum equals rounding the line.
    revenueByCountry: Object.fromEntries(
      Object.entries(thousandths).map(([country, sum]) => [country, Math.round(sum / 10) / 100]),
    ),
    events: {
      'orders.placed': orders,
      'orders.cancelled': cancellations,
      'payments.charged': orders,
      'payments.refunded': cancellations,
    },
    handled: { 'orders.intake': seen.size, 'notifications.receipt': sold.size },
    deadLetters: 0,
  }
}

/** RFC 4180, character by character. */
function cells(text: string): string[][] {
  const rows: string[][] = []
  const row: string[] = []
  let cell = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (quoted && char === '"' && text[i + 1] === '"') cell += text[++i]
    else if (char === '"') quoted = !quoted
    else if (!quoted && (char === ',' || char === '\n')) {
      row.push(cell)
      cell = ''
      if (char === '\n') rows.push(row.splice(0))
    } else cell += char
  }
  return rows
}
