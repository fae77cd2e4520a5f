// A consumer whose engine does not answer: its handlers hear in time that their leases are over, and a stop keeps its deadline.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { queueContract } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import { Queue } from './queue.ts'

const leaseMs = 30_000
const contract = queueContract('work', {
  data: unchecked<string>(),
  deadline: '10m',
  retry: { initial: 0, max: 0 },
})

let clock: FakeClock
let engine: Engine
let reports: Report[]

beforeEach(() => {
  clock = fakeClock()
  engine = memory({ clock })
  reports = []
})
afterEach(() => engine.close())

const onReport = (report: Report) => reports.push(report)
const unavailable = () =>
  Promise.reject(new SpillwayError('ENGINE_UNAVAILABLE', 'The engine is away.', { engine: 'memory' }))
const never = () => new Promise<never>(() => {})

/** The port, but for what is put in the place of some of its methods. */
function but(changed: Partial<QueuePort>): QueuePort {
  const port = engine.queue!
  return new Proxy(port, {
    get(target, name: keyof QueuePort) {
      const own = changed[name] ?? target[name]
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}

async function open(changed: Partial<QueuePort>): Promise<Queue<string, string>> {
  await engine.queue!.declare(['work'])
  return new Queue(contract, but(changed), engine.name, clock)
}

test('the signal fires when the lease is over, while the renewal that was asked for has no answer', async () => {
  const work = await open({ extend: never })
  await work.send('a')
  let abortedAt: number | undefined
  const consumer = work.consume(
    (_, { signal }) => {
      signal.addEventListener('abort', () => {
        abortedAt = clock.elapsed()
      })
      return never()
    },
    { lease: leaseMs, onReport },
  )
  await clock.advance(leaseMs - 1_000)
  expect(abortedAt).toBeUndefined()
  await clock.advance(3_000)
  expect(abortedAt).toBeGreaterThanOrEqual(leaseMs)
  expect(reports.map(({ error }) => error.code)).toEqual(['LEASE_LOST'])
  const stopped = consumer.stop({ deadlineMs: 0 })
  await clock.advance(2_000)
  await stopped
})

test.each([
  ['refuses', unavailable],
  ['does not answer', never],
])(
  'a stop keeps its deadline while a suspect waits for what is to be settled, and the engine %s',
  async (_, settle) => {
    const work = await open({ settle })
    // One that was held by somebody who vanished, and one that was not.
    await work.send('suspect')
    await engine.queue!.claim('work', { limit: 1, leaseMs: 1_000, waitMs: 0 })
    await clock.advance(1_000)
    await work.send('innocent')
    const consumer = work.consume(() => undefined, { lease: leaseMs, onReport, concurrency: 2 })
    await clock.advance(5_000)
    let stoppedAt: number | undefined
    void consumer.stop({ deadlineMs: 2_000 }).then(() => {
      stoppedAt = clock.elapsed()
    })
    const from = clock.elapsed()
    await clock.advance(60_000)
    expect(stoppedAt! - from).toBeLessThanOrEqual(2_000 + 2_000)
  },
)
