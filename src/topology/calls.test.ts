// Where one calls: handlers, batches, answers, programs; each with its keys, its deadline, and never inside a transaction.
import { afterEach, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { always, http, type Script, ScriptedServer } from '../../test/call/scripted-server.ts'
import { call } from '../core/call-contract.ts'
import type { CallResult } from '../core/call-result.ts'
import { context, event, queue } from '../core/contract.ts'
import type { SpillwayError } from '../core/errors.ts'
import { retry } from '../core/outcome.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { type Running, type RunOptions, run } from './run.ts'
import { service } from './service.ts'
import { check, topology } from './topology.ts'

const Order = z.object({ id: z.string() })
const inventory = context('inventory', {
  calls: {
    reserve: call({
      kind: 'command',
      input: Order,
      output: z.object({ reservation: z.string() }),
      errors: { soldOut: z.object({ product: z.string() }) },
    }),
    stockOf: call({ input: Order, output: z.object({ pieces: z.int() }) }),
    stockOfNew: call({ name: 'stockOf', version: 2, input: Order, output: z.object({ stock: z.int() }) }),
  },
})
const { reserve, stockOf, stockOfNew } = inventory.calls
const orders = context('orders', {
  events: { placed: event({ data: Order, key: ({ id }) => id }) },
  queues: {
    pack: queue({ data: Order, retry: { attempts: 5, initial: 1 } }),
    label: queue({ data: Order, retry: { attempts: 5, initial: 1 } }),
  },
  calls: {
    summary: call({ input: Order, output: z.object({ pieces: z.int() }) }),
    hasty: call({ input: Order, output: z.unknown() }),
  },
})

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each[Symbol.asyncDispose]()
})

const stock = service(inventory)
  .answer(stockOf, ({ id }) => ({ pieces: id.length }))
  .answer(stockOfNew, ({ id }) => ({ stock: -id.length }))

async function serve(script: Script) {
  const server = await ScriptedServer.start(script)
  closing.push(server)
  return server
}

async function start(
  contexts: Parameters<typeof topology>[0]['contexts'],
  options: RunOptions = {},
): Promise<Running> {
  const running = await run(topology({ contexts, engine: 'memory:' }), { engine: memory(), ...options })
  closing.push({ [Symbol.asyncDispose]: () => running.stop({ deadlineMs: 0 }) })
  return running
}

const header = (name: string, { requests }: ScriptedServer) =>
  requests.map(({ head }) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1])
const reserved = always(http(200, { reservation: 'r1' }))
const once = { calls: { inventory: { retry: { attempts: 1 } } } }

test('a handler calls a context that runs in the same process, without an address, in either version', async () => {
  const seen: unknown[] = []
  const shop = service(orders).on(orders.events.placed, async ({ data }, { publish: _, call: ask }) => {
    const one = await ask(stockOf, data)
    expectTypeOf<Extract<typeof one, { status: 'ok' }>['value']>().toEqualTypeOf<{ pieces: number }>()
    expectTypeOf<Extract<typeof one, { status: 'failed' }>['reason']>().toEqualTypeOf<'error'>()
    // @ts-expect-error a stranger to the contract
    void (() => ask(stockOf, { product: 1 }))
    // @ts-expect-error a fallback of another type
    void (() => ask(stockOf, data, { fallback: 'none' }))
    seen.push(one, await ask(stockOfNew, data))
  })
  const running = await start([shop, stock])
  await running.service(shop).transaction((tx) => tx.publish(orders.events.placed, { id: 'abc' }))
  await running.drained()
  expect(seen).toEqual([
    { status: 'ok', value: { pieces: 3 } },
    { status: 'ok', value: { stock: -3 } },
  ])
  expect(running.breakers()).toMatchObject({ inventory: { state: 'closed', calls: 2, failed: 0 } })
})

test('a message that is handled again asks again with the same keys', async () => {
  const server = await serve(reserved)
  let runs = 0
  const shop = service(orders).work(orders.queues.pack, async ({ data }, { call: ask }) => {
    runs += 1
    await ask(reserve, data)
    await ask(reserve, { id: 'second' })
    await ask(reserve, data, { key: 'mine' })
    if (runs < 3) return retry({ after: 1 })
  })
  const running = await start([shop, inventory], {
    addresses: { inventory: [server.address] },
  })
  const id = await running.queue(orders.queues.pack).send({ id: 'o1' })
  await running.drained()
  const keys = header('idempotency-key', server)
  const [first, second] = [1, 2].map((ordinal) => `orders:orders.pack:inventory.reserve:${ordinal}:${id}`)
  expect(keys).toEqual([first, second, 'mine', first, second, 'mine', first, second, 'mine'])
  expect(header('spillway-correlation', server).every((each) => each === id)).toBe(true)
  expect(header('spillway-key-age', server).every((age) => Number(age) >= 1)).toBe(true)
})

test('the id of a message may be any text: the calls of its handler are answered', async () => {
  const results: CallResult<unknown>[] = []
  const shop = service(orders).work(orders.queues.pack, async ({ data }, { call: ask }) => {
    results.push(await ask(stockOf, data))
  })
  const running = await start([shop, stock])
  await running.queue(orders.queues.pack).send({ id: 'o1' }, { id: 'order 4711' })
  await running.drained()
  expect(results).toMatchObject([{ status: 'ok' }])
})

test('nobody there: certain for a program; unknown in a handler, of which an earlier run may have asked', async () => {
  const results: CallResult<unknown>[] = []
  const shop = service(orders)
    .work(orders.queues.pack, async ({ data }, { call: ask, attempt }) => {
      results.push((await ask(reserve, data)) as CallResult<unknown>)
      if (attempt === 1) return retry({ after: 1 })
    })
    .on(orders.events.placed, async ({ data }, { call: ask }) => {
      results.push((await ask(reserve, data)) as CallResult<unknown>)
    })
  const running = await start([shop, inventory], {
    addresses: { inventory: ['http://127.0.0.1:1'] },
    ...once,
  })
  await running.queue(orders.queues.pack).send({ id: 'o1' })
  await running.drained()
  await running.service(shop).transaction((tx) => tx.publish(orders.events.placed, { id: 'abc' }))
  await running.drained()
  results.push((await running.service(shop).call(reserve, { id: 'x' })) as CallResult<unknown>)
  expect(results.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'unknown', 'failed'])
  expect(results.every((each) => each.status !== 'ok' && each.error.code === 'UNREACHABLE')).toBe(true)
})

test('in a batch a command says for which message it asks', async () => {
  const server = await serve(reserved)
  const refusals: string[] = []
  const shop = service(orders).workBatch(orders.queues.label, async (messages, { call: ask }) => {
    await ask(stockOf, messages[0]!.data)
    try {
      await ask(reserve, messages[0]!.data)
    } catch (thrown) {
      refusals.push((thrown as SpillwayError).code)
    }
    for (const message of messages) await ask(reserve, message.data, { message })
  })
  const running = await start([shop, inventory], { addresses: { inventory: [server.address] } })
  const sent = await running.queue(orders.queues.label).sendMany(['a', 'b', 'c'].map((id) => ({ id })))
  await running.drained()
  expect(refusals[0]).toBe('INVALID_OPTION')
  const keys = header('idempotency-key', server).filter((key) => key !== undefined)
  expect(keys.sort()).toEqual(sent.map((id) => `orders:orders.label:inventory.reserve:1:${id}`).sort())
})

test('refused in a commit, after one, and past a handler: nothing leaves and nothing is stored', async () => {
  const server = await serve(reserved)
  const codes: unknown[] = []
  const note = async (work: () => unknown) => {
    try {
      await work()
    } catch (thrown) {
      codes.push((thrown as SpillwayError).code)
    }
  }
  const table = new MemoryTable<number>()
  const shop = service(orders, { database: memoryDatabase({ db: table }) }).on(
    orders.events.placed,
    async ({ data }, { call: ask, commit }) => {
      await note(() => running.service(shop).call(reserve, data))
      await note(() =>
        commit((tx) => {
          tx.db.set('stored', 1)
          void ask(reserve, data)
        }),
      )
      expect(table.get('stored')).toBeUndefined()
      await commit()
      await note(() => ask(reserve, data))
    },
  )
  const running: Running = await start([shop, inventory], { addresses: { inventory: [server.address] } })
  await note(() =>
    running.service(shop).transaction(() => void running.service(shop).call(reserve, { id: 'x' })),
  )
  await running.service(shop).transaction((tx) => tx.publish(orders.events.placed, { id: 'abc' }))
  await running.drained()
  expect(codes).toEqual(['DIRECT_SEND', 'DIRECT_SEND', 'OUTSIDE_IO', 'OUTSIDE_IO'])
  expect(server.requests).toEqual([])
})

test('an answer asks others within what is left of its own deadline, once, and for no command', async () => {
  const server = await serve(always(http(500, { code: 'ANSWER_FAILED' })))
  const refusals: string[] = []
  const shop = service(orders)
    .answer(orders.calls.summary, async (order, { call: ask }) => {
      const asked = await ask(stockOf, order)
      return { pieces: asked.status === 'ok' ? asked.value.pieces : -1 }
    })
    .answer(orders.calls.hasty, async (order, { call: ask }) => {
      try {
        await ask(reserve, order)
      } catch (thrown) {
        refusals.push((thrown as Error).message)
      }
      return {}
    })
  const running = await start([shop, inventory], { addresses: { inventory: [server.address] } })
  const result = await running.service(shop).call(orders.calls.summary, { id: 'x' }, { deadline: '4s' })
  expect(result).toEqual({ status: 'ok', value: { pieces: -1 } })
  expect(header('spillway-nested', server)).toEqual(['1'])
  expect(Number(header('spillway-deadline', server)[0])).toBeLessThanOrEqual(4_000)
  await running.service(shop).call(orders.calls.hasty, { id: 'x' })
  expect(refusals).toEqual([expect.stringContaining('a query changes nothing')])
})

test('a handler that is told to stop gives up its call', async () => {
  const server = await serve(() => {})
  const results: unknown[] = []
  const shop = service(orders).work(orders.queues.pack, async ({ data }, { call: ask }) => {
    results.push(await ask(reserve, data, { deadline: '1m' }))
  })
  const running = await start([shop, inventory], { addresses: { inventory: [server.address] } })
  await running.queue(orders.queues.pack).send({ id: 'o1' })
  await vi.waitFor(() => expect(server.requests).toHaveLength(1), 10_000)
  await running.stop({ deadlineMs: 0 })
  expect(results).toMatchObject([{ status: 'unknown', error: { code: 'ABORTED' } }])
})

test('what the topology says of others is checked; nobody there is a failed call that says what to do', async () => {
  const shop = service(orders)
  const wrong = topology({
    contexts: [shop, inventory],
    engine: 'memory:',
    addresses: { inventroy: ['http://x'] },
    calls: { stocks: {} },
  })
  expect(check(wrong)).toEqual(
    expect.arrayContaining([expect.stringContaining('inventroy'), expect.stringContaining('stocks')]),
  )
  const running = await start([shop, inventory])
  expect(await running.service(shop).call(stockOf, { id: 'x' })).toMatchObject({
    status: 'failed',
    error: { code: 'NO_ADDRESS', message: expect.stringContaining('addresses') },
  })
  await expect(
    start([shop, inventory], { addresses: { inventory: ['x'] }, calls: { inventory: {} } }),
  ).rejects.toThrow(/is no address/)
  await expect(start([shop, inventory], { addresses: { inventory: ['x'] } })).rejects.toThrow(/is no address/)
  await expect(start([shop, inventory], { addresses: { inventory: 'http://x' as never } })).rejects.toThrow(
    /no list/,
  )
  await expect(
    start([shop, inventory], { calls: { inventory: { retry: { tries: 1 } as never } } }),
  ).rejects.toThrow(/no option `tries`/)
})

test('keys of long or strange ids are hashed, and stay the same', async () => {
  const server = await serve(reserved)
  const shop = service(orders).work(orders.queues.pack, async ({ data }, { call: ask }) => {
    await ask(reserve, data)
  })
  const running = await start([shop, inventory], { addresses: { inventory: [server.address] } })
  for (const id of ['ü ber', 'x'.repeat(200)])
    await running.queue(orders.queues.pack).send({ id: 'o' }, { id })
  await running.drained()
  const keys = header('idempotency-key', server)
  expect(keys).toEqual([
    expect.stringMatching(/^sha256:[\w-]{43}$/),
    expect.stringMatching(/^sha256:[\w-]{43}$/),
  ])
  expect(new Set(keys).size).toBe(2)
})

test('while a process stops its contexts answer until the last handler has ended, and its health says that it leaves', async () => {
  const [begun, stopping] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const heard: unknown[] = []
  const shop = service(orders).work(orders.queues.pack, async ({ data }, { call: ask }) => {
    begun.resolve()
    await stopping.promise
    heard.push(await ask(stockOf, data))
  })
  const running = await start([stock, shop])
  await running.queue(orders.queues.pack).send({ id: 'shirt' })
  await begun.promise
  const stopped = running.stop()
  await vi.waitFor(async () => expect((await fetch(`${running.address}/health`)).status).toBe(503))
  stopping.resolve()
  await stopped
  expect(heard).toEqual([{ status: 'ok', value: { pieces: 5 } }])
})
