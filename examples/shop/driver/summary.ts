// The end of a run in words.
import { pounds } from '../money.ts'
import type { Totals } from './totals.ts'

export interface Summary extends Totals {
  readonly invoices: number
  readonly lines: number
  readonly seconds: number
}

const countries = 10

export function summaryText(summary: Summary): string {
  const { invoices, lines, orders, cancellations, rejectedLines, events, handled, deadLetters } = summary
  const rejected = Object.values(rejectedLines).reduce((sum, count) => sum + count, 0)
  const revenue = Object.entries(summary.revenueByCountry)
  const total = revenue.reduce((sum, [, amount]) => sum + Math.round(amount * 100), 0)
  const rest = revenue.slice(countries)
  return [
    `${number(invoices)} invoices with ${number(lines)} lines in ${summary.seconds} s`,
    '',
    `  orders         ${number(orders)}, cancellations ${number(cancellations)}`,
    `  rejected lines ${number(rejected)}: ${list(rejectedLines)}`,
    `  events         ${list(events)}`,
    `  handled        ${list(handled)}`,
    `  dead letters   ${number(deadLetters)}`,
    `  revenue        ${pounds(total)}`,
    ...revenue.slice(0, countries).map(([country, amount]) => row(country, amount)),
    ...(rest.length > 0
      ? [
          row(
            `${rest.length} more`,
            rest.reduce((sum, [, amount]) => sum + amount, 0),
          ),
        ]
      : []),
    '',
  ].join('\n')
}

/** What does not add up, if anything: every sale must have ended in a receipt, or be accounted for by a dead letter. */
export function imbalance({ orders, cancellations, handled, deadLetters }: Summary): string | undefined {
  const sales = orders + cancellations
  const receipts = handled['notifications.receipt'] ?? 0
  if (sales === receipts || deadLetters > 0) return undefined
  return `The books do not balance: ${sales} orders and cancellations, but ${receipts} receipts.`
}

function row(country: string, amount: number): string {
  return `    ${country.padEnd(20)} ${pounds(Math.round(amount * 100)).padStart(14)}`
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${number(count)} ${name}`)
    .join(', ')
}

function number(value: number): string {
  return value.toLocaleString('en-GB')
}
