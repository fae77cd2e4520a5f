// What the cases make on the engine, written down as they make it: for cleaning up, and for saying what stays.
import type { Engine } from '../../ports/engine.ts'

export class Ledger {
  readonly queues: Set<string> = new Set()
  readonly streams: Set<string> = new Set()

  /** The engine, with every declaration noted. */
  watch(engine: Engine): Engine {
    const { queue, stream } = engine
    return override(engine, {
      queue:
        queue &&
        override(queue, {
          declare: (names, rules) => {
            for (const name of names) this.queues.add(name)
            return queue.declare(names, rules)
          },
        }),
      stream:
        stream &&
        override(stream, {
          declare: (spec) => {
            this.streams.add(spec.name)
            return stream.declare(spec)
          },
        }),
    })
  }
}

/** The object with some of its methods replaced; the others run on the object itself, whose state is private. */
function override<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in changes) return changes[name as keyof T]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
