// Faults of an engine as a whole: what it says of itself, and how it closes.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import { type Fault, override } from './fault.ts'

/** A port whose calls resolve with an answer where they should be refused as CLOSED. */
function open<Port extends object>(port: Port, answer: unknown): Port {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        try {
          return await value.apply(target, args)
        } catch (error) {
          if (isSpillwayError(error, 'CLOSED')) return answer
          throw error
        }
      }
    },
  })
}

export const engineFaults: readonly Fault<Engine>[] = [
  {
    what: 'the url carries a password',
    fails: ['engine.name'],
    plant: () => (engine) => override(engine, { url: 'memory://user:secret@127.0.0.1/' }),
  },
  {
    what: 'a flag is not that of the capability table',
    fails: ['engine.capabilities'],
    plant: () => (engine) =>
      override(engine, {
        queue: override(engine.queue!, {
          capabilities: { ...engine.queue!.capabilities, atomicSend: false },
        }),
      }),
  },
  {
    what: 'the full promise, with a weakness',
    fails: ['engine.durability'],
    plant: () => (engine) => override(engine, { durability: { ...engine.durability, level: 'power-loss' } }),
  },
  {
    what: 'closing twice is an error',
    fails: ['engine.close'],
    plant: () => (engine) => {
      let closed = false
      return override(engine, {
        async close() {
          if (closed) throw new Error('it was closed before')
          closed = true
          await engine.close()
        },
      })
    },
  },
  {
    what: 'calls after close resolve',
    fails: ['engine.close.queue', 'engine.close.stream'],
    plant: () => (engine) =>
      override(engine, { queue: open(engine.queue!, []), stream: open(engine.stream!, []) }),
  },
  {
    what: 'a join that is under way at close never ends',
    fails: ['engine.close.join'],
    plant: () => (engine) => {
      let closed = false
      const port = engine.stream!
      return override(engine, {
        stream: override(port, {
          async join(...given) {
            const membership = await port.join(...given)
            await delay(400)
            return closed ? new Promise<never>(() => {}) : membership
          },
        }),
        async close() {
          closed = true
          await engine.close()
        },
      })
    },
  },
  {
    what: 'close waits for who waits',
    fails: ['engine.close.queue', 'engine.close.stream'],
    plant: () => {
      let handles = 0
      return (engine) => {
        // The first two are those of the subject, which closes them after the cases.
        const slow = ++handles > 2
        return override(engine, {
          async close() {
            if (slow) await delay(10_300)
            await engine.close()
          },
        })
      }
    },
  },
]
