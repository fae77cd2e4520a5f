// The in-memory engine, for tests of code that uses Spillway: every feature, nothing kept, time as the test gives it.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability, Engine, EngineOptions } from '../../ports/engine.ts'
import { MemoryLimit } from './limit.ts'
import { engineName } from './limits.ts'
import { MemoryQueue } from './queue.ts'
import { type MemoryStore, type MemoryStoreOptions, memoryStore } from './store.ts'
import { MemoryStream } from './stream.ts'

export interface MemoryOptions extends EngineOptions, MemoryStoreOptions {
  /** What another engine works on too, or worked on before. It has its clock and its bound. Default: a new, empty one. */
  readonly store?: MemoryStore
}

const durability: Durability = {
  level: 'none',
  statement: 'Everything is in the memory of this process and ends with it.',
  weaknesses: [
    'Nothing is written to a disk: open sqlite:, postgres: or kafka: for messages that must be kept.',
  ],
}

/** An engine on memory: empty and of its own, unless a `store` is given. */
export function memory(options: MemoryOptions = {}): Engine {
  if (options.strict)
    throw new SpillwayError('DURABILITY', `${durability.statement} ${durability.weaknesses[0]}`, {
      engine: engineName,
    })
  if (options.store !== undefined && (options.clock !== undefined || options.maxMessages !== undefined))
    throw new SpillwayError(
      'INVALID_OPTION',
      'A store has its own clock and maxMessages: give them to memoryStore().',
      {
        engine: engineName,
      },
    )
  const store = options.store ?? memoryStore(options)
  const queue = new MemoryQueue(store)
  const stream = new MemoryStream(store)
  const limit = new MemoryLimit(store)
  return {
    name: engineName,
    url: 'memory:',
    durability,
    queue,
    stream,
    limit,
    async close() {
      queue.close()
      stream.close()
      limit.close()
    },
  }
}
