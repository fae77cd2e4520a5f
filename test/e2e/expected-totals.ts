// The totals of the shop computed from the CSV alone: no backbone, and no code of the shop, so that both must be right to agree.
import { readFileSync } from 'node:fs'

export interface ExpectedTotals {
  invoices: number
  orders: number
  cancellations: number
  lines: number
  rejectedLines: Record<string, number>
  revenueByCountry: Record<string, number>
  stock: Record<string, number>
  shipped: { parcels: number; pieces: number }
  calledOff: number
  events: Record<string, number>
  handled: Record<string, number>
  deadLetters: number
  books: { entries: number; balance: number }
}

interface Line {
  readonly number: string
  readonly code: string
  readonly quantity: number
  readonly price: number
  readonly customer: number
  readonly country: string
}

/** For files whose rows are whole: every row has its eight fields. */
export function expectedTotals(file: string): ExpectedTotals {
  const [, ...rows] = cells(readFileSync(file, 'utf8'))
  const lines = rows.map(lineOf)
  const rejectedLines = Object.fromEntries(
    [...Map.groupBy(lines, reasonAgainst)].flatMap(([reason, { length }]) =>
      reason ? [[reason, length]] : [],
    ),
  )
  const sold = lines.filter((line) => !reasonAgainst(line))
  const bought = sold.filter(({ quantity }) => quantity > 0)
  const invoices = numbersOf(lines)
  const orders = numbersOf(bought)
  const cancellations = numbersOf(sold) - orders
  const goods = bought.filter(isGoods)
  const revenueByCountry = perGroup(
    sold,
    ({ country }) => country,
    (of) => pence(of) / 100,
  )
  return {
    invoices,
    orders,
    cancellations,
    lines: lines.length,
    rejectedLines,
    revenueByCountry,
    stock: {
      reserved: pieces(goods),
      bought: shortages(goods),
      returned: 0 - pieces(sold.filter(({ quantity }) => quantity < 0).filter(isGoods)),
      found: pieces(lines.filter(({ price, quantity }) => price === 0 && quantity > 0)),
      lost: 0 - pieces(lines.filter(({ price, quantity }) => price === 0 && quantity < 0)),
    },
    shipped: { parcels: numbersOf(goods), pieces: pieces(goods) },
    calledOff: [...byNumber(bought).values()].filter((of) => pence(of) >= 200_00).length,
    events: {
      'orders.placed': orders,
      'orders.cancelled': cancellations,
      'payments.charged': orders,
      'payments.refunded': cancellations,
      'inventory.reserved': orders,
      'delivery.orderShipped': numbersOf(goods),
    },
    handled: {
      'orders.intake': invoices,
      'notifications.receipt': orders + cancellations,
      'notifications.push': numbersOf(goods.filter(hasPhone)),
      'pictures.thumbnail': new Set(goods.map(({ code }) => code.slice(0, 3))).size,
    },
    deadLetters: 0,
    books: { entries: orders + cancellations, balance: pence(sold) },
  }
}

function lineOf([
  number = '',
  code = '',
  ,
  quantity,
  ,
  price,
  customer,
  country = '',
]: readonly string[]): Line {
  return {
    number,
    code,
    quantity: Number(quantity),
    price: Number(price),
    customer: Number(customer),
    country,
  }
}

function reasonAgainst({ number, quantity, price }: Line): string | undefined {
  if (/^[^C\d]/.test(number)) return 'adjustment'
  if (Math.sign(quantity) !== (number[0] === 'C' ? -1 : 1)) return 'quantity'
  return price > 0 ? undefined : 'no-price'
}

function isGoods({ code }: Line): boolean {
  return /^[0-9]{5}/.test(code)
}

/** One customer in seven has the app; the phones of every tenth are gone. Guests have the number 0. */
function hasPhone({ customer }: Line): boolean {
  return customer !== 0 && customer % 7 === 0 && customer % 10 !== 7
}

/** 48 pieces of every product are there; what is wanted beyond that has to be bought, whoever comes first. */
function shortages(goods: readonly Line[]): number {
  const short = perGroup(
    goods,
    ({ code }) => code,
    (of) => Math.max(0, pieces(of) - 48),
  )
  return Object.values(short).reduce((sum, count) => sum + count, 0)
}

/** The one price finer than a penny is 0.001 for one piece: rounding the sum equals rounding the line. */
function pence(lines: readonly Line[]): number {
  const thousandths = lines.reduce((sum, { quantity, price }) => sum + quantity * Math.round(price * 1000), 0)
  return Math.round(thousandths / 10)
}

function pieces(lines: readonly Line[]): number {
  return lines.reduce((sum, { quantity }) => sum + quantity, 0)
}

function byNumber(lines: readonly Line[]): Map<string, Line[]> {
  return Map.groupBy(lines, ({ number }) => number)
}

function numbersOf(lines: readonly Line[]): number {
  return byNumber(lines).size
}

function perGroup(
  lines: readonly Line[],
  key: (line: Line) => string,
  value: (of: readonly Line[]) => number,
): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(lines, key)].map(([name, of]) => [name, value(of)]))
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
