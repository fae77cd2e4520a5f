// What a service says about its processes must reach the engine.
import { expect, test } from 'vitest'
import { context, event, queue } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import type { Engine } from '../ports/engine.ts'
import { memory } from '../testing/memory/engine.ts'
import { run } from './run.ts'
import { type ServiceOptions, service } from './service.ts'
import { topology } from './topology.ts'

const till = context('till', {
  events: { rung: event({ data: unchecked<number>() }) },
  queues: { print: queue({ data: unchecked<number>() }) },
})

/** The lease that the running service claims with, and the session that it joins with. */
async function askedOf(options: ServiceOptions<unknown>): Promise<{ leaseMs: number; sessionMs: number }> {
  const engine = memory()
  const queues = engine.queue!
  const streams = engine.stream!
  let tell = (_: { leaseMs?: number; sessionMs?: number }) => {}
  const heard = new Promise<{ leaseMs: number; sessionMs: number }>((resolve) => {
    const seen: { leaseMs?: number; sessionMs?: number } = {}
    tell = (part) => {
      const { leaseMs, sessionMs } = Object.assign(seen, part)
      if (leaseMs !== undefined && sessionMs !== undefined) resolve({ leaseMs, sessionMs })
    }
  })
  const listening: Engine = {
    ...engine,
    queue: new Proxy(queues, {
      get: (port, name) => {
        const value = Reflect.get(port, name) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (name === 'claim') tell({ leaseMs: (args[1] as { leaseMs: number }).leaseMs })
          return Reflect.apply(value, port, args) as unknown
        }
      },
    }),
    stream: new Proxy(streams, {
      get: (port, name) => {
        const value = Reflect.get(port, name) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (name === 'join') tell({ sessionMs: (args[2] as { sessionMs: number }).sessionMs })
          return Reflect.apply(value, port, args) as unknown
        }
      },
    }),
  }
  const tills = service(till, options)
    .on(till.events.rung, () => {})
    .work(till.queues.print, () => {})
  const running = await run(topology({ contexts: [tills], engine: 'memory:' }), { engine: listening })
  const asked = await heard
  await running.stop()
  await engine.close()
  return asked
}

test('a service keeps its messages and partitions for 30 s of silence', async () => {
  expect(await askedOf({})).toEqual({ leaseMs: 30_000, sessionMs: 30_000 })
})

test('a service says how long its silence may last', async () => {
  expect(await askedOf({ lease: '2s', session: '3s' })).toEqual({ leaseMs: 2_000, sessionMs: 3_000 })
})
