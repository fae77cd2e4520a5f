// Looking after queues and streams from the command line: the real command, on SQLite.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { open, type Spillway, unchecked } from '../../src/index.ts'
import { kafka, systemPostgres } from '../servers/index.ts'
import { command, startCommand } from './spillway-process.ts'

interface Receipt {
  readonly orderId: string
  readonly note?: string
}
const data = unchecked<Receipt>()
const config = `
  import { context, event, queue, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
  const data = unchecked()
  const orders = context('orders', { events: { placed: event({ data }) } })
  const billing = context('billing', { queues: { receipt: queue({ data }), export: queue({ data }) } })
  export default topology({ contexts: [orders, billing], engine: 'sqlite:./data' })
`

let folder: string
let spillway: Spillway
const on = (...args: readonly string[]) => command(folder, ...args)
const json = async (...args: readonly string[]) => JSON.parse((await on(...args, '--json')).out)
const receipts = () => spillway.queue('billing.receipt', { data })

/** Dead letters with these reasons. */
async function bury(name: string, reasons: readonly string[]): Promise<void> {
  const port = spillway.engine.queue!
  const queue = await spillway.queue(name, { data })
  for (const reason of reasons) {
    await queue.send({ orderId: reason })
    const [claimed] = await port.claim(name, { limit: 1, leaseMs: 60_000, waitMs: 1_000 })
    await port.settle(name, [{ lease: claimed!.lease, kind: 'retry', delayMs: 0, reason: 'timed out' }])
    const [again] = await port.claim(name, { limit: 1, leaseMs: 60_000, waitMs: 1_000 })
    await port.settle(name, [{ lease: again!.lease, kind: 'dead-letter', reason }])
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-admin-'))
  await writeFile(join(folder, 'spillway.config.ts'), config)
  spillway = await open(`sqlite:${join(folder, 'data')}`)
})
afterAll(async () => {
  await spillway?.close()
  await rm(folder, { recursive: true })
})

describe('queue', () => {
  test('ls tells what is where and whose, also what nobody has made yet', async () => {
    const queue = await receipts()
    await queue.sendMany([{ orderId: '1' }, { orderId: '2' }])
    await queue.send({ orderId: '3' }, { delay: '1h' })
    await spillway.queue('conformance-reports', { data })
    await spillway.queue('conformance-queue-0123456789ab', { data })
    const { out, code, err } = await on('queue', 'ls')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.split('\n')).toEqual([
      'QUEUE                OWNER    READY  DELAYED  WAITING  LEASED  DEAD  STATE',
      'billing.export       billing      –        –        –       –     –  not made yet',
      'billing.receipt      billing      2        1        0       0     0',
      'conformance-reports               0        0        0       0     0',
      '1 queue of the doctor not shown; --all shows them',
      '',
    ])
    const found = await json('queue', 'ls', '--all')
    expect(found.queues.map(({ name }: { name: string }) => name)).toEqual([
      'billing.export',
      'billing.receipt',
      'conformance-queue-0123456789ab',
      'conformance-reports',
    ])
    expect(found.queues[1]).toEqual({
      name: 'billing.receipt',
      owner: 'billing',
      made: true,
      ready: 2,
      delayed: 1,
      waiting: 0,
      leased: 0,
      dead: 0,
      paused: false,
    })
  })

  test('peek shows messages without touching them, and nothing that steers the terminal', async () => {
    const queue = await spillway.queue('looked-into', { data })
    const id = await queue.send({ orderId: '\u001b[2J', note: '한국어'.repeat(40) })
    const { out } = await on('queue', 'peek', 'looked-into')
    const [, line = ''] = out.split('\n')
    expect(line).toMatch(new RegExp(`^${id}  ready +0 +\\d+s ago +.*\\\\u001b.*…$`))
    expect(out).not.toContain('\u001b')
    expect(line.length).toBeLessThanOrEqual(100)
    const whole = await on('queue', 'peek', 'looked-into', '--full')
    expect(whole.out).toContain(`"note": "${'한국어'.repeat(40)}"`)
    const { messages, next } = await json('queue', 'peek', 'looked-into', '-n', '1')
    expect(messages).toMatchObject([{ id, state: 'ready', starts: 0, message: { id, type: 'looked-into' } }])
    expect(next).toBe(null)
    expect(await on('queue', 'peek', 'looked-into', '--after', messages[0].handle)).toMatchObject({
      out: 'Nothing waits in looked-into.\n',
    })
    expect(await queue.count()).toMatchObject({ ready: 1 })
  })

  test('peek tells who waits for whom and how far what runs is; finished what was done', async () => {
    const steps = await spillway.queue('steps', { data, flow: true, keepFinished: { count: 5 } })
    const port = spillway.engine.queue!
    const first = await steps.send({ orderId: '1' })
    await steps.send({ orderId: '2' }, { after: [first] })
    const [held] = await port.claim('steps', { limit: 1, leaseMs: 60_000, waitMs: 1_000 })
    await port.extend('steps', [held!.lease], 60_000, ['0.25'])
    const { out } = await on('queue', 'peek', 'steps')
    expect(out).toMatch(new RegExp(`\\n${first} +leased \\d+s at 0.25 +1 `))
    expect(out).toContain(`waiting for ${first}`)
    expect((await on('queue', 'ls')).out).toMatch(/^steps +0 +0 +1 +1 +0$/m)
    expect(await json('queue', 'peek', 'steps')).toMatchObject({
      messages: [
        { id: first, state: 'leased', progress: 0.25, after: null },
        { state: 'waiting', progress: null, after: [first], due: null },
      ],
    })
    expect((await on('queue', 'finished', 'steps')).out).toBe('steps keeps no finished messages.\n')
    await port.settle('steps', [{ lease: held!.lease, kind: 'done' }])
    const finished = await on('queue', 'finished', 'steps')
    expect(finished.out).toMatch(new RegExp(`^ID +FINISHED .*\\n${first} +\\d+s ago +1 +.*orderId`))
    const found = await json('queue', 'finished', 'steps', '-n', '1')
    expect(found).toMatchObject({ queue: 'steps', messages: [{ id: first, starts: 1 }], next: null })
    expect(await steps.count()).toMatchObject({ ready: 1, waiting: 0 })
  })

  test('dead shows reason, starts and history; redrive puts back by handle, by reason, all', async () => {
    await bury('broken', ['no such user', 'connect ECONNREFUSED', 'No such mailbox', 'disk full'])
    const { out } = await on('queue', 'dead', 'broken', '-n', '1')
    expect(out).toMatch(/died \d{4}-.* after 2 starts\n {2}reason {3}no such user\n/)
    expect(out).toMatch(/history {2}start 1, \d{4}.*: timed out\n {2}data {5}\{"orderId":"no such user"\}/)
    expect(out).toMatch(/--after \d+/)
    const { deadLetters } = await json('queue', 'dead', 'broken', '--reason', 'NO SUCH')
    expect(deadLetters.map(({ reason }: { reason: string }) => reason)).toEqual([
      'no such user',
      'No such mailbox',
    ])
    expect(deadLetters[0]).toMatchObject({ starts: 2, history: [{ start: 1, reason: 'timed out' }] })
    const { handle } = deadLetters[0]
    expect(await on('queue', 'redrive', 'broken', handle, '999999')).toMatchObject({
      out: '1 dead letter of the 2 named put back into broken.\n',
      code: 1,
    })
    expect(await json('queue', 'redrive', 'broken', '--reason', 'no such', '--yes')).toEqual({
      queue: 'broken',
      redriven: 1,
    })
    expect(await on('queue', 'redrive', 'broken', '--all')).toMatchObject({ out: '', code: 2 })
    expect(await (await spillway.queue('broken', { data })).count()).toMatchObject({ ready: 2, dead: 2 })
    expect(await json('queue', 'redrive', 'broken', '--all', '--yes')).toEqual({
      queue: 'broken',
      redriven: 2,
    })
    expect(await (await spillway.queue('broken', { data })).count()).toMatchObject({ ready: 4, dead: 0 })
  })

  test('dead --by-reason tells how many died of what, whatever the numbers in it', async () => {
    await bury('causes', ['order 1 is gone', 'no such user', 'order 2 is gone', 'order 17 is gone'])
    const { out, code } = await on('queue', 'dead', 'causes', '--by-reason')
    expect(code).toBe(0)
    expect(out).toMatch(
      /^COUNT +FIRST +LAST +ONE OF THEM +REASON\n +3 .* ago +.* ago +\d+ +order # is gone\n +1 .* no such user\n/,
    )
    const { reasons } = await json('queue', 'dead', 'causes', '--by-reason', '--reason', 'ORDER')
    expect(reasons).toMatchObject([{ reason: 'order # is gone', count: 3 }])
    expect(Date.parse(reasons[0].first)).toBeLessThanOrEqual(Date.parse(reasons[0].last))
  })

  test('pause holds for every process until resume', async () => {
    const queue = await spillway.queue('held', { data })
    expect(await on('queue', 'pause', 'held')).toEqual({ out: 'held is paused.\n', err: '', code: 0 })
    expect(await queue.count()).toMatchObject({ paused: true })
    expect((await on('queue', 'ls')).out).toMatch(/^held .* paused$/m)
    expect(await json('queue', 'resume', 'held')).toEqual({ queues: ['held'], paused: false })
    expect(await queue.count()).toMatchObject({ paused: false })
  })

  test('schedules tells what is sent when, and removes one', { timeout: 120_000 }, async () => {
    const queue = await spillway.queue('timed', { data })
    expect((await on('queue', 'schedules', 'timed')).out).toBe('No schedules of timed.\n')
    const times = { cron: '0 3 1 1 *', timeZone: 'Asia/Kolkata', missed: 'skip' } as const
    const { due } = await queue.schedule('yearly', times, { orderId: '1' })
    await queue.schedule('often', { every: '90m' }, { orderId: '1' })
    const { out } = await on('queue', 'schedules', 'timed')
    expect(out).toMatch(/^SCHEDULE +TIMES +ZONE +MISSED +DUE \(UTC\)\n/)
    expect(out).toMatch(/\noften +every 90m +once +\d{4}-/)
    expect(out).toMatch(/\nyearly +0 3 1 1 \* +Asia\/Kolkata +skip +\d{4}-12-31 21:30:00\n/)
    const yearly = {
      name: 'yearly',
      cron: times.cron,
      timeZone: times.timeZone,
      everyMs: null,
      missed: 'skip',
      due: due.toISOString(),
      overdueMs: null,
      last: null,
      problem: null,
    }
    expect(await json('queue', 'schedules', 'timed')).toMatchObject({
      queue: 'timed',
      schedules: [{ name: 'often', everyMs: 5_400_000 }, yearly],
    })
    expect(await on('queue', 'schedules', 'timed', '--remove', 'often')).toMatchObject({ code: 2 })
    expect(await on('queue', 'schedules', 'timed', '--remove', 'often', '--yes')).toMatchObject({
      code: 0,
      out: 'Removed often of timed.\n',
    })
    expect(await on('queue', 'schedules', 'timed', '--remove', 'often', '--yes')).toMatchObject({ code: 1 })
    expect(await queue.schedules()).toMatchObject([{ name: 'yearly' }])
  })

  test('a schedule that nobody fires is told as overdue', async () => {
    const late = await spillway.queue('late', { data })
    const port = spillway.engine.queue!
    await late.schedule('often', { every: '1s' }, { orderId: '1' })
    const [known] = (await port.schedules('late', { name: 'often' })).schedules
    const due = Date.now() - 3 * 3_600_000
    await port.putSchedule('late', { ...known!, due, messages: [] })
    const { out } = await on('queue', 'schedules', 'late')
    expect(out).toMatch(/DUE \(UTC\) +OVERDUE\n.*:\d\d +3h\n$/)
    const { schedules } = await json('queue', 'schedules', 'late')
    expect(schedules[0].overdueMs).toBeGreaterThanOrEqual(3 * 3_600_000)
  })

  test('purge does nothing where nobody can be asked, unless --yes; what waits, or the dead letters', async () => {
    await bury('full', ['gone'])
    const queue = await spillway.queue('full', { data })
    await queue.sendMany([{ orderId: '1' }, { orderId: '2' }])
    expect(await on('queue', 'purge', 'full')).toMatchObject({
      out: '',
      err: expect.stringMatching(/no terminal to ask at. Say --yes/),
      code: 2,
    })
    expect(await queue.count()).toMatchObject({ ready: 2, dead: 1 })
    expect(await on('queue', 'purge', 'full', '--yes')).toMatchObject({
      out: '2 waiting messages of full removed.\n',
      code: 0,
    })
    expect(await json('queue', 'purge', 'full', '--dead', '-y')).toEqual({
      queue: 'full',
      what: 'dead',
      removed: 1,
    })
    expect(await queue.count()).toMatchObject({ ready: 0, dead: 0 })
  })

  test('cancel takes single messages out, and fails for one that is not there', async () => {
    const queue = await spillway.queue('chosen', { data })
    const [first, second] = await queue.sendMany([{ orderId: '1' }, { orderId: '2' }])
    expect(await json('queue', 'cancel', 'chosen', first!, '--yes')).toEqual({
      queue: 'chosen',
      results: [{ id: first, result: 'removed' }],
    })
    const { out, code } = await on('queue', 'cancel', 'chosen', second!, 'nobody', '-y')
    expect(code).toBe(1)
    expect(out).toMatch(/removed: it waited\nnobody +unknown: no such message/)
  })

  test.each([
    [
      ['queue', 'peek', 'nowhere'],
      1,
      /There is no such queue.*These are here: (?!.*conformance-queue-).*billing\.receipt.*\[UNKNOWN_QUEUE\]/,
    ],
    [['queue', 'ls', '--engine', 'sqlite:./typo'], 1, /There is no store in \.\/typo/],
    [['queue', 'redrive', 'billing.receipt'], 2, /Name their handles, or say --all/],
    [['queue', 'peek', 'billing.receipt', '-n', '0'], 2, /a whole number from 1 to 1000/],
    [['queue', 'peek'], 2, /missing required argument.*\(spillway queue peek --help says more\)/s],
    [['stream', 'tail', 'orders', '--from', 'yesterday'], 2, /how long ago as 15m/],
    [['stream', 'tail', 'orders', '--from', 'latest'], 2, /say --follow/],
    [['doctor', '--only', 'nothing', '-c', 'spillway.config.ts'], 2, /No case begins with nothing/],
  ])('%j is refused with exit code %i', async (args, code, said) => {
    const ended = await on(...args)
    expect(ended.code).toBe(code)
    expect(ended.err).toMatch(said)
  })
})

describe('stream', () => {
  beforeAll(async () => {
    const stream = await spillway.stream('orders', { data, key: ({ orderId }) => orderId, partitions: 3 })
    for (let number = 1; number <= 12; number++)
      await stream.append({ orderId: `${number % 4}`, note: `n${number}` })
    const seen = Promise.withResolvers<void>()
    let left = 12
    const subscription = stream.subscribe('billing', () => {
      if (--left === 0) seen.resolve()
    })
    await seen.promise
    await subscription.stop()
    await stream.append({ orderId: '1', note: 'n13' })
  })

  const notes = (out: string) => [...out.matchAll(/n\d+/g)].map(String)

  test('ls tells the owner, the events and the groups', async () => {
    const { out } = await on('stream', 'ls')
    expect(out).toMatch(/^STREAM +OWNER +PARTITIONS +EVENTS +GROUPS$/m)
    expect(out).toMatch(/^orders +orders +3 +13 +billing$/m)
    const { streams } = await json('stream', 'ls')
    expect(streams).toContainEqual({
      name: 'orders',
      owner: 'orders',
      made: true,
      partitions: 3,
      positions: 13,
      groups: ['billing'],
    })
  })

  test('tail shows the last, or from a place on, or of one key', async () => {
    expect(notes((await on('stream', 'tail', 'orders', '-n', '3')).out)).toEqual(['n11', 'n12', 'n13'])
    const all = notes((await on('stream', 'tail', 'orders', '--from', 'earliest')).out)
    expect(all.sort()).toEqual(Array.from({ length: 13 }, (_, index) => `n${index + 1}`).sort())
    expect(notes((await on('stream', 'tail', 'orders', '--from', '1h', '--key', '1')).out)).toEqual([
      'n1',
      'n5',
      'n9',
      'n13',
    ])
    expect(notes((await on('stream', 'tail', 'orders', '-n', '2', '--key', '2')).out)).toEqual(['n6', 'n10'])
    const { out } = await on('stream', 'tail', 'orders', '-n', '1', '--json')
    expect(JSON.parse(out)).toMatchObject({ key: '1', version: null, message: { data: { note: 'n13' } } })
  })

  test('tail --follow goes on with what comes, and ends well at Ctrl-C', async () => {
    const { child, said, wrote } = startCommand(folder, 'stream', 'tail', 'orders', '-n', '1', '--follow')
    await wrote('n13')
    const stream = await spillway.stream('orders', { data, key: ({ orderId }) => orderId })
    await stream.append({ orderId: '2', note: 'live' })
    await wrote('live')
    child.kill('SIGINT')
    expect(await said).toMatchObject({ err: '', code: 0 })
  })

  test('groups tells how far each is', async () => {
    const { groups } = await json('stream', 'groups', 'orders')
    expect(groups).toMatchObject([{ name: 'billing' }])
    expect(groups[0].lag).toBeGreaterThanOrEqual(1)
    expect(groups[0].partitions).toHaveLength(3)
    const { out } = await on('stream', 'groups', 'orders', '--group', 'billing')
    expect(out).toMatch(/^GROUP +PARTITION +COMMITTED +END +LAG$/m)
  })
})

describe('doctor', () => {
  test('runs the cases that are asked for, tells the capability table, and empties what it made', async () => {
    const report = await json(
      'doctor',
      'sqlite:./examined',
      '--only',
      'queue.declare',
      'queue.dead',
      'stream.names',
    )
    expect(report).toMatchObject({ engine: 'sqlite', durability: { level: 'power-loss' }, failures: [] })
    expect(report.cases.passed).toBeGreaterThan(8)
    expect(report.capabilities).toContainEqual(
      expect.objectContaining({ need: 'queue', has: true, failed: 0 }),
    )
    expect(report.leftBehind.queues).toBeGreaterThan(5)
    const { queues } = await json('queue', 'ls', '--all', '--engine', 'sqlite:./examined')
    expect(queues.map((each: { ready: number; dead: number }) => each.ready + each.dead)).toEqual(
      queues.map(() => 0),
    )
    expect((await on('queue', 'ls', '--engine', 'sqlite:./examined')).out).toMatch(/^No queues on sqlite/)
  })

  test('buckets of limits are examined where there are any', async () => {
    const report = await json('doctor', 'sqlite:./examined', '--only', 'limit.bound', 'limit.race')
    expect(report).toMatchObject({ failures: [], cases: { passed: 2, skipped: 0 } })
    expect(report.capabilities).toContainEqual({
      need: 'limit',
      title: 'limits that processes share',
      has: true,
      passed: 2,
      failed: 0,
    })
  })

  test('a case that fails is told with its words, and is exit code 1', async () => {
    const { out, code } = await on('doctor', 'sqlite:./slow', '--only', 'queue.claim', '--case-seconds', '1')
    expect(code).toBe(1)
    expect(out).toMatch(/\d+ of \d+ cases FAILED/)
    expect(out).toMatch(/FAILED queue\.claim\.[a-z.-]+\n.*\n +queue\.claim\..*: nothing after 1000 ms/)
  })
})

const servers = [
  { launcher: systemPostgres, what: 'queue', made: 'queues' },
  { launcher: kafka, what: 'stream', made: 'streams' },
] as const

describe.each(servers)('$launcher.name', async ({ launcher, what, made }) => {
  const missing = await launcher.missing()

  test.skipIf(missing)(
    `${what} ls tells what is there${missing ? `, skipped: ${missing}` : ''}`,
    async () => {
      await using server = await launcher.start()
      const other = await open(server.url)
      if (what === 'queue')
        await (await other.queue('letters', { data })).sendMany([{ orderId: '1' }, { orderId: '2' }])
      else await (await other.stream('letters', { data, partitions: 2 })).append({ orderId: '1' })
      await other.close()
      const { engine, [made]: found } = await json(what, 'ls', '--engine', server.url)
      expect(engine).toBe(launcher === kafka ? 'kafka' : 'postgres')
      const numbers =
        what === 'queue' ? { ready: 2, paused: false } : { partitions: 2, positions: 1, groups: [] }
      expect(found).toEqual([
        expect.objectContaining({ name: 'letters', owner: null, made: true, ...numbers }),
      ])
      const refused = await on(what === 'queue' ? 'stream' : 'queue', 'ls', '--engine', server.url)
      expect(refused.code).toBe(launcher === kafka ? 1 : 0)
      if (launcher === kafka)
        expect(refused.err).toMatch(/'kafka' does not have a queue.*\[CAPABILITY_MISSING\]/)
    },
  )
})

test('streams that are apart have their own engine, for the commands and for the doctor', async () => {
  const apart = config.replace("engine: 'sqlite:./data'", "engine: 'sqlite:./data', streams: 'sqlite:./log'")
  await writeFile(join(folder, 'apart.ts'), apart)
  const log = await open(`sqlite:${join(folder, 'log')}`)
  await log.stream('only-here', { data })
  await log.close()
  const names = async (what: 'queue' | 'stream') =>
    (await json(what, 'ls', '-c', 'apart.ts'))[`${what}s`].map(({ name }: { name: string }) => name)
  expect(await names('stream')).toEqual(['only-here', 'orders'])
  expect(await names('queue')).toContain('billing.receipt')
  const doctor = await on('doctor', '-c', 'apart.ts', '--only', 'engine.name')
  expect(doctor.out).toMatch(/sqlite:\.\/data.*another engine: spillway doctor --streams/s)
  expect((await json('doctor', '-c', 'apart.ts', '--streams', '--only', 'engine.name')).url).toBe(
    'sqlite:./log',
  )
})
