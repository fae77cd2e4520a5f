// Replaying must show each event that happened, once, in order, and disturb nobody.
import { afterEach, beforeEach, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { context, event } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { memory } from '../testing/memory/engine.ts'
import { type Running, run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const account = context('account', {
  events: {
    opened: event({ data: z.object({ id: z.string() }), key: ({ id }) => id }),
    moved: event({ data: z.object({ id: z.string(), by: z.number() }), key: ({ id }) => id }),
  },
})
const bare = service(account)

let engine: Engine
let running: Running

beforeEach(async () => {
  engine = memory()
  running = await run(topology({ contexts: [bare], engine: 'memory:', partitions: 3 }), { engine })
})
afterEach(async () => {
  await running.stop()
  await engine.close()
})

const publish = (id: string, steps: number) =>
  running.service(bare).transaction((tx) => {
    tx.publish(account.events.opened, { id })
    for (let by = 1; by <= steps; by++) tx.publish(account.events.moved, { id, by })
  })

test('handlers of several types see their events in order per key', async () => {
  for (const id of ['a', 'b', 'c', 'd']) await publish(id, 3)
  const seen = new Map<string, (string | number)[]>()
  const count = await running.replay(account, {
    opened: ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<{ id: string }>()
      seen.set(data.id, ['opened'])
    },
    moved: async ({ data }) => {
      await Promise.resolve()
      seen.get(data.id)?.push(data.by)
    },
  })
  expect(count).toBe(16)
  expect([...seen.keys()].sort()).toEqual(['a', 'b', 'c', 'd'])
  for (const history of seen.values()) expect(history).toEqual(['opened', 1, 2, 3])
})

test('events without a handler are passed over and not counted', async () => {
  await publish('a', 5)
  expect(await running.replay(account, { opened: () => {} })).toBe(1)
})

test('what a relay sent twice is handled once', async () => {
  await publish('a', 2)
  const port = engine.stream!
  for (const { partition, earliest: position } of await port.bounds('account')) {
    const records = await port.read('account', [{ partition, position }], {
      maxRecords: 10,
      maxBytes: 1e6,
      waitMs: 0,
    })
    const numbered = records.map(({ key, body }, index) => ({
      partition,
      key,
      body: `${body.slice(0, -1)},"producerid":"p","sequence":"${index + 1}"}`,
    }))
    if (numbered.length === 0) continue
    await port.append('account', numbered)
    await port.append('account', numbered)
  }
  // 3 without numbers, and 3 numbered ones of which each stands there twice.
  expect(await running.replay(account, { opened: () => {}, moved: () => {} })).toBe(6)
})

test('an event that cannot be read ends the replay with its error', async () => {
  await publish('a', 1)
  await engine.stream!.append('account', [{ partition: 0, body: 'no JSON' }])
  await expect(running.replay(account, { opened: () => {} })).rejects.toMatchObject({
    code: 'INVALID_MESSAGE',
  })
})

test('a name that the context does not publish is refused', async () => {
  const wrong = { name: 'account', events: account.events as unknown as Record<string, never> }
  await expect(running.replay(wrong, { closed: (() => {}) as never })).rejects.toMatchObject({
    code: 'UNKNOWN_EVENT',
  })
})

test('a handler that throws ends the replay', async () => {
  await publish('a', 1)
  const failing = () => {
    throw new Error('no')
  }
  await expect(running.replay(account, { opened: failing })).rejects.toThrow('no')
})

test('an event of another version is upcast', async () => {
  const newer = context('account', {
    events: {
      opened: event({
        version: 2,
        upcast: { 1: ({ id }: { id: string }) => ({ name: id }) },
        data: unchecked<{ name: string }>(),
      }),
    },
  })
  await publish('a', 0)
  const names: string[] = []
  await running.replay(newer, { opened: ({ data }) => names.push(data.name) })
  expect(names).toEqual(['a'])
})
