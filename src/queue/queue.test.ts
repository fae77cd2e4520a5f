import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { context, type QueueContract, queue } from '../core/contract.ts'
import { deadLetter, retry } from '../core/outcome.ts'
import type { Report } from '../core/report.ts'
import { runInside } from '../core/scope.ts'
import type { Engine } from '../ports/engine.ts'
import { fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Handler } from './attempts.ts'
import type { ConsumeOptions, Consumer } from './consumer.ts'
import { Queue } from './queue.ts'

interface Email {
  to: string
}

const mail = context('mail', {
  queues: {
    out: queue({ data: z.object({ to: z.string() }), retry: { attempts: 3, initial: '1ms' } }),
    hasty: queue({
      data: z.object({ to: z.string() }),
      deadline: '50ms',
      retry: { attempts: 2, initial: '1ms' },
    }),
  },
})

let engine: Engine
let reports: Report[]
const consumers: Consumer[] = []

beforeEach(async () => {
  engine = await memory()
  reports = []
})
afterEach(async () => {
  await Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 100 })))
  await engine.close()
})

async function open(contract: QueueContract<Email, Email> = mail.queues.out): Promise<Queue<Email, Email>> {
  await engine.queue!.declare([contract.queue])
  return new Queue(contract, engine.queue!, engine.name)
}

function consume(from: Queue<Email, Email>, handler: Handler<Email>, options: ConsumeOptions = {}): Consumer {
  const consumer = from.consume(handler, { onReport: (report) => reports.push(report), ...options })
  consumers.push(consumer)
  return consumer
}

const settled = (of: Queue<Email, Email>) =>
  vi.waitFor(async () => expect(await of.count()).toMatchObject({ ready: 0, delayed: 0, leased: 0 }), {
    timeout: 5_000,
    interval: 5,
  })

test('every message is handled once, in parallel up to the concurrency', async () => {
  const emails = await open()
  const ids = await emails.sendMany(Array.from({ length: 100 }, (_, i) => ({ to: `${i}` })))
  let running = 0
  let most = 0
  const seen: string[] = []
  consume(
    emails,
    async (message) => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running -= 1
      seen.push(message.id)
    },
    { concurrency: 7 },
  )
  await settled(emails)
  expect(seen.toSorted()).toEqual(ids.toSorted())
  expect(most).toBe(7)
  expect(reports).toEqual([])
})

test('what fails its schema is refused with the path, and nothing is stored', async () => {
  const emails = await open()
  await expect(emails.send({ to: 4 } as never)).rejects.toMatchObject({
    code: 'INVALID_DATA',
    details: { issues: [{ path: 'to' }] },
  })
  await expect(emails.sendMany([{ to: 'a' }, {} as never])).rejects.toMatchObject({ code: 'INVALID_DATA' })
  expect(await emails.count()).toMatchObject({ ready: 0 })
})

test.each([
  [
    'an error',
    () => {
      throw new Error('smtp is down')
    },
    'smtp is down',
  ],
  [
    'a string',
    () => {
      throw 'nope'
    },
    'nope',
  ],
  [
    'undefined',
    () => {
      throw undefined
    },
    'no Error was thrown',
  ],
  ['a rejected promise', () => Promise.reject(new Error('later')), 'later'],
  ['retry()', () => retry({ after: 1, reason: 'not yet' }), 'not yet'],
])(
  'a handler that ends with %s is tried again, then dead-lettered with its reason',
  async (_, handler, reason) => {
    const emails = await open()
    const id = await emails.send({ to: 'a' })
    let attempts = 0
    consume(emails, () => {
      attempts += 1
      return handler()
    })
    await settled(emails)
    expect(attempts).toBe(3)
    expect(await emails.deadLetters()).toMatchObject([
      { id, starts: 3, reason: expect.stringContaining(reason) },
    ])
  },
)

test('deadLetter() gives up at once; a redriven message keeps its id and runs again', async () => {
  const emails = await open()
  const id = await emails.send({ to: 'a' })
  const handled: string[] = []
  consume(emails, (message, { attempt }) => {
    expect(attempt).toBe(1)
    handled.push(message.id)
    return handled.length === 1 ? deadLetter('address unknown') : undefined
  })
  await vi.waitFor(async () => expect(await emails.deadLetters()).toHaveLength(1))
  const [dead] = await emails.deadLetters()
  expect(dead).toMatchObject({ id, reason: 'address unknown' })
  expect(await emails.redrive([dead!.handle])).toBe(1)
  await settled(emails)
  expect(handled).toEqual([id, id])
})

test.each([
  ['is no JSON', '{nonsense', 'INVALID_MESSAGE'],
  [
    'fails its schema',
    JSON.stringify({
      specversion: '1.0',
      id: 'x',
      source: '/',
      type: 'mail.out',
      dataschema: 'urn:spillway:mail.out:1',
      data: { to: 1 },
    }),
    'INVALID_MESSAGE',
  ],
  [
    'has an unknown version',
    JSON.stringify({
      specversion: '1.0',
      id: 'x',
      source: '/',
      type: 'mail.out',
      dataschema: 'urn:spillway:mail.out:9',
      data: { to: 'a' },
    }),
    'UNKNOWN_VERSION',
  ],
])('a stored message that %s goes to the dead letters without being handled', async (_, body, code) => {
  const emails = await open()
  await engine.queue!.send(emails.name, [{ id: 'x', body }])
  const handler = vi.fn()
  consume(emails, handler)
  await settled(emails)
  expect(await emails.deadLetters()).toMatchObject([{ body, reason: expect.stringContaining(code) }])
  expect(handler).not.toHaveBeenCalled()
})

test('what a handler says or throws, however odd, is stored, and harms none of its neighbours', async () => {
  const trap = () => {
    throw new Error('trap')
  }
  const odd: Readonly<Record<string, () => unknown>> = {
    'no reason': () => deadLetter(undefined as never),
    'a reason that is none': () => deadLetter(5 as never),
    'a reason with NUL': () => deadLetter('a\0b\ud800'),
    'a long reason': () => deadLetter('x'.repeat(1_000_000)),
    'no duration': () => retry({ after: 1e18 }),
    'no number': () => ({ outcome: 'retry', delayMs: Number.NaN }),
    'an error without text': () => {
      throw Object.assign(new Error('x'), { message: Symbol('x') })
    },
    'an error that throws': () => {
      throw Object.defineProperty(new Error('x'), 'message', { get: trap })
    },
    'a proxy': () => {
      throw new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap })
    },
  }
  const emails = await open()
  await emails.sendMany([...Object.keys(odd), 'fine', 'fine', 'fine'].map((to) => ({ to })))
  const fine = vi.fn()
  consume(emails, ({ data }) => (odd[data.to] ?? fine)(), { concurrency: 100 })
  await settled(emails)
  expect(fine).toHaveBeenCalledTimes(3)
  const dead = await emails.deadLetters()
  expect(dead.map(({ body }) => (JSON.parse(body) as { data: Email }).data.to).sort()).toEqual(
    Object.keys(odd).sort(),
  )
  for (const { reason } of dead) {
    expect(reason).not.toMatch(/never settled|\0/)
    expect(reason.length).toBeLessThanOrEqual(2_000)
  }
})

test('a handler that never returns is aborted at its deadline, and the consumer goes on', async () => {
  const emails = await open(mail.queues.hasty)
  await emails.send({ to: 'stuck' })
  await emails.send({ to: 'fine' })
  const aborted: unknown[] = []
  const fine = vi.fn()
  consume(
    emails,
    (message, { signal }) => {
      if (message.data.to === 'fine') return fine()
      signal.addEventListener('abort', () => aborted.push(signal.reason))
      return new Promise(() => {})
    },
    { concurrency: 1 },
  )
  await settled(emails)
  expect(fine).toHaveBeenCalledTimes(1)
  expect(aborted).toHaveLength(2)
  expect(await emails.deadLetters()).toMatchObject([{ reason: expect.stringContaining('HANDLER_TIMEOUT') }])
  expect(reports[0]!.error.code).toBe('HANDLER_TIMEOUT')
})

test('a message whose consumers die is dead-lettered too: starts are counted, not failures', async () => {
  const emails = await open()
  await emails.send({ to: 'killer' })
  const { minLeaseMs } = engine.queue!.limits
  for (let start = 1; start <= 3; start++) {
    const claimed = await engine.queue!.claim(emails.name, { limit: 1, leaseMs: minLeaseMs, waitMs: 5_000 })
    expect(claimed).toMatchObject([{ starts: start }])
  }
  const handler = vi.fn()
  consume(emails, handler)
  await vi.waitFor(
    async () =>
      expect(await emails.deadLetters()).toMatchObject([
        { reason: expect.stringContaining('never settled') },
      ]),
    { timeout: 5_000 },
  )
  expect(handler).not.toHaveBeenCalled()
})

test('a lease is renewed for as long as the handler takes', async () => {
  const clock = fakeClock()
  const { queue: port, name } = memory({ clock })
  await port!.declare(['mail.out'], {})
  const emails = new Queue(mail.queues.out, port!, name, clock)
  await emails.send({ to: 'slow' })
  const handler = vi.fn(() => new Promise<void>((resolve) => clock.after(10_000, resolve)))
  for (const _ of ['one', 'another']) consume(emails, handler, { lease: '1s' })
  await clock.advance(9_999)
  expect(await emails.count()).toMatchObject({ leased: 1 })
  await clock.advance(1)
  expect(await emails.count()).toMatchObject({ ready: 0, leased: 0, dead: 0 })
  expect(handler).toHaveBeenCalledTimes(1)
})

test('stopping finishes what is under way and gives back the rest without counting a start', async () => {
  const emails = await open()
  await emails.sendMany(Array.from({ length: 20 }, () => ({ to: 'a' })))
  const gate = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const consumer = consume(
    emails,
    () => {
      started.resolve()
      return gate.promise
    },
    { concurrency: 2 },
  )
  await started.promise
  const stopped = consumer.stop({ deadlineMs: 5_000 })
  gate.resolve()
  await stopped
  expect(await emails.count()).toMatchObject({ leased: 0, dead: 0 })
  const rest = await engine.queue!.claim(emails.name, { limit: 50, leaseMs: 1_000, waitMs: 0 })
  expect(rest.length).toBeGreaterThanOrEqual(16)
  for (const message of rest) expect(message.starts).toBe(1)
})

test('a stop that has waited long enough aborts, and gives back what does not end', async () => {
  const emails = await open()
  await emails.send({ to: 'a' })
  const started = Promise.withResolvers<void>()
  const consumer = consume(emails, (_, { signal }) => {
    started.resolve()
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  await started.promise
  await consumer.stop({ deadlineMs: 20 })
  expect(await engine.queue!.claim(emails.name, { limit: 1, leaseMs: 1_000, waitMs: 0 })).toMatchObject([
    { starts: 1 },
  ])
})

test('sending directly from inside a handler is refused', async () => {
  const emails = await open()
  await expect(
    runInside('the handler of orders.placed', () => emails.send({ to: 'a' })),
  ).rejects.toMatchObject({ code: 'DIRECT_SEND' })
})

test('bad options are refused when the consumer is made', async () => {
  const emails = await open()
  expect(() => emails.consume(() => {}, { concurrency: 0 })).toThrow('INVALID_OPTION')
  expect(() => emails.consume(() => {}, { lease: 0 })).toThrow('INVALID_OPTION')
  await expect(emails.send({ to: 'a' }, { id: '' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

test('a handler that blocks the event loop for longer than its lease is survived, and said so', async () => {
  const emails = await open()
  await emails.send({ to: 'a' })
  const lease = engine.queue!.limits.minLeaseMs
  consume(
    emails,
    () => {
      const end = performance.now() + lease * 3
      while (performance.now() < end);
    },
    { lease },
  )
  await vi.waitFor(() => expect(reports.map(({ error }) => error.code)).toContain('LOOP_BLOCKED'), {
    timeout: 5_000,
  })
  await settled(emails)
})
