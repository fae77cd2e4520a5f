// What services do with queues beyond one message at a time: batches, flows through the outbox, progress; and how many events at once.
import { expect, test, vi } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import { retry } from '../core/outcome.ts'
import { unchecked } from '../core/schema.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { memory } from '../testing/memory/engine.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const till = context('till', {
  events: { rung: event({ data: unchecked<number>(), key: (n) => String(n) }) },
  queues: {
    count: queue({ data: unchecked<number>(), retry: { initial: '1ms', max: '1ms' } }),
    bake: queue({ data: unchecked<string>(), flow: true }),
    pack: queue({ data: unchecked<string>(), flow: true }),
  },
})
const { count, bake, pack } = till.queues
const database = () => memoryDatabase({ db: new MemoryTable<number>() })

test('workBatch handles many at once, commits once for all, and retries those that it names', async () => {
  const engine = memory()
  const sizes: number[] = []
  const seen = new Map<number, number>()
  const tills = service(till, { database: database() }).workBatch(
    count,
    async (messages, { commit, deliveries }) => {
      sizes.push(messages.length)
      for (const { data } of messages) seen.set(data, (seen.get(data) ?? 0) + 1)
      const outcomes = messages.map(({ data }, n) =>
        data === 7 && deliveries[n]!.attempt === 1 ? retry() : undefined,
      )
      await commit((tx) => {
        const done = outcomes.filter((outcome) => outcome === undefined).length
        tx.db.set('done', (tx.db.get('done') ?? 0) + done)
        tx.db.set('commits', (tx.db.get('commits') ?? 0) + 1)
      }, outcomes)
    },
    { size: 10, wait: '100ms', concurrency: 2 },
  )
  const source = tills.database!
  let db: MemoryTable<number> | undefined
  const opened = {
    async open(name: string) {
      const made = await source.open(name)
      db = made.db
      return made
    },
  }
  const running = await run(topology({ contexts: [{ ...tills, database: opened }], engine: 'memory:' }), {
    engine,
  })
  await running.queue(count).sendMany(Array.from({ length: 30 }, (_, n) => n))
  await running.drained()
  expect(db?.get('done')).toBe(30)
  expect(db?.get('commits')).toBe(sizes.length)
  expect(Math.max(...sizes)).toBe(10)
  expect(seen.get(7)).toBe(2)
  expect([...seen.values()].reduce((sum, times) => sum + times)).toBe(31)
  await running.stop()
  await engine.close()
})

test('a handler sends what waits for what it sends; drained waits for both', async () => {
  const engine = memory()
  const order: string[] = []
  const baked = Promise.withResolvers<void>()
  const tills = service(till, { database: database() })
    .on(till.events.rung, ({ data }, { send }) => {
      const first = send(bake, `bread ${data}`)
      const second = send(bake, `roll ${data}`)
      send(pack, `bag ${data}`, { after: [first, second] })
    })
    .work(bake, async ({ data }, { progress }) => {
      progress({ in: 'the oven' })
      await baked.promise
      order.push(data)
    })
    .work(pack, ({ data }) => void order.push(data))
    .work(count, () => {})
  const running = await run(topology({ contexts: [tills], engine: 'memory:' }), { engine })
  await running.service(tills).transaction(({ publish }) => publish(till.events.rung, 1))
  await vi.waitFor(
    async () => {
      const [waiting] = await running.queue(pack).peek()
      expect(waiting?.state).toBe('waiting')
      expect(waiting?.after).toHaveLength(2)
      const [bread] = await running.queue(bake).peek()
      expect(bread?.progress).toEqual({ in: 'the oven' })
    },
    { timeout: 20_000 },
  )
  expect(order).toEqual([])
  baked.resolve()
  await running.drained()
  expect(order.toSorted()).toEqual(['bag 1', 'bread 1', 'roll 1'])
  expect(order.at(-1)).toBe('bag 1')
  await running.stop()
  await engine.close()
})

test('a service says how many events of a stream it handles at once', async () => {
  const engine = memory()
  let now = 0
  let most = 0
  const tills = service(till, { concurrency: 3 }).on(till.events.rung, async () => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 20))
    now--
  })
  const running = await run(topology({ contexts: [tills], engine: 'memory:' }), { engine })
  await running.service(tills).transaction(({ publish }) => {
    for (let n = 0; n < 12; n++) publish(till.events.rung, n)
  })
  await running.drained()
  expect(most).toBe(3)
  await running.stop()
  await engine.close()
})
