// Faults of the state of sagas, planted in front of the in-memory database.
import type { CommitUnit, Database } from '../../../src/ports/database.ts'
import type { SagaPort } from '../../../src/ports/saga.ts'
import { fault, type RowsDatabase } from './database.ts'
import type { Fault } from './fault.ts'

type Db = RowsDatabase extends Database<infer Handle> ? Handle : never
type Unit = CommitUnit<Db>

const looking = (change: (port: SagaPort) => Partial<SagaPort>) => () => (database: RowsDatabase) => ({
  sagas: { ...database.sagas, ...change(database.sagas) },
})

export const sagaFaults: readonly Fault<RowsDatabase>[] = [
  fault(
    'the state is passed over',
    ['database.saga', 'database.saga.concurrent', 'database.saga.conflict'],
    () => (database) => ({
      commit: ({ saga: _, ...unit }: Unit) => database.commit(unit),
    }),
  ),
  fault(
    'the version is not looked at',
    ['database.saga.conflict', 'database.saga.order'],
    () => (database) => ({
      async commit(unit: Unit) {
        const { saga } = unit
        if (saga === undefined) return database.commit(unit)
        const stored = await database.sagas.get(saga.saga, saga.id)
        return database.commit({ ...unit, saga: { ...saga, expected: stored?.version ?? 0 } })
      },
    }),
  ),
  fault(
    'the state is stored before the rest',
    ['database.saga.fails', 'database.saga.order'],
    () => (database) => ({
      async commit({ saga, ...unit }: Unit) {
        if (saga !== undefined) {
          const outcome = await database.commit({ saga, outbox: [], timeoutMs: 1_000 })
          if (outcome !== 'committed') return outcome
        }
        return database.commit(unit)
      },
    }),
  ),
  fault('what conflicts does the rest', ['database.saga.conflict'], () => (database) => ({
    async commit(unit: Unit) {
      const outcome = await database.commit(unit)
      const { saga: _, ...rest } = unit
      if (outcome === 'conflict') await database.commit(rest)
      return outcome
    },
  })),
  fault('what has ended is forgotten', ['database.saga.ended', 'database.saga.list'], () => (database) => ({
    async commit(unit: Unit) {
      const outcome = await database.commit(unit)
      if (unit.saga?.body === null) await database.sagas.prune(Number.POSITIVE_INFINITY)
      return outcome
    },
  })),
  fault('ids of all sagas are one', ['database.saga.apart'], () => (database) => ({
    commit: (unit: Unit) =>
      database.commit(unit.saga === undefined ? unit : { ...unit, saga: { ...unit.saga, saga: 'all' } }),
    sagas: { ...database.sagas, get: (_: string, id: string) => database.sagas.get('all', id) },
  })),
  fault(
    'a list is not cut',
    ['database.saga.list'],
    looking((port) => ({
      list: (saga, options) => port.list(saga, { ...options, limit: 1_000 }),
    })),
  ),
  fault(
    'nothing is removed',
    ['database.saga.prune'],
    looking(() => ({ prune: async () => 0 })),
  ),
  fault(
    'what ends is removed at any age',
    ['database.saga.prune'],
    looking((port) => ({
      prune: () => port.prune(Number.POSITIVE_INFINITY),
    })),
  ),
]
