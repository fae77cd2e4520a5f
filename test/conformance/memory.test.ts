// The conformance suites on the in-memory engine and its database.

import type { EngineOptions } from '../../src/ports/engine.ts'
import {
  databaseSubject,
  databaseSuite,
  engineSubject,
  engineSuite,
  groupSuite,
  limitSubject,
  limitSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { memoryDatabase } from '../../src/testing/memory/database.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { memoryStore } from '../../src/testing/memory/store.ts'
import { MemoryTable } from '../../src/testing/memory/table.ts'
import { certify } from './certify.ts'

certify('memory', { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }, () => {
  const store = memoryStore()
  const openEngine = async (options: EngineOptions = {}) => memory({ ...options, store })
  return engineSubject({ openEngine, retainsWithinMs: 5_000, compactsWithinMs: 5_000 })
})

certify('memory limits', { limit: limitSuite }, () => {
  const store = memoryStore()
  return limitSubject({
    async open() {
      const engine = memory({ store })
      return { limit: engine.limit!, close: () => engine.close() }
    },
  })
})

certify('memory database', { database: databaseSuite }, () =>
  databaseSubject({
    driver: 'synchronous',
    async create() {
      const source = memoryDatabase({ db: new MemoryTable<true>() })
      return {
        open: (service) => source.open(service),
        insert(db: MemoryTable<true>, id) {
          if (db.has(id)) throw new Error(`there is a row ${id}`)
          db.set(id, true)
        },
        count: async (db: MemoryTable<true>, prefix) =>
          db.entries().filter(([id]) => id.startsWith(prefix)).length,
        async remove() {},
      }
    },
  }),
)
