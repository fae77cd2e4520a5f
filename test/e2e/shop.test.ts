// The shop reaches the totals that the CSV alone gives: on every engine, on one server twice, as one process and as many, and when killed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { progressLine } from '../../examples/shop/driver/progress-line.ts'
import { embeddedPostgres, kafka, nats, type RunningServer } from '../servers/index.ts'
import { expectedTotals } from './expected-totals.ts'
import { apart } from './shop-apart.ts'
import { onPostgres, onSqlite } from './shop-place.ts'
import { type Ended, killAll, startShop, startSpillway } from './shop-process.ts'

const sample = fileURLToPath(new URL('../../examples/shop/data/online_retail_sample.csv', import.meta.url))
const expected = expectedTotals(sample)
const minutes = 60_000

/** The beginning of the sample: what holds for all of it on SQLite is shown otherwise with less. */
const parts = mkdtempSync(join(tmpdir(), 'shop-parts-'))
afterAll(() => rmSync(parts, { recursive: true }))
const part = beginning(1_500)
const expectedOfPart = expectedTotals(part)
/** So many that a signal comes in the middle. */
const long = beginning(2_000)
const expectedOfLong = expectedTotals(long)

function beginning(rows: number): string {
  const file = join(parts, `${rows}.csv`)
  writeFileSync(file, `${readFileSync(sample, 'utf8').split('\n').slice(0, rows).join('\n')}\n`)
  return file
}

/** Every third invoice, with all of its lines; the one without a country is among them. */
function aThird(csv: string): string {
  const [header, ...lines] = csv.trimEnd().split('\n')
  return [header, ...lines.filter((line) => Number(/\d+/.exec(line)?.[0]) % 3 === 0), ''].join('\n')
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shop-test-'))
})
afterEach(() => {
  killAll()
  rmSync(folder, { recursive: true, force: true })
})

/** The one JSON object that a run printed, without its duration. */
function totalsOf({ code, stdout, stderr }: Ended): unknown {
  expect(stderr.replace(withoutCountry, '')).toBe('')
  expect(code).toBe(0)
  const { seconds, ...totals } = JSON.parse(stdout) as Record<string, unknown>
  expect(seconds).toBeGreaterThan(0)
  return totals
}

/** The one order of the sample that is parked until somebody asks where it is to go. */
const withoutCountry =
  /^the group delivery on inventory: .* invoice 564051 has no country to deliver to\. .*\n/m

const once = (...args: string[]) => startShop('--once', '--json', ...args).ended

test('the sample is what its README says', () => {
  expect(expected).toMatchObject({ invoices: 2093, lines: 4792 })
})

test('on SQLite', { timeout: 5 * minutes }, async () => {
  expect(totalsOf(await once())).toEqual(expected)
})

describe('on PostgreSQL', async () => {
  const missing = await embeddedPostgres.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await embeddedPostgres.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once, and again from an empty folder', { timeout: 10 * minutes }, async () => {
    for (const _ of ['once', 'again'])
      expect(totalsOf(await once('--engine', server!.url, '--file', part))).toEqual(expectedOfPart)
  })

  test.skipIf(missing)(
    'a process for each context, those with a database there killed in the middle',
    { timeout: 12 * minutes },
    async () => {
      const other = new URL(server!.url)
      other.searchParams.set('schema', 'apart')
      const file = join(folder, 'third.csv')
      writeFileSync(file, aThird(readFileSync(sample, 'utf8')))
      const killed = ['checkout', 'orders', 'payments', 'inventory', 'delivery'] as const
      await apart(onPostgres(folder, other.href), file, expectedTotals(file), killed)
    },
  )
})

const streamServers = [
  { name: 'Kafka', launcher: kafka },
  { name: 'NATS', launcher: nats },
] as const

describe.each(streamServers)('with its streams on $name', async ({ launcher }) => {
  const missing = await launcher.missing()
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await launcher.start()
  })
  afterAll(() => server?.stop())

  test.skipIf(missing)('once', { timeout: 5 * minutes }, async () => {
    expect(totalsOf(await once('--streams', server!.url, '--file', part))).toEqual(expectedOfPart)
  })
})

test('a second run on the same folder changes nothing, and a spoilt view is rebuilt', {
  timeout: 10 * minutes,
}, async () => {
  const { orders, cancellations } = expectedOfPart
  const rebuilt = `The view of the revenue was rebuilt from ${orders + cancellations} events:`
  const args = ['--data', folder, '--file', part]
  expect(totalsOf(await once(...args))).toEqual(expectedOfPart)

  const sound = await once(...args, '--rebuild')
  expect(sound.stderr).toBe(`${rebuilt} equal.\n`)
  expect(totalsOf({ ...sound, stderr: '' })).toEqual(expectedOfPart)

  const db = new DatabaseSync(join(folder, 'orders.sqlite'))
  db.exec("DELETE FROM revenue WHERE country = 'France'; UPDATE revenue SET pence = 1 WHERE country = 'EIRE'")
  db.close()
  const spoilt = await once(...args, '--rebuild')
  expect(spoilt.stderr).toBe(`${rebuilt} NOT equal.\n`)
  expect(spoilt.code).toBe(1)
  expect(totalsOf({ ...spoilt, stderr: '', code: 0 })).toEqual(expectedOfPart)
})

test('a process for each context, each killed in the middle', { timeout: 12 * minutes }, () =>
  apart(onSqlite(folder), sample, expected, [
    'checkout',
    'pictures',
    'orders',
    'payments',
    'inventory',
    'delivery',
    'notifications',
  ]),
)

test('stays up until Ctrl-C, and shows how far it is', { timeout: 5 * minutes }, async () => {
  const { invoices, lines } = expectedOfPart
  const shop = startShop('--file', part)
  await shop.wrote('The shop stays open')
  shop.kill('SIGINT')
  const { code, stdout } = await shop.ended
  expect(code).toBe(0)
  const progress = `invoices: \\d+ of ${invoices} sent, \\d+ taken in; receipts mailed: \\d+; parcels: \\d+`
  expect(stdout).toMatch(new RegExp(`^${progress}$`, 'm'))
  const [some, many] = [invoices, lines].map((number) => number.toLocaleString('en'))
  expect(stdout).toMatch(new RegExp(`^${some} invoices with ${many} lines in [\\d.]+ s$`, 'm'))
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'ended by %s in the middle it stops, says so, and keeps what it has',
  { timeout: 5 * minutes },
  async (signal) => {
    const shop = startShop('--once', '--data', folder, '--file', long)
    await shop.wrote('sent,')
    shop.kill(signal)
    expect(await shop.ended).toMatchObject({ code: 1, stderr: 'Stopped before everything was handled.\n' })
    expect(totalsOf(await once('--data', folder, '--file', long))).toEqual(expectedOfLong)
  },
)

test('stops when nobody reads what it prints', { timeout: minutes }, async () => {
  const shop = startShop('--once', '--data', folder)
  await shop.wrote('sent,')
  shop.deafen()
  expect(await shop.ended).toMatchObject({ code: 1, stderr: 'Stopped before everything was handled.\n' })
})

test('on a narrow terminal the progress stays on its line', () => {
  const written: string[] = []
  const out = { isTTY: true, columns: 20, write: (text: string) => written.push(text) }
  progressLine(out as never).show('invoices: 500 of 2093 sent, 0 taken in')
  expect(written).toEqual(['\r\x1b[2Kinvoices: 500 of 20'])
})

test('spillway check finds the topology sound, and ends', { timeout: minutes }, async () => {
  const { code, stdout } = await startSpillway(['check']).ended
  expect(stdout).toBe('8 contexts, 6 events, 9 queues, 4 calls: sound\n')
  expect(code).toBe(0)
})

test('says what is wrong with its options', { timeout: minutes }, async () => {
  for (const [args, complaint] of [
    [['--onec'], /Unknown option '--onec'/],
    [['--file', join(folder, 'nowhere.csv')], /no such file/],
    [['--engine', 'nowhere'], /names no engine/],
  ] as const) {
    const { code, stdout, stderr } = await startShop(...args).ended
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(complaint)
    expect(stderr).not.toMatch(/^ {4}at /m)
  }
})
