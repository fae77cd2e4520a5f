// With one fake clock for the engine, the services' databases and the topology, hours pass in a test without being waited for.
import { expect, test } from 'vitest'
import { context, event, queue } from '../../core/contract.ts'
import { retry } from '../../core/outcome.ts'
import { unchecked } from '../../core/schema.ts'
import { run } from '../../topology/run.ts'
import { service } from '../../topology/service.ts'
import { topology } from '../../topology/topology.ts'
import { fakeClock } from '../fake-clock.ts'
import { memoryDatabase } from '../memory/database.ts'
import { memory } from '../memory/engine.ts'
import { MemoryTable } from '../memory/table.ts'
import { handlerSpy } from './handler-spy.ts'

const office = context('office', {
  events: { opened: event({ data: unchecked<string>() }) },
  queues: {
    remind: queue({ data: unchecked<string>(), retry: { attempts: 3, initial: '20m', max: '40m' } }),
    call: queue({ data: unchecked<string>(), ttl: '15m', deadline: '2m' }),
  },
})

async function start(handle: (data: string, attempt: number, at: number) => unknown) {
  const clock = fakeClock()
  const spy = handlerSpy()
  const database = memoryDatabase({ db: new MemoryTable<string>(), clock })
  const works = service(office, { database })
    .work(office.queues.remind, ({ data }, { attempt }) => handle(data, attempt, clock.now()))
    .work(office.queues.call, ({ data }, { attempt, signal }) => {
      signal.throwIfAborted()
      return handle(data, attempt, clock.now())
    })
    .on(office.events.opened, ({ data }, { send }) => send(office.queues.remind, data, { delay: '30m' }))
  const running = await run(topology({ contexts: [works], engine: 'memory:', partitions: 1 }), {
    engine: memory({ clock }),
    clock,
    onSettled: spy,
  })
  return { clock, spy, running, works, start: clock.now() }
}

const hour = 3_600_000

test('a delayed send comes when it is due, and a retry after its delay', async () => {
  const times: number[] = []
  const {
    clock,
    spy,
    running,
    start: begin,
  } = await start((_, attempt, at) => {
    times.push(at - begin)
    return attempt === 1 ? retry({ after: '1h' }) : undefined
  })
  await running.queue(office.queues.remind).send('water the plants', { delay: '2h' })
  await clock.advance('1h')
  expect(spy.seen(office.queues.remind)).toEqual([])
  await clock.advance('1h')
  await spy.until(office.queues.remind, 'retried')
  await clock.advance('1h')
  expect((await spy.until(office.queues.remind)).attempt).toBe(2)
  expect(times).toEqual([2 * hour, 3 * hour])
  await clock.advance('1s')
  await running.drained()
  await running.stop()
  expect(clock.timers).toBe(0)
})

test('retries by the policy, until it is a dead letter', async () => {
  const { clock, spy, running } = await start(() => {
    throw new Error('out of ink')
  })
  await running.queue(office.queues.remind).send('print')
  await spy.until(office.queues.remind, 'retried', { nth: 1 })
  await clock.advance('20m')
  await spy.until(office.queues.remind, 'retried', { nth: 2 })
  await clock.advance('40m')
  const dead = await spy.until(office.queues.remind, 'dead-lettered')
  expect([dead.attempt, dead.reason]).toEqual([3, 'attempt 3 of 3: out of ink'])
  await running.stop()
})

test('a time-to-live and a deadline pass with the clock', async () => {
  let busy = true
  const { clock, spy, running } = await start(() => (busy ? new Promise(() => {}) : undefined))
  const calls = running.queue(office.queues.call)
  await calls.pause()
  await calls.send('too late for this one')
  await clock.advance('16m')
  await calls.resume()
  await clock.advance('2s')
  expect((await spy.until(office.queues.call, 'dead-lettered')).reason).toContain('was to be begun before')

  await calls.send('nobody answers')
  await clock.advance('2m')
  const timedOut = await spy.until(office.queues.call, 'retried')
  expect(timedOut.reason).toContain('was not handled within 120000 ms')
  busy = false
  await clock.advance('2m')
  await spy.until(office.queues.call)
  await running.stop()
})

test('a schedule fires at its time, in its time zone, once for each', async () => {
  const times: number[] = []
  const { clock, spy, running, start: begin } = await start((_, __, at) => void times.push(at - begin))
  const remind = running.queue(office.queues.remind)
  // The clock begins at midnight in UTC, which is 01:00 in Berlin.
  await remind.schedule('early', { cron: '30 1,2 * * *', timeZone: 'Europe/Berlin' }, 'open the shutters')
  await clock.advance('29m')
  expect(times).toEqual([])
  await clock.advance('1m')
  await spy.until(office.queues.remind)
  await clock.advance('1h')
  const second = await spy.until(office.queues.remind, 'done', { nth: 2 })
  expect(second.message).toMatchObject({ schedule: 'early', scheduledfor: '2026-01-01T01:30:00.000Z' })
  expect(times).toEqual([hour / 2, 1.5 * hour])
  await running.stop()
})

test('what a handler sends for later is on time too', async () => {
  const times: number[] = []
  const { clock, spy, running, works, start: begin } = await start((_, __, at) => void times.push(at - begin))
  await running.service(works).transaction((tx) => tx.publish(office.events.opened, 'lunch'))
  await spy.until(office.events.opened)
  await clock.advance('30m')
  const reminded = await spy.until(office.queues.remind)
  expect(reminded.message.time).toBe('2026-01-01T00:00:00.000Z')
  expect(times).toEqual([hour / 2])
  await running.stop()
})
