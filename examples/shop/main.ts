// npm start: the shop on real orders. Sends every invoice of the file, waits until all of it is handled, says what became of it.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { keepBooks } from './accounting/bookkeeper.ts'
import { accounting } from './accounting/contract.ts'
import { bookCorrections } from './driver/clerks.ts'
import { type InvoiceFile, readInvoices } from './driver/invoices.ts'
import { mend } from './driver/operator.ts'
import { help, type Options, readOptions } from './driver/options.ts'
import { phoneOf } from './driver/phones.ts'
import { openPostOffice } from './driver/post-office.ts'
import { progressLine, silent } from './driver/progress-line.ts'
import { openPushService, type PushService } from './driver/push-service.ts'
import { sendInvoices } from './driver/send.ts'
import { imbalance, summaryText } from './driver/summary.ts'
import { tills } from './driver/till.ts'
import { progress, totals } from './driver/totals.ts'
import { webShop } from './driver/web-shop.ts'
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
  const { running, business, file, options, stopping } = day
  const startedAt = performance.now()
  if (!options.json)
    for (const { name, durability } of running.engines) say(`engine ${name}: ${durability.statement}`)
  const evening = await work(day)
  if (!evening) {
    const what = 'Stopped before everything was handled.'
    return options.once ? fail(what) : note(what)
  }
  const seconds = Math.round(performance.now() - startedAt) / 1000

  if (options.rebuild) await rebuild(running, business)
  const { numbers, lines } = file
  const { orders: placed, cancellations, ...rest } = await totals(running, business)
  const { books, mended, told } = evening
  const summary = { invoices: numbers, orders: placed, cancellations, lines, ...rest, books, seconds }
  say(options.json ? JSON.stringify(summary) : summaryText(summary, mended, told))
  const wrong = imbalance(summary)
  if (wrong) fail(wrong)
  if (options.once) return
  note('The shop stays open; Ctrl-C closes it.')
  await once(stopping, 'abort')
}

/** One day: invoices come in, clerks correct the stock, a person mends what is stuck, the books are kept. Undefined when it is cut short. */
async function work({ running, business, folder, file, pushService, options, stopping }: Day) {
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
  await sendInvoices({ till: counter.handIn, web: webShop(asking, stopping) }, invoices, {
    signal: stopping,
    onProgress: show,
  })
  const showing = setInterval(() => show(invoices.length), 50)
  try {
    await correcting
    await running.drained({ signal: stopping })
    const mended = await mend(running, business, pushService, stopping)
    const books = await keepBooks(running.queue(accounting.queues.entries), folder, stopping)
    return stopping.aborted ? undefined : { mended, books, told: counter.told }
  } catch (thrown) {
    if (!stopping.aborted) throw thrown
    return undefined
  } finally {
    clearInterval(showing)
    line.end()
  }
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
