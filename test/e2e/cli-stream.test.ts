// Telling a group what to do, and trimming, from the command line: the real command, on SQLite.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  deadLetter,
  isSpillwayError,
  open,
  type Running,
  run,
  type Topology,
  unchecked,
} from '../../src/index.ts'
import { command } from './spillway-process.ts'

const config = `
  import { context, event, service, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
  import { sqliteDatabase } from ${JSON.stringify(resolve('src/engines/sqlite/index.ts'))}
  const data = unchecked()
  export const orders = context('orders', { events: { placed: event({ data, key: ({ customer }) => customer }) } })
  const billing = context('billing', {})
  export const shop = service(orders)
  export const seen = []
  export const known = { ada: false }
  export const bills = service(billing, { database: sqliteDatabase('./billing.db') }).on(
    orders.events.placed,
    async ({ data }, { commit }) => {
      if (data.customer === 'ada' && !known.ada) throw new Error('ada has no address')
      await commit(() => { seen.push(data.customer + data.n) })
    },
    { onFailure: 'park', retry: { attempts: 1 } },
  )
  export default topology({ contexts: [shop, bills], engine: 'sqlite:./data', partitions: 1 })
`

let folder: string
let shop: {
  readonly default: Topology
  readonly orders: { readonly events: { readonly placed: never } }
  readonly shop: never
  readonly bills: never
  readonly seen: string[]
  readonly known: { ada: boolean }
}
let running: Running
const on = (...args: readonly string[]) => command(folder, 'stream', ...args)
const json = async (...args: readonly string[]) => JSON.parse((await on(...args, '--json')).out)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-stream-'))
  const file = join(folder, 'spillway.config.ts')
  const here = config.replace("'./billing.db'", JSON.stringify(join(folder, 'billing.db')))
  await writeFile(file, here)
  shop = await import(pathToFileURL(file).href)
  running = await run(shop.default, {
    engine: await open(`sqlite:${join(folder, 'data')}`).then(({ engine }) => engine),
  })
  await running.service(shop.shop).transaction((tx) => {
    for (const [n, customer] of ['ada', 'bob', 'ada', 'cleo'].entries())
      tx.publish(shop.orders.events.placed, { customer, n } as never)
  })
  await vi.waitFor(
    async () => {
      expect(shop.seen).toEqual(['bob1', 'cleo3'])
      expect(await running.service(shop.bills).group({ name: 'orders' }).parked()).toHaveLength(2)
      expect((await running.service(shop.bills).group({ name: 'orders' }).lag()).total).toBe(0)
    },
    { timeout: 30_000 },
  )
})
afterAll(async () => {
  await running?.stop()
  for (const engine of running?.engines ?? []) await engine.close()
  await rm(folder, { recursive: true })
})

test('who is behind, and what is parked, over all streams', { timeout: 180_000 }, async () => {
  const groups = await on('groups')
  expect(groups.out).toMatch(/^STREAM +GROUP +LAG\norders +billing +0\n$/)
  expect(await json('groups')).toMatchObject({ groups: [{ stream: 'orders', name: 'billing', lag: 0 }] })
  expect((await on('groups', '--group', 'nobody')).out).toBe('No group reads any stream.\n')
  const parked = await on('park')
  expect(parked.out).toMatch(/^STREAM +GROUP +PARKED +KEYS\norders +billing +2 +ada\n$/)
  expect(await json('park', 'orders')).toEqual({
    parked: [{ stream: 'orders', group: 'billing', parked: 2, keys: ['ada'] }],
  })
  const unknown = await on('park', 'orderz')
  expect(unknown).toMatchObject({ code: 1 })
  expect(unknown.err).toContain('These are here: orders')
  expect((await on('park', '--engine', `sqlite:${join(folder, 'data')}`)).err).toContain('--config')
})

test('park shows what is parked and why; unpark has it handled', { timeout: 180_000 }, async () => {
  const { out, code, err } = await on('park', 'orders', 'billing')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(
    /^KEY +PLACE +APPENDED +TRIES +REASON +DATA\nada +0\/0 .* 1 +.*ada has no address.*\nada +0\/2 .* 0 /,
  )
  const { parked } = await json('park', 'orders', 'billing', '--key', 'ada', '-n', '1')
  expect(parked).toEqual([expect.objectContaining({ key: 'ada', position: 0, attempts: 1 })])
  expect((await json('park', 'orders', 'billing', '--key', 'bob')).parked).toEqual([])
  const elsewhere = await on('park', 'orders', 'billing', '--engine', 'sqlite:./data')
  expect(elsewhere).toMatchObject({ code: 2, err: expect.stringContaining('--config') })
  shop.known.ada = true
  const told = await on('unpark', 'orders', 'billing', 'ada')
  expect(told).toMatchObject({
    code: 0,
    out: expect.stringContaining('billing will handle what it has parked of ada'),
  })
  await vi.waitFor(() => expect(shop.seen).toEqual(['bob1', 'cleo3', 'ada0', 'ada2']), { timeout: 30_000 })
  expect((await on('unpark', 'orders', 'billing')).code).toBe(2)
})

test('dead tells what a group could not handle, and redrive has it handled again', {
  timeout: 180_000,
}, async () => {
  const spillway = await open(`sqlite:${join(folder, 'other')}`)
  const at = ['--engine', `sqlite:${join(folder, 'other')}`]
  const prices = await spillway.stream('prices', { data: unchecked<number>(), partitions: 1 })
  await prices.appendMany([1, -2, -3, -40, 5])
  let mended = false
  const handled: number[] = []
  const group = prices.subscribe('till', ({ data }) => {
    if (data < 0 && !mended)
      return deadLetter(data < -10 ? 'far too low' : `the price ${data} is below nothing`)
    handled.push(data)
  })
  try {
    await vi.waitFor(async () => expect(await prices.deadLetters('till')).toHaveLength(3), 30_000)
    const { out, code } = await on('dead', 'prices', 'till', '-n', '2', ...at)
    expect(code).toBe(0)
    expect(out).toMatch(
      /^0 {2}0\/1\n {2}died after 1 attempt\n {2}reason {3}the price -2 is below nothing\n {2}data {5}-2\n/,
    )
    expect(out).toContain('there may be more: --after 1')
    const rest = await json('dead', 'prices', 'till', '--after', '1', ...at)
    expect(rest).toMatchObject({
      deadLetters: [{ handle: 2, partition: 0, position: 3, reason: 'far too low', message: { data: -40 } }],
      next: null,
    })
    expect((await on('dead', 'prices', 'till', '--by-reason', ...at)).out).toMatch(
      /^COUNT +ONE OF THEM +REASON\n +2 +0 +the price -# is below nothing\n +1 +2 +far too low\n/,
    )
    expect((await on('dead', 'prices', 'nobody', ...at)).err).toContain('It has till.')
    expect(await on('redrive', 'prices', 'till', ...at)).toMatchObject({ code: 2 })
    expect(await on('redrive', 'prices', 'till', '--all', ...at)).toMatchObject({ code: 2 })
    expect(await on('redrive', 'prices', 'till', '99', ...at)).toMatchObject({ code: 1 })
    mended = true
    expect((await on('redrive', 'prices', 'till', '--reason', 'BELOW', '--yes', ...at)).out).toBe(
      'till will handle 2 dead letters again: at once where it runs, else when it starts.\n',
    )
    expect(await json('redrive', 'prices', 'till', '2', ...at)).toMatchObject({ redriven: 1 })
    await vi.waitFor(() => expect(handled.toSorted((a, b) => a - b)).toEqual([-40, -3, -2, 1, 5]), 30_000)
    expect((await on('dead', 'prices', 'till', ...at)).out).toBe('No dead letters of till on prices.\n')
  } finally {
    await group.stop()
    await spillway.close()
  }
})

test('replay says what it does, asks, and has the group do it', { timeout: 180_000 }, async () => {
  const unasked = await on('replay', 'orders', 'billing', '--from', 'earliest')
  expect(unasked).toMatchObject({ code: 2, err: expect.stringContaining('Say --yes') })
  const slip = await on('replay', 'orders', 'biling', '--from', 'earliest', '--yes')
  expect(slip).toMatchObject({ code: 2, err: expect.stringContaining('It has billing') })
  expect((await on('replay', 'orders', 'billing', '--from', 'latest', '--yes')).code).toBe(2)
  const before = shop.seen.length
  const { events, positions } = await json('replay', 'orders', 'billing', '--from', 'earliest', '--yes')
  expect({ events, positions }).toEqual({ events: 4, positions: [{ partition: 0, position: 0 }] })
  await vi.waitFor(() => expect(shop.seen.slice(before).sort()).toEqual(['ada0', 'ada2', 'bob1', 'cleo3']), {
    timeout: 30_000,
  })
})

test('trim says what goes and who has not read it, asks, and removes it', { timeout: 180_000 }, async () => {
  const port = running.engines[0]!.stream!
  const slow = await port.join('orders', 'slow', {
    sessionMs: 10_000,
    assigned: () => {},
    revoked: async () => {},
    failed: () => {},
  })
  await vi.waitFor(
    async () => expect(await slow.commit([{ partition: 0, position: 2 }])).toEqual(['committed']),
    { timeout: 30_000 },
  )
  await slow.leave()
  const dry = await on('trim', 'orders', '--last', '1', '--dry-run')
  expect(dry).toMatchObject({ code: 0, err: '' })
  expect(dry.out).toMatch(/^3 events of orders on sqlite at .* would go\.\nslow has not read 1 of them\.\n$/)
  expect((await port.bounds('orders'))[0]).toMatchObject({ earliest: 0 })
  expect(await on('trim', 'orders', '--last', '1')).toMatchObject({ code: 2 })
  expect(await on('trim', 'orders', '--yes')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--before'),
  })
  expect(await json('trim', 'orders', '--last', '1', '--yes')).toEqual({
    stream: 'orders',
    trimmed: true,
    events: 3,
    exact: true,
    partitions: [{ partition: 0, earliest: 3 }],
    unread: [{ group: 'slow', events: 1, exact: true }],
  })
  expect((await port.bounds('orders'))[0]).toMatchObject({ earliest: 3, next: 4 })
  expect((await on('trim', 'orders', '--before', '30d', '--yes')).out).toBe('0 events of orders removed.\n')
  const nowhere = await on('trim', 'ordres', '--before', 'latest', '--yes')
  expect(nowhere).toMatchObject({
    code: 1,
    err: expect.stringMatching(/orders.*UNKNOWN_STREAM|UNKNOWN_STREAM/s),
  })
  await expect(port.bounds('ordres')).rejects.toSatisfy((thrown) => isSpillwayError(thrown, 'UNKNOWN_STREAM'))
})

const full = '/dev/full'
test.skipIf(!existsSync(full))(
  'what cannot be written because a disk is full is an error (needs /dev/full, which Linux has)',
  { timeout: 60_000 },
  async () => {
    const file = openSync(full, 'w')
    const child = spawn(process.execPath, [resolve('src/cli/main.ts'), 'stream', 'ls'], {
      cwd: folder,
      stdio: ['ignore', file, 'pipe'],
    })
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [code] = await once(child, 'close')
    closeSync(file)
    expect(said).toContain('cannot be written: ENOSPC')
    expect(code).toBe(1)
  },
)
