import assert from 'node:assert/strict'
import { test } from 'node:test'
import { context, queue, run, service, topology, unchecked } from 'spillway'
import { fakeClock, handlerSpy, MemoryTable, memory, memoryDatabase } from 'spillway/testing'

const desk = context('desk', {
  queues: {
    remind: queue({ data: unchecked<string>(), retry: { attempts: 2, initial: '20m', max: '20m' } }),
    ring: queue({ data: unchecked<string>(), ttl: '5m' }),
  },
})

test('half an hour later, and again after a failure; what is too late is a dead letter', async () => {
  const clock = fakeClock() // stands still until it is advanced
  const database = memoryDatabase({ db: new MemoryTable<string>(), clock })
  const office = service(desk, { database })
    .work(desk.queues.remind, (_, { attempt }) => {
      if (attempt === 1) throw new Error('nobody at home')
    })
    .work(desk.queues.ring, () => {})
  const spy = handlerSpy()
  await using running = await run(topology({ contexts: [office], engine: 'memory:' }), {
    engine: memory({ clock }),
    clock, // the same one everywhere
    onSettled: spy,
  })

  await running.queue(desk.queues.remind).send('call back', { delay: '30m' })
  await clock.advance('29m')
  assert.deepEqual(spy.seen(desk.queues.remind), [])
  await clock.advance('1m')
  await spy.until(desk.queues.remind, 'retried')
  await clock.advance('20m')
  assert.equal((await spy.until(desk.queues.remind)).attempt, 2)

  const ring = running.queue(desk.queues.ring)
  await ring.pause()
  await ring.send('the other line')
  await clock.advance('6m')
  await ring.resume()
  await clock.advance('2s')
  assert.match((await spy.until(desk.queues.ring, 'dead-lettered')).reason ?? '', /begun before/)
})
