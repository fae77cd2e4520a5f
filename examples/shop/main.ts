// npm start: the shop on real orders. Sends every invoice of the file, waits until all of it is handled, says what became of it.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { keepBooks } from './accounting/bookkeeper.ts'
import { accounting } from './accounting/contract.ts'
import { type Door, openDoor } from './door/door.ts'
import { bookCorrections } from './driver/clerks.ts'
import { type InvoiceFile, readInvoices } from './driver/invoices.ts'
import { mend } from './driver/operator.ts'
import { help, type Options, readOptions } from './driver/options.ts'
import { phoneOf } from './driver/phones.ts'
import { openPostOffice } from './driver/post-office.ts'
import { progressLine, silent } from './driver/progress-line.ts'
import { openPushService, type PushService } from './driver/push-service.ts'
import { isFromWeb, sendInvoices } from './driver/send.ts'
import { imbalance, summaryText } from './driver/summary.ts'
import { tills } from './driver/till.ts'
import { progress, totals } from './driver/totals.ts'
import { accountsOf, webCustomers } from './driver/web-customers.ts'
import { notAsHandedIn } from './orders/as-handed-in.ts'
import { orders } from './orders/contract.ts'
import { rebuildRevenue, revenueEntries } from './orders/revenue.ts'
import { type Shop, shop } from './shop.ts'
import { open, type Report, type Running, run } from './spillway.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)
const note = (text: string) => void process.stderr.write(`${text}\n`)

async function main(options: Options): Promise<void> {
  if (options.help) return say(help)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  process.stdout.on('error', () => stopping.abort()) // nobody reads any more: `npm start | head`

  const file = await readInvoices(options.file)
  const office = await openPostOffice()
  const pushService = await openPushService()
  const folder = options.data ?? (await mkdtemp(join(tmpdir(), 'spillway-shop-')))
  const { engine, streams } = options
  const business = shop({
    folder,
    smtpUrl: office.url,
    phoneOf: (customer) => phoneOf(customer, pushService.url),
    engine,
    streams,
  })
  try {
    const running = await run(business.topology, { onReport })
    const day = { running, business, folder, file, pushService, options, stopping: stopping.signal }
    await serve(day).finally(() => running.stop())
  } finally {
    await Promise.all([office.close(), pushService.close()])
    if (options.data === undefined) await rm(folder, { recursive: true })
  }
}

interface Day {
  readonly running: Running
  readonly business: Shop
  readonly folder: string
  readonly file: InvoiceFile
  readonly pushService: PushService
  readonly options: Options
  readonly stopping: AbortSignal
}

async function serve(day: Day): Promise<void> {
  const { running, business, folder, file, options, stopping } = day
  const startedAt = performance.now()
  await using door = await openDoor({
    folder,
    spillway: await open(running.engines[0]!),
    asking: running.service(business.checkout),
    accounts: accountsOf(file.invoices.filter(isFromWeb)),
    onReport,
  })
  if (!options.json)
    for (const { name, durability } of running.engines) say(`engine ${name}: ${durability.statement}`)
  const evening = await work(day, door)
  if (!evening) {
    const what = 'Stopped before everything was handled.'
    return options.once ? fail(what) : note(what)
  }
  const seconds = Math.round(performance.now() - startedAt) / 1000

  if (options.rebuild) await rebuild(running, business)
  const { numbers, lines } = file
  const { orders: placed, cancellations, ...rest } = await totals(running, business)
  const { books, ...happened } = evening
  const summary = { invoices: numbers, orders: placed, cancellations, lines, ...rest, books, seconds }
  say(options.json ? JSON.stringify(summary) : summaryText(summary, happened))
  const wrong = imbalance(summary) ?? otherwise(running, business, file.invoices)
  if (wrong) fail(wrong)
  if (options.once) return
  note(`The shop stays open, its door is ${door.url}/orders; Ctrl-C closes it.`)
  await once(stopping, 'abort')
}

/** One day: invoices come in, clerks correct the stock, a person mends what is stuck, the books are kept. Undefined when it is cut short. */
async function work(day: Day, door: Door) {
  const { running, business, folder, file, pushService, options, stopping } = day
  const line = options.json ? silent : progressLine(process.stdout)
  const { invoices } = file
  const show = (sent: number) => {
    const { takenIn, mailed, shipped } = progress(running, business)
    line.show(
      `invoices: ${sent} of ${invoices.length} sent, ${takenIn} taken in; receipts mailed: ${mailed}; parcels: ${shipped}`,
    )
  }
  const correcting = bookCorrections(await open(running.engines[0]!), invoices, stopping)
  correcting.catch(() => {}) // it is waited for below
  const asking = running.service(business.checkout)
  const counter = tills(asking, running.queue(orders.queues.intake))
  const web = webCustomers(door.url, stopping)
  await sendInvoices({ till: counter.handIn, web: web.handIn }, invoices, {
    signal: stopping,
    onProgress: show,
  })
  const showing = setInterval(() => show(invoices.length), 50)
  try {
    await correcting
    const atTheDoor = await web.done()
    await running.drained({ signal: stopping })
    const mended = await mend(running, business, pushService, stopping)
    const books = await keepBooks(running.queue(accounting.queues.entries), folder, stopping)
    return stopping.aborted ? undefined : { mended, books, told: counter.told, atTheDoor }
  } catch (thrown) {
    if (!stopping.aborted) throw thrown
    return undefined
  } finally {
    clearInterval(showing)
    line.end()
  }
}

/** Limits change when an order is taken, and nothing else: each is there as it would be without them. */
function otherwise(running: Running, business: Shop, invoices: InvoiceFile['invoices']): string | undefined {
  const wrong = notAsHandedIn(running.service(business.orders).database!.db, invoices)
  if (wrong.length === 0) return undefined
  return `${wrong.length} invoices are not in the books as they were handed in: ${wrong.slice(0, 10).join(', ')}`
}

function onReport({ from, error }: Report): void {
  note(`${from}: ${error.message}`)
}

async function rebuild(running: Running, business: Shop): Promise<void> {
  const { db } = running.service(business.orders).database!
  const before = revenueEntries(db)
  const events = await rebuildRevenue(running, business.orders)
  const equal = isDeepStrictEqual(before, revenueEntries(db))
  const rebuilt = `The view of the revenue was rebuilt from ${events} events:`
  if (equal) note(`${rebuilt} equal.`)
  else fail(`${rebuilt} NOT equal.`)
}

function fail(text: string): void {
  note(text)
  process.exitCode = 1
}

try {
  await main(readOptions())
} catch (thrown) {
  // What has a code was foreseen: a wrong option, a missing file, an engine that cannot be reached.
  if (!(thrown instanceof Error && 'code' in thrown)) throw thrown
  fail(thrown.message)
}
