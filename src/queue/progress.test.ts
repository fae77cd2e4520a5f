// What handlers say of their progress, and what is kept of messages that were done.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { queueContract } from '../core/contract.ts'
import { isSpillwayError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import type { Handler } from './attempts.ts'
import type { Consumer } from './consumer.ts'
import { Queue } from './queue.ts'
import { declareQueues } from './rules.ts'

const contract = queueContract('films', {
  data: unchecked<string>(),
  keepFinished: { for: '1h', count: 3 },
})

let clock: FakeClock
let engine: Engine
let films: Queue<string, string>
let reports: Report[]
const consumers: Consumer[] = []

beforeEach(async () => {
  clock = fakeClock()
  engine = memory({ clock })
  await declareQueues(engine.name, engine.queue!, [contract])
  films = new Queue(contract, engine.queue!, engine.name, clock)
  reports = []
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 1 })))
  await clock.advance(60_000)
  await stopped
  await engine.close()
})

function consume(handler: Handler<string>, of: Queue<string, string> = films): void {
  consumers.push(of.consume(handler, { onReport: (report) => reports.push(report) }))
}

/** The engine, with some of it changed. */
function changed(changes: Partial<QueuePort>): Queue<string, string> {
  const port = engine.queue!
  const altered = new Proxy(port, {
    get(target, name) {
      const value = name in changes ? changes[name as keyof QueuePort] : target[name as keyof QueuePort]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return new Queue(contract, altered, 'nats', clock)
}

test('the newest that a handler said is seen in peek within two seconds, and costs one call however often it is said', async () => {
  let calls = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const port = engine.queue!
  const counted = changed({
    extend(...args) {
      calls += 1
      return port.extend(...args)
    },
  })
  await films.send('long')
  let say = (_: unknown) => {}
  consume(async (_, delivery) => {
    say = (value) => delivery.progress(value)
    await promise
  }, counted)
  await clock.advance(0)
  for (let n = 1; n <= 1_000; n++) say(n / 1_000)
  expect((await films.peek())[0]?.progress).toBe(undefined)
  await clock.advance(2_500)
  expect((await films.peek())[0]?.progress).toBe(1)
  expect(calls).toBe(1)
  say({ frame: 12 })
  await clock.advance(2_500)
  expect((await films.peek())[0]).toMatchObject({ state: 'leased', progress: { frame: 12 } })
  resolve()
  await clock.advance(0)
  expect(await films.peek()).toEqual([])
})

test('what could not be stored is stored with the next renewal, unless there is something newer', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const port = engine.queue!
  let away = true
  const shaky = changed({
    extend(...args) {
      if (away) throw new Error('away')
      return port.extend(...args)
    },
  })
  await films.send('long')
  consume(async (_, delivery) => {
    delivery.progress('first')
    await promise
  }, shaky)
  await clock.advance(3_000)
  away = false
  await clock.advance(3_000)
  expect((await films.peek())[0]?.progress).toBe('first')
  resolve()
})

test('what cannot be kept is refused', async () => {
  const errors: unknown[] = []
  const trying = (value: unknown): Handler<string> => {
    return (_, delivery) => {
      try {
        delivery.progress(value)
      } catch (error) {
        errors.push(error)
      }
    }
  }
  const ring: unknown[] = []
  ring.push(ring)
  for (const [value, code] of [
    [undefined, 'INVALID_DATA'],
    [ring, 'INVALID_DATA'],
    ['x'.repeat(4_000), 'TOO_LARGE'],
  ] as const) {
    await films.send('short')
    consume(trying(value))
    await clock.advance(0)
    await consumers.pop()!.stop()
    expect(errors).toHaveLength(1)
    expect(isSpillwayError(errors.pop(), code), code).toBe(true)
  }
  await films.send('short')
  consume(trying(1), changed({ capabilities: { ...engine.queue!.capabilities, progress: false } }))
  await clock.advance(0)
  expect(errors).toMatchObject([{ code: 'CAPABILITY_MISSING', engine: 'nats' }])
})

test('what was done is kept, the newest first, and consumers remove what need not be kept', async () => {
  consume(() => {})
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    await films.send(name)
    await clock.advance(1_000)
  }
  const names = async () => (await films.finished()).map(({ message }) => message?.data)
  expect(await names()).toEqual(['e', 'd', 'c', 'b', 'a'])
  const [newest] = await films.finished({ limit: 1 })
  expect(newest?.finishedAt).toBeInstanceOf(Date)
  expect(
    (await films.finished({ limit: 1, after: newest!.handle })).map(({ message }) => message?.data),
  ).toEqual(['d'])
  await clock.advance(60_000)
  expect(await names()).toEqual(['e', 'd', 'c'])
  await clock.advance(3_600_000)
  expect(await names()).toEqual([])
  expect(await engine.queue!.trimFinished('films')).toBe(0)
  expect(reports).toEqual([])
})

test('a consumer that cannot trim says so and goes on', async () => {
  let failing = true
  const port = engine.queue!
  const shaky = changed({
    trimFinished(queue) {
      if (failing) return Promise.reject(new Error('away'))
      return port.trimFinished(queue)
    },
  })
  consume(() => {}, shaky)
  for (const name of ['a', 'b', 'c', 'd']) await films.send(name)
  await clock.advance(0)
  expect(reports).toMatchObject([{ from: 'the finished messages of films' }])
  failing = false
  await clock.advance(60_000)
  expect(await films.finished()).toHaveLength(3)
})

test('what an earlier contract kept is removed when a consumer of the new one begins', async () => {
  consume(() => {})
  await films.send('a')
  await clock.advance(0)
  expect(await films.finished()).toHaveLength(1)
  await consumers.pop()!.stop()
  const plain = queueContract('films', { data: unchecked<string>() })
  await declareQueues(engine.name, engine.queue!, [plain])
  consume(() => {}, new Queue(plain, engine.queue!, engine.name, clock))
  await clock.advance(0)
  expect(await films.finished()).toEqual([])
})
