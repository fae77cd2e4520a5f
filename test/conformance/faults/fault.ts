// A planted fault: one thing that an engine or a database does wrong, and the cases that have to notice it.

import type { Engine, EngineOptions } from '../../../src/ports/engine.ts'
import type { QueuePort } from '../../../src/ports/queue.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { type EngineSubject, engineSubject } from '../../../src/testing/conformance/index.ts'
import { memory } from '../../../src/testing/memory/engine.ts'
import { memoryStore } from '../../../src/testing/memory/store.ts'

export interface Fault<Target> {
  readonly what: string
  /** The ids of the cases that fail with it. */
  readonly fails: readonly string[]
  /** Called once for each planting, so that what it returns can share state between handles. */
  plant(): (target: Target) => Target
}

/** The object, with some of its methods replaced. */
export function override<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in changes) return changes[name as keyof T]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Makes the changes to a port of one handle, from what it really does. */
export type Change<Port> = (port: Port, engine: Engine) => Partial<Port>

/** A fault of the queue port. `plant` is called once for each planting: its state is shared by all handles. */
export function queueFault(
  what: string,
  fails: readonly string[],
  plant: () => Change<QueuePort>,
): Fault<Engine> {
  return {
    what,
    fails,
    plant() {
      const change = plant()
      return (engine) => override(engine, { queue: override(engine.queue!, change(engine.queue!, engine)) })
    },
  }
}

export function streamFault(
  what: string,
  fails: readonly string[],
  plant: () => Change<StreamPort>,
): Fault<Engine> {
  return {
    what,
    fails,
    plant() {
      const change = plant()
      return (engine) =>
        override(engine, { stream: override(engine.stream!, change(engine.stream!, engine)) })
    },
  }
}

/** An in-memory engine with the fault in every handle. */
export function faultySubject(
  fault: Pick<Fault<Engine>, 'plant'>,
  optionsSeen: (options: EngineOptions) => EngineOptions = (options) => options,
): Promise<EngineSubject> {
  const store = memoryStore()
  const plant = fault.plant()
  return engineSubject({
    openEngine: async (options = {}) => plant(memory({ ...optionsSeen(options), store })),
    retainsWithinMs: 3_000,
    compactsWithinMs: 3_000,
  })
}
