// Contracts and the rules that they become, as their user sees them work.
import { afterEach, beforeEach, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { context, type QueueOptions, queue, queueContract } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { QueueCapabilities } from '../ports/capability.ts'
import type { Engine } from '../ports/engine.ts'
import type { QueuePort } from '../ports/queue.ts'
import { Spillway } from '../spillway.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memory } from '../testing/memory/engine.ts'
import { run } from '../topology/run.ts'
import { service } from '../topology/service.ts'
import { topology } from '../topology/topology.ts'
import type { Consumer } from './consumer.ts'
import { rulesOf } from './rules.ts'

interface Job {
  name: string
  tenant?: string
}
const data = unchecked<Job>()

let clock: FakeClock
let engine: Engine
let spillway: Spillway
const consumers: Consumer[] = []

beforeEach(() => {
  clock = fakeClock()
  engine = memory({ clock })
  spillway = new Spillway(engine, clock)
})
afterEach(async () => {
  const stopped = Promise.all(consumers.splice(0).map((consumer) => consumer.stop({ deadlineMs: 1 })))
  await clock.advance(60_000)
  await stopped
  await spillway.close()
})

/** A queue with one message for each letter, and what ran, as `a+` at its beginning and `a-` at its end, 10 ms later. */
async function watch(options: Omit<QueueOptions<Job, Job>, 'data'>, jobs: readonly Job[], concurrency = 10) {
  const work = await spillway.queue('work', { data, retry: { initial: 0, max: 0 }, ...options })
  await work.sendMany(jobs)
  const seen: string[] = []
  const start = () =>
    consumers.push(
      work.consume(
        async (message) => {
          const { name } = message.data
          seen.push(`${name}+`)
          await new Promise<void>((resolve) => clock.after(10, resolve))
          seen.push(`${name}-`)
        },
        { concurrency },
      ),
    )
  start()
  return { work, seen, start }
}

test('messages of one key are handled one at a time, in order, also through retries', async () => {
  const work = await spillway.queue('work', {
    data,
    key: (job) => job.tenant,
    retry: { initial: '1s', max: '1s' },
  })
  const jobs = ['a1', 'b1', 'a2', 'free', 'a3', 'b2'].map((name) => ({
    name,
    ...(name === 'free' ? {} : { tenant: name[0]! }),
  }))
  await work.sendMany(jobs)
  const seen: string[] = []
  consumers.push(
    work.consume(({ data: { name } }, { attempt }) => {
      if (name === 'a1' && attempt === 1) throw new Error('once')
      seen.push(name)
    }),
  )
  await clock.advance(0)
  expect(seen).toEqual(['b1', 'free', 'b2'])
  await clock.advance(1_000)
  expect(seen.slice(3)).toEqual(['a1', 'a2', 'a3'])
})

test('the highest priority first', async () => {
  const work = await spillway.queue('work', { data, priority: true })
  await work.send({ name: 'low' }, { priority: -1 })
  await work.send({ name: 'usual' })
  await work.send({ name: 'high' }, { priority: 7 })
  const seen: string[] = []
  consumers.push(work.consume((message) => void seen.push(message.data.name), { concurrency: 1 }))
  await clock.advance(0)
  expect(seen).toEqual(['high', 'usual', 'low'])
})

test('groups take turns, and no group has more at once than it may', async () => {
  const jobs = [...'aaaaaab'].map((name) => ({ name, tenant: name }))
  const { seen } = await watch({ group: (job) => job.tenant, groupConcurrency: 2 }, jobs)
  await clock.advance(0)
  expect(seen.toSorted()).toEqual(['a+', 'a+', 'b+'])
  await clock.advance(10)
  expect(seen.slice(3).toSorted()).toEqual(['a+', 'a+', 'a-', 'a-', 'b-'])
})

test('what one consumer only holds takes no place that another could use', async () => {
  const jobs = Array.from({ length: 20 }, (_, n) => ({ name: `${n}` }))
  const { seen, start } = await watch({ maxConcurrency: 6 }, jobs, 3)
  start()
  let most = 0
  for (let ms = 0; ms < 60; ms++) {
    await clock.advance(1)
    const running = seen.filter((line) => line.endsWith('+')).length * 2 - seen.length
    most = Math.max(most, running)
    if (ms === 5 || ms === 15) expect(running).toBe(6)
  }
  expect(most).toBe(6)
})

test('no more are begun in a time than the rate says', async () => {
  const jobs = Array.from({ length: 10 }, (_, n) => ({ name: `${n}` }))
  const { seen } = await watch({ rate: { count: 2, per: '1s' } }, jobs)
  const begun = () => seen.filter((line) => line.endsWith('+')).length
  await clock.advance(0)
  expect(begun()).toBe(2)
  await clock.advance(2_000)
  expect(begun()).toBe(6)
})

test('every option of a contract becomes its rule, and no option none', () => {
  expect(rulesOf(queueContract('plain', { data, ttl: '1d', deadline: '1s' }))).toEqual({})
  const contract = queueContract('full', {
    data,
    key: (job) => job.name,
    priority: true,
    dedup: true,
    group: (job) => job.tenant,
    groupConcurrency: 3,
    maxConcurrency: 9,
    rate: { count: 5, per: '1m' },
  })
  expect(rulesOf(contract)).toEqual({
    keyOrder: true,
    priority: true,
    dedup: true,
    groups: { concurrency: 3 },
    concurrency: 9,
    rate: { count: 5, perMs: 60_000 },
  })
})

test('what cannot work is refused when the contract is made, or the queue opened', async () => {
  expect(() => queueContract('work', { data, groupConcurrency: 2 })).toThrow('CONFIGURATION')
  for (const options of [
    { maxConcurrency: 0 },
    { rate: { count: 1.5, per: '1s' } },
    { rate: { count: 1, per: 0 } },
    { rate: { count: 1, per: 'soon' } },
    { ttl: 0 },
    { ttl: 'soon' },
    { dedup: { key: () => 'x', for: '400d' } },
    { deadline: 0 },
    { retry: { attempts: 0 } },
  ])
    await expect(spillway.queue('work', { data, ...options } as never)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
})

/** The engine without one capability; it remembers what was declared. */
function without(capability: keyof QueueCapabilities): {
  readonly poor: Engine
  readonly declared: string[]
} {
  const declared: string[] = []
  const port = engine.queue!
  const poorer = new Proxy(port, {
    get(target, name) {
      if (name === 'capabilities') return { ...target.capabilities, [capability]: false }
      if (name === 'declare')
        return (...args: Parameters<QueuePort['declare']>) => {
          declared.push(...args[0])
          return target.declare(...args)
        }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { poor: { ...engine, name: 'poor', queue: poorer }, declared }
}

test.each<[keyof QueueCapabilities, Omit<QueueOptions<Job, Job>, 'data'>]>([
  ['keyOrder', { key: (job) => job.name }],
  ['priority', { priority: true }],
  ['dedup', { dedup: (job) => job.name }],
  ['groups', { group: (job) => job.tenant }],
  ['concurrency', { maxConcurrency: 1 }],
  ['rate', { rate: { count: 1, per: '1s' } }],
])(
  'an engine without %s refuses the queue and the topology, by name, before anything is made',
  async (feature, options) => {
    const { poor, declared } = without(feature)
    const refusal = {
      code: 'CAPABILITY_MISSING',
      engine: 'poor',
      message: expect.stringContaining('queue mill.grind asks for'),
      details: { feature, queue: 'mill.grind' },
    }
    const mill = context('mill', { queues: { fine: queue({ data }), grind: queue({ data, ...options }) } })
    await expect(new Spillway(poor, clock).queue(mill.queues.grind)).rejects.toMatchObject(refusal)
    const start = run(topology({ contexts: [service(mill)], engine: 'memory:' }), { engine: poor })
    await expect(start).rejects.toMatchObject(refusal)
    expect(declared).toEqual([])
    expect(
      await run(topology({ contexts: [mill], engine: 'memory:' }), { engine }).then((it) => it.stop()),
    ).toBe(undefined)
  },
)

test('a queue has the rules of the contract that opened it last', async () => {
  await spillway.queue('work', { data, priority: true })
  await spillway.queue('work', { data })
  await expect(engine.queue!.send('work', [{ id: 'x', body: '{}', priority: 1 }])).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  })
})

test('types: functions of the data see what is sent', () => {
  const options = { data: z.object({ n: z.string().transform(Number) }) }
  void (() => {
    queue({ ...options, key: (sent) => sent.n, priority: (sent) => sent.n.length })
    queue({ ...options, dedup: { key: (sent) => sent.n, for: '1h' } })
    // @ts-expect-error a key is a text
    queue({ ...options, key: () => 7 })
    // @ts-expect-error there is no such field
    queue({ ...options, group: (sent) => sent.tenant })
    // @ts-expect-error a time to forget a key after needs the key
    queue({ ...options, dedup: { for: '1h' } })
  })
  const { queues } = context('typed', { queues: { q: queue({ ...options, key: (sent) => sent.n }) } })
  expectTypeOf(queues.q.key!).parameter(0).toEqualTypeOf<{ n: string }>()
})
