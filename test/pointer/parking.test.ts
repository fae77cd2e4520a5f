// Pointer events and what else a group does with events: those behind a parked one are parked without being fetched; an owner that cannot be asked is refused at start.
import { expect, test, vi } from 'vitest'
import { context, run, service, topology } from '../../src/index.ts'
import { MemoryTable, memory, memoryDatabase } from '../../src/testing/index.ts'
import { change, delivering, orders, selling } from './shipping.ts'

const patience = { timeout: 30_000, interval: 20 }

test('what is parked behind a failure is not fetched before it is let go of', {
  timeout: 60_000,
}, async () => {
  const engine = memory()
  const seller = selling()
  let mended = false
  const shown: string[] = []
  const labels = service(context('labels', {}), {
    database: memoryDatabase({ db: new MemoryTable<number>() }),
  }).on(
    orders.events.shipped,
    ({ data, current }) => {
      if (data.orderId === '4711' && !mended) throw new Error('out of paper')
      shown.push(`${data.orderId}/${data.version}: ${current.state === 'found' && current.version}`)
    },
    { onFailure: 'park', retry: { attempts: 1 } },
  )
  const running = await run(topology({ contexts: [seller.service, labels], engine: 'memory:' }), { engine })
  const group = running.service(labels).group(orders)
  const changeAll = () =>
    running.service(seller.service).transaction((tx) => {
      for (const id of ['4711', '4712']) change(tx, id, 'shipped')
    })
  await changeAll()
  await vi.waitFor(async () => {
    expect(shown).toEqual(['4712/1: 1'])
    expect(await group.parked()).toHaveLength(1)
  }, patience)
  const asked = seller.asked.get('4711')
  await changeAll()
  await vi.waitFor(async () => {
    expect(shown).toEqual(['4712/1: 1', '4712/2: 2'])
    expect(await group.parked()).toHaveLength(2)
  }, patience)
  expect(seller.asked.get('4711')).toBe(asked)
  mended = true
  await group.unpark('4711')
  await vi.waitFor(async () => {
    // The first of them was fetched before; it is given that state, or today's.
    expect(shown.slice(2)).toEqual([expect.stringMatching(/^4711\/1: [12]$/), '4711/2: 2'])
    expect(await group.parked()).toEqual([])
  }, patience)
  await running.stop()
  await engine.close()
})

test('whose owner nobody can ask does not start', async () => {
  const engine = memory()
  const { service: courier } = delivering('delivery')
  const start = run(topology({ contexts: [orders as never, courier], engine: 'memory:' }), { engine })
  await expect(start).rejects.toMatchObject({
    code: 'NO_ADDRESS',
    message: expect.stringContaining('delivery handles the pointer event orders.shipped'),
  })
  await engine.close()
})
