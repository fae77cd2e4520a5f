// Which rows of an invoice are a sale, and why the others are none.
import { penceOf } from '../money.ts'
import type { Invoice, Order, Row } from './contract.ts'

export type Reason =
  /** A field that a sale needs is empty, or its column is missing. */
  | 'incomplete'
  /** A number, a date or the invoice number cannot be read. */
  | 'unreadable'
  /** The invoice corrects the books (its number begins with a letter other than C). */
  | 'adjustment'
  /** Not positive in an order, or not negative in a cancellation: stock was written off or found. */
  | 'quantity'
  /** Nobody paid for it. */
  | 'no-price'

export interface Assessment {
  readonly kind: 'order' | 'cancellation'
  /** Undefined when no row was a sale. */
  readonly order: Order | undefined
  readonly rejected: readonly { readonly row: number; readonly reason: Reason }[]
}

const invoiceNumber = /^[A-Z]?\d{1,12}$/
const wholeNumber = /^-?\d{1,7}$/
const price = /^-?\d{1,7}(\.\d{1,6})?$/
const dateTime = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?$/
const customerId = /^(\d{1,12})(\.0)?$/

export function assess({ number, rows }: Invoice): Assessment {
  const kind = number.startsWith('C') ? 'cancellation' : 'order'
  const rejected: { row: number; reason: Reason }[] = []
  const sold: Row[] = []
  rows.forEach((row, index) => {
    const reason = reasonAgainst(number, row)
    if (reason) rejected.push({ row: index, reason })
    else sold.push(row)
  })
  return { kind, order: orderOf(number, sold), rejected }
}

function reasonAgainst(number: string, row: Row): Reason | undefined {
  const { stockCode, quantity, date, unitPrice, customer, country } = row
  if ([number, stockCode, quantity, date, unitPrice, country].includes('')) return 'incomplete'
  if (!invoiceNumber.test(number) || !wholeNumber.test(quantity) || !price.test(unitPrice))
    return 'unreadable'
  if (!isDate(date) || (customer !== '' && !customerId.test(customer))) return 'unreadable'
  if (/^[ABD-Z]/.test(number)) return 'adjustment'
  if (number.startsWith('C') ? Number(quantity) >= 0 : Number(quantity) <= 0) return 'quantity'
  return Number(unitPrice) > 0 ? undefined : 'no-price'
}

function orderOf(invoice: string, sold: readonly Row[]): Order | undefined {
  const [first] = sold
  if (!first) return undefined
  const lines = sold.map(({ stockCode, description, quantity, unitPrice }) => ({
    stockCode,
    description,
    quantity: Number(quantity),
    pence: penceOf(Number(quantity), unitPrice),
  }))
  return {
    invoice,
    customer: customerOf(first.customer),
    country: first.country,
    date: first.date.replace(' ', 'T'),
    lines,
    pence: lines.reduce((sum, line) => sum + line.pence, 0),
  }
}

/** The file writes customers as '17850.0'; guests are '0.0', or nothing. */
function customerOf(text: string): string | null {
  const id = customerId.exec(text)?.[1] ?? '0'
  return Number(id) === 0 ? null : id
}

function isDate(text: string): boolean {
  return dateTime.test(text) && !Number.isNaN(Date.parse(text.replace(' ', 'T')))
}
