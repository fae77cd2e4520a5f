// The end of a run in words: what flowed through the shop, and what it came to.
import type { Books } from '../accounting/bookkeeper.ts'
import { pounds } from '../money.ts'
import type { Mended } from './operator.ts'
import type { Tills } from './till.ts'
import type { Totals } from './totals.ts'
import type { AtTheDoor } from './web-customers.ts'

export interface Summary extends Totals {
  readonly invoices: number
  readonly lines: number
  readonly books: Books
  readonly seconds: number
}

/** What happened on the way: in every run something else, and the totals are the same. */
export interface Happened {
  readonly mended: Mended
  readonly told: Tills['told']
  readonly atTheDoor: AtTheDoor
}

const countries = 10

export function summaryText(summary: Summary, { mended, told, atTheDoor }: Happened): string {
  const { invoices, lines, rejectedLines, stock, books } = summary
  const rejected = Object.values(rejectedLines).reduce((sum, count) => sum + count, 0)
  return [
    `${number(invoices)} invoices with ${number(lines)} lines in ${summary.seconds} s`,
    '',
    ...flow(summary),
    '',
    `  rejected lines ${number(rejected)}: ${list(rejectedLines)}`,
    `  stock          ${number(stock.found)} pieces found, ${number(stock.lost)} lost, as the clerks booked it`,
    ...doorRows(atTheDoor),
    `  at the tills   ${number(told.there)} large orders that were there, ${number(told.toComeIn)} that had to come in`,
    `  mended by hand ${number(mended.addressed)} addresses found, ${number(mended.redriven)} pushes sent again`,
    `  dead letters   ${number(summary.deadLetters)}`,
    `  books          ${number(books.entries)} entries, balance ${pounds(books.balance)}`,
    `  revenue        ${pounds(pence(Object.values(summary.revenueByCountry)))}`,
    ...revenueRows(summary),
    '',
  ].join('\n')
}

function doorRows({ atOnce, later, refused, sentAgain }: AtTheDoor): string[] {
  return [
    `  at the door    ${number(atOnce)} web orders let in at once, ${number(later)} put off by a limit and done later`,
    `                 ${number(refused)} times somebody was told to come again later, ${number(sentAgain)} orders were sent again`,
    '                 every order is in the books as without limits',
  ]
}

/** The business topology, with what went through it. */
function flow({ invoices, events, handled, stock, shipped, calledOff }: Summary): string[] {
  const n = (count: number | undefined) => number(count ?? 0)
  return [
    `  ${n(invoices)} invoices`,
    '   └▶ orders            ' +
      `${n(events['orders.placed'])} placed, ${n(events['orders.cancelled'])} cancelled`,
    '       ├▶ payments      ' +
      `${n(events['payments.charged'])} charged, ${n(events['payments.refunded'])} refunded`,
    '       │   ├▶ receipts  ' +
      `${n(handled['notifications.receipt'])} mailed; ${n(calledOff)} reminders called off`,
    '       ├▶ inventory     ' +
      `${n(stock.reserved)} pieces set aside, ${n(stock.bought)} of them bought, ${n(stock.returned)} came back`,
    `       │   └▶ delivery  ${n(shipped.parcels)} parcels, once they were paid too`,
    `       │       └▶ push  ${n(handled['notifications.push'])} phones told`,
    `       └▶ pictures      ${n(handled['pictures.thumbnail'])} thumbnails drawn`,
  ]
}

/** What does not add up, if anything: every sale must have ended in a receipt and in the books, or be accounted for by a dead letter. */
export function imbalance({
  orders,
  cancellations,
  handled,
  books,
  deadLetters,
}: Summary): string | undefined {
  const sales = orders + cancellations
  const receipts = handled['notifications.receipt'] ?? 0
  if ((sales === receipts && sales === books.entries) || deadLetters > 0) return undefined
  return `The books do not balance: ${sales} orders and cancellations, but ${receipts} receipts and ${books.entries} entries.`
}

function revenueRows({ revenueByCountry }: Summary): string[] {
  const revenue = Object.entries(revenueByCountry)
  const rest = revenue.slice(countries)
  const rows = revenue.slice(0, countries)
  if (rest.length > 0) rows.push([`${rest.length} more`, pence(rest.map(([, amount]) => amount)) / 100])
  return rows.map(([country, amount]) => `    ${country.padEnd(20)} ${pounds(pence([amount])).padStart(14)}`)
}

function pence(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + Math.round(amount * 100), 0)
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${number(count)} ${name}`)
    .join(', ')
}

function number(value: number): string {
  return value.toLocaleString('en-GB')
}
