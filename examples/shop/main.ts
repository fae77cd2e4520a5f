// npm start: the shop on real orders. Sends every invoice of the file, waits until all of it is handled, says what became of it.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type InvoiceFile, readInvoices } from './driver/invoices.ts'
import { help, type Options, readOptions } from './driver/options.ts'
import { openPostOffice } from './driver/post-office.ts'
import { progressLine, silent } from './driver/progress-line.ts'
import { sendInvoices } from './driver/send.ts'
import { imbalance, summaryText } from './driver/summary.ts'
import { progress, totals } from './driver/totals.ts'
import { orders } from './orders/contract.ts'
import { rebuildRevenue, revenueEntries } from './orders/revenue.ts'
import { type Shop, shop } from './shop.ts'
import { type Report, type Running, run } from './spillway.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)
const note = (text: string) => void process.stderr.write(`${text}\n`)

async function main(options: Options): Promise<void> {
  if (options.help) return say(help)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  process.stdout.on('error', () => stopping.abort()) // nobody reads any more: `npm start | head`

  const file = await readInvoices(options.file)
  const office = await openPostOffice()
  const folder = options.data ?? (await mkdtemp(join(tmpdir(), 'spillway-shop-')))
  const { engine, streams } = options
  const business = shop({ folder, smtpUrl: office.url, engine, streams })
  try {
    const running = await run(business.topology, { onReport })
    await serve(running, business, file, options, stopping.signal).finally(() => running.stop())
  } finally {
    await office.close()
    if (options.data === undefined) await rm(folder, { recursive: true })
  }
}

async function serve(
  running: Running,
  business: Shop,
  file: InvoiceFile,
  options: Options,
  stopping: AbortSignal,
): Promise<void> {
  const line = options.json ? silent : progressLine(process.stdout)
  const { invoices } = file
  const startedAt = performance.now()
  if (!options.json)
    for (const { name, durability } of running.engines) say(`engine ${name}: ${durability.statement}`)
  const show = (sent: number) => {
    const { takenIn, mailed } = progress(running, business)
    line.show(`invoices: ${sent} of ${invoices.length} sent, ${takenIn} taken in; receipts mailed: ${mailed}`)
  }
  await sendInvoices(running.queue(orders.queues.intake), invoices, { signal: stopping, onProgress: show })
  const showing = setInterval(() => show(invoices.length), 50)
  try {
    await running.drained({ signal: stopping })
  } catch (thrown) {
    if (!stopping.aborted) throw thrown
    const what = 'Stopped before everything was handled.'
    return options.once ? fail(what) : note(what)
  } finally {
    clearInterval(showing)
    line.end()
  }
  const seconds = Math.round(performance.now() - startedAt) / 1000

  if (options.rebuild) await rebuild(running, business)
  const { numbers, lines } = file
  const { orders: placed, cancellations, ...rest } = await totals(running, business)
  const summary = { invoices: numbers, orders: placed, cancellations, lines, ...rest, seconds }
  say(options.json ? JSON.stringify(summary) : summaryText(summary))
  const wrong = imbalance(summary)
  if (wrong) fail(wrong)
  if (options.once) return
  note('The shop stays open; Ctrl-C closes it.')
  await once(stopping, 'abort')
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
