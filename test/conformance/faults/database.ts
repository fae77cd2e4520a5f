// Faults of the transaction seam, planted in front of the in-memory database.
import { setTimeout as delay } from 'node:timers/promises'
import type { CommitUnit, Database, HeldPartition, Progress } from '../../../src/ports/database.ts'
import { type DatabaseSubject, databaseSubject } from '../../../src/testing/conformance/index.ts'
import { memoryDatabase } from '../../../src/testing/memory/database.ts'
import { MemoryTable } from '../../../src/testing/memory/table.ts'
import { type Fault, override } from './fault.ts'

type Rows = MemoryTable<true>
export type RowsDatabase = Database<Rows>
type Unit = CommitUnit<Rows>

/** `plant` is called once for each database: its state is shared by its handles. */
export function fault(
  what: string,
  fails: readonly string[],
  plant: () => (database: RowsDatabase) => Partial<RowsDatabase>,
): Fault<RowsDatabase> {
  return {
    what,
    fails,
    plant() {
      const change = plant()
      return (database) => override(database, change(database))
    },
  }
}

/** A unit is committed as another. */
export const committing = (change: (unit: Unit) => Unit) => (database: RowsDatabase) => ({
  commit: (unit: Unit) => database.commit(change(unit)),
})

/** Some of a unit stays when its effects fail. */
const keeping = (rest: (unit: Unit) => Partial<Unit>) => (database: RowsDatabase) => ({
  async commit(unit: Unit) {
    try {
      return await database.commit(unit)
    } catch (error) {
      await database.commit({ outbox: [], timeoutMs: unit.timeoutMs, ...rest(unit) })
      throw error
    }
  },
})

const addressOf = (stream: string, group: string, partition: number) => `${stream} ${group} ${partition}`

/** Progress as the last who told it said, where it is to be as the highest. */
function lastWriterWins(pick: (told: Progress, held: HeldPartition) => HeldPartition) {
  const told = new Map<string, Progress>()
  return (database: RowsDatabase): Partial<RowsDatabase> => ({
    async commit(unit) {
      const outcome = await database.commit(unit)
      const { progress } = unit
      if (outcome === 'committed' && progress !== undefined)
        told.set(addressOf(progress.stream, progress.group, progress.partition), progress)
      return outcome
    },
    async acquire(stream, group, partition) {
      const held = await database.acquire(stream, group, partition)
      const last = told.get(addressOf(stream, group, partition))
      return last === undefined ? held : pick(last, held)
    },
  })
}

export const commitFaults: readonly Fault<RowsDatabase>[] = [
  fault('an outbox row is lost', ['database.commit.all'], () =>
    committing((unit) => ({ ...unit, outbox: unit.outbox.slice(1) })),
  ),
  fault('the inbox is not written', ['database.commit.all', 'database.duplicate'], () =>
    committing(({ inbox: _, ...unit }) => unit),
  ),
  fault('progress is not written', ['database.commit.all'], () =>
    committing(({ progress: _, ...unit }) => unit),
  ),
  fault('effects are not stored', ['database.commit.all'], () =>
    committing(({ effects: _, ...unit }) => unit),
  ),
  fault(
    'what is handled is known to the handle that did it',
    ['database.commit.reopened'],
    () => (database) => {
      const own = new Set<string>()
      return {
        async commit(unit) {
          if (unit.inbox !== undefined) for (const id of unit.inbox.ids) own.add(id)
          return database.commit(unit)
        },
        async handled(consumer, ids) {
          const known = await database.handled(consumer, ids)
          return { ...known, ids: new Set([...known.ids].filter((id) => own.has(id))) }
        },
      }
    },
  ),
  fault('a unit without effects is an error', ['database.commit.parts'], () => (database) => ({
    commit: async (unit) => {
      if (unit.effects === undefined) throw new Error('effects is not a function')
      return database.commit(unit)
    },
  })),
  fault(
    'the inbox entry is kept after a failure',
    ['database.commit.effects-fail', 'database.commit.effects-fail.retry', 'database.handled'],
    () => keeping(({ inbox }) => (inbox === undefined ? {} : { inbox })),
  ),
  fault(
    'the messages are kept after a failure',
    ['database.commit.effects-fail', 'database.commit.effects-broken-rule'],
    () => keeping(({ outbox }) => ({ outbox })),
  ),
  fault(
    'progress is kept after a failure',
    ['database.commit.effects-fail', 'database.progress.with-failure'],
    () => keeping(({ progress }) => (progress === undefined ? {} : { progress })),
  ),
  fault('what effects throw is wrapped', ['database.commit.effects-throw-anything'], () => (database) => ({
    commit: (unit) =>
      database.commit(unit).catch((thrown) => {
        throw thrown instanceof Error ? thrown : new Error(String(thrown))
      }),
  })),
  fault(
    'a transaction that was rolled back is said to be committed',
    ['database.commit.swallowed-error'],
    () => (database) => ({
      async commit(unit) {
        const undo = new Error('rolled back')
        const effects = (db: Rows) => {
          unit.effects?.(db)
          throw undo
        }
        if (unit.inbox === undefined) return database.commit(unit)
        await database.commit({ ...unit, effects }).catch(() => {})
        return 'committed'
      },
    }),
  ),
  fault('the outbox is read before the effects run', ['database.commit.outbox-grows'], () =>
    committing((unit) => ({ ...unit, outbox: [...unit.outbox] })),
  ),
  fault('a batch of messages is cut off at 1,000', ['database.commit.many-parts'], () =>
    committing((unit) => ({ ...unit, outbox: unit.outbox.slice(0, 1_000) })),
  ),
  fault(
    'of units that overlap one is lost',
    ['database.concurrent.all', 'database.concurrent.some-fail'],
    () => {
      let under = 0
      return (database) => ({
        async commit(unit) {
          if (++under === 3) {
            under = 0
            return 'committed'
          }
          const outcome = await database.commit(unit)
          under = Math.max(0, under - 1)
          return outcome
        },
      })
    },
  ),
  fault(
    'a unit that fails takes others with it',
    ['database.concurrent.some-fail', 'database.synchronous.promise.others'],
    () => {
      let failed: { error: unknown } | undefined
      return (database) => ({
        commit(unit) {
          const effects = (db: Rows) => {
            if (failed !== undefined) {
              const { error } = failed
              failed = undefined
              throw error
            }
            try {
              const result = unit.effects?.(db)
              if (result instanceof Promise) failed = { error: new Error('a unit of the same transaction') }
              return result
            } catch (error) {
              failed = { error }
              throw error
            }
          }
          return database.commit({ ...unit, effects })
        },
      })
    },
  ),
  fault(
    'a promise that effects return is passed over',
    ['database.synchronous.promise', 'database.synchronous.promise.others'],
    () =>
      committing((unit) => ({
        ...unit,
        effects(db) {
          const result = unit.effects?.(db)
          if (result instanceof Promise) result.catch(() => {})
        },
      })),
  ),
]

export const duplicateFaults: readonly Fault<RowsDatabase>[] = [
  fault('an entry of a unit under way is a duplicate', ['database.duplicate.after-failure'], () => {
    const under = new Set<string>()
    return (database) => ({
      async commit(unit) {
        const { inbox } = unit
        if (inbox === undefined) return database.commit(unit)
        const address = `${inbox.consumer} ${inbox.ids}`
        if (under.has(address)) return 'duplicate'
        under.add(address)
        return database.commit(unit).finally(() => under.delete(address))
      },
    })
  }),
  fault('consumer and id are joined by a colon', ['database.duplicate.apart'], () =>
    committing((unit) => {
      const { inbox } = unit
      return inbox === undefined
        ? unit
        : { ...unit, inbox: { consumer: '', ids: inbox.ids.map((id) => `${inbox.consumer}:${id}`) } }
    }),
  ),
  fault(
    'the inbox is asked first and written later',
    ['database.duplicate.concurrent'],
    () => (database) => ({
      async commit(unit) {
        const { inbox, ...rest } = unit
        if (inbox === undefined) return database.commit(unit)
        if ((await database.handled(inbox.consumer, inbox.ids)).ids.size > 0) return 'duplicate'
        await delay(2)
        const outcome = await database.commit(rest)
        await database.commit({ inbox, outbox: [], timeoutMs: unit.timeoutMs })
        return outcome
      },
    }),
  ),
  fault('of several messages the first is entered', ['database.batch', 'database.batch.many'], () =>
    committing((unit) => {
      const { inbox } = unit
      return inbox === undefined ? unit : { ...unit, inbox: { ...inbox, ids: inbox.ids.slice(0, 1) } }
    }),
  ),
  fault(
    'messages of a unit are entered one after the other',
    ['database.batch', 'database.batch.concurrent'],
    () => (database) => ({
      async commit(unit) {
        const { inbox, ...rest } = unit
        for (const id of inbox?.ids ?? []) {
          const entry = { consumer: inbox!.consumer, ids: [id] }
          const outcome = await database.commit({ inbox: entry, outbox: [], timeoutMs: unit.timeoutMs })
          if (outcome !== 'committed') return outcome
        }
        return database.commit(rest)
      },
    }),
  ),
  fault('everything was handled', ['database.handled'], () => () => ({
    handled: async (_consumer, ids) => ({ ids: new Set(ids), prunedUpTo: undefined }),
  })),
  fault('prune removes everything', ['database.prune'], () => (database) => ({
    prune: () => database.prune(Number.MAX_SAFE_INTEGER),
  })),
  fault('what prune removed is not noted', ['database.prune.noted'], () => (database) => ({
    handled: async (consumer, ids) => ({
      ids: (await database.handled(consumer, ids)).ids,
      prunedUpTo: undefined,
    }),
  })),
  fault('what prune removed is noted once', ['database.prune.noted'], () => {
    let first: number | undefined
    return (database) => ({
      async handled(consumer, ids) {
        const { ids: known, prunedUpTo } = await database.handled(consumer, ids)
        first ??= prunedUpTo
        return { ids: known, prunedUpTo: first }
      },
    })
  }),
  fault('the time that prune is given is noted', ['database.prune.noted'], () => {
    let noted: number | undefined
    return (database) => ({
      prune(before) {
        noted = Math.max(noted ?? 0, before)
        return database.prune(before)
      },
      handled: async (consumer, ids) => ({ ...(await database.handled(consumer, ids)), prunedUpTo: noted }),
    })
  }),
  fault('what prune removed is known to its own handle', ['database.prune.noted'], () => (database) => {
    let noted: number | undefined
    return {
      async prune(before) {
        const removed = await database.prune(before)
        noted = (await database.handled('any', [])).prunedUpTo
        return removed
      },
      handled: async (consumer, ids) => ({ ...(await database.handled(consumer, ids)), prunedUpTo: noted }),
    }
  }),
  fault('prune does not say how many', ['database.prune'], () => (database) => ({
    prune: async (before) => Math.min(0, await database.prune(before)),
  })),
]

export const progressFaults: readonly Fault<RowsDatabase>[] = [
  fault('a partition without progress is at 0', ['database.acquire.new'], () => (database) => ({
    async acquire(stream, group, partition) {
      const held = await database.acquire(stream, group, partition)
      return { ...held, position: held.position ?? 0 }
    },
  })),
  fault('who acquires at once gets the same generation', ['database.acquire.concurrent'], () => {
    const under = new Map<string, Promise<HeldPartition>>()
    return (database) => ({
      acquire(stream, group, partition) {
        const address = addressOf(stream, group, partition)
        const going = under.get(address) ?? database.acquire(stream, group, partition)
        under.set(address, going)
        return going.finally(() => under.delete(address))
      },
    })
  }),
  fault('the partition is not part of what is acquired', ['database.acquire.apart'], () => (database) => ({
    acquire: (stream, group) => database.acquire(stream, group, 0),
  })),
  fault(
    'the fence is gone',
    ['database.stale', 'database.stale.before-duplicate', 'database.stale.race'],
    () => {
      const newest = new Map<string, number>()
      return (database) => ({
        async acquire(stream, group, partition) {
          const held = await database.acquire(stream, group, partition)
          newest.set(addressOf(stream, group, partition), held.generation)
          return held
        },
        async commit(unit) {
          const { progress } = unit
          if (progress === undefined) return database.commit(unit)
          await delay(1)
          const address = addressOf(progress.stream, progress.group, progress.partition)
          const generation = newest.get(address) ?? progress.generation
          return database.commit({ ...unit, progress: { ...progress, generation } })
        },
      })
    },
  ),
  fault('the inbox is asked before the fence', ['database.stale.before-duplicate'], () => (database) => ({
    async commit(unit) {
      const { inbox } = unit
      if (inbox !== undefined && (await database.handled(inbox.consumer, inbox.ids)).ids.size > 0)
        return 'duplicate'
      return database.commit(unit)
    },
  })),
  fault('low goes back', ['database.progress.low', 'database.progress.interleaved'], () =>
    lastWriterWins((told, held) => ({ ...held, position: told.low })),
  ),
  fault('finished positions are sorted as texts', ['database.progress.finished'], () => (database) => ({
    async acquire(stream, group, partition) {
      const held = await database.acquire(stream, group, partition)
      return { ...held, finished: [...held.finished].map(String).sort().map(Number) }
    },
  })),
  fault(
    'finished positions are forgotten',
    ['database.progress.finished', 'database.progress.interleaved'],
    () => (database) => ({
      acquire: async (stream, group, partition) => ({
        ...(await database.acquire(stream, group, partition)),
        finished: [],
      }),
    }),
  ),
  fault('a position of 0 is none', ['database.progress.first-open'], () => (database) => ({
    async acquire(stream, group, partition) {
      const held = await database.acquire(stream, group, partition)
      return { ...held, position: held.position || null }
    },
  })),
  fault(
    'sequences are those of the last unit',
    ['database.progress.sequences', 'database.progress.interleaved'],
    () => lastWriterWins(({ sequences }, held) => ({ ...held, sequences })),
  ),
]

export const repeatedFaults: readonly Fault<RowsDatabase>[] = [
  fault(
    'a finished position is finished again',
    [
      'database.repeated.below-low',
      'database.repeated.above-low',
      'database.repeated.apart',
      'database.repeated.concurrent',
    ],
    () => (database) => ({
      async commit(unit) {
        const outcome = await database.commit(unit)
        const { progress, inbox: _, ...rest } = unit
        if (outcome !== 'duplicate' || progress === undefined) return outcome
        return database.commit({ ...rest, progress: { ...progress, finished: undefined } })
      },
    }),
  ),
  fault('progress that only tells low is a duplicate', ['database.repeated.low-only'], () => (database) => ({
    commit(unit) {
      const { progress } = unit
      if (progress === undefined || progress.finished !== undefined) return database.commit(unit)
      return database.commit({ ...unit, progress: { ...progress, finished: progress.low - 1 } })
    },
  })),
  fault(
    'a finished position is a duplicate before the fence is asked',
    ['database.repeated.stale-first'],
    () => {
      const finished = new Set<string>()
      return (database) => ({
        async commit(unit) {
          const { progress } = unit
          if (progress?.finished === undefined) return database.commit(unit)
          const position = `${addressOf(progress.stream, progress.group, progress.partition)} ${progress.finished}`
          if (finished.has(position)) return 'duplicate'
          const outcome = await database.commit(unit)
          if (outcome === 'committed') finished.add(position)
          return outcome
        },
      })
    },
  ),
  fault('a position of a unit under way is a duplicate', ['database.repeated.after-failure'], () => {
    const under = new Set<string>()
    return (database) => ({
      async commit(unit) {
        const { progress } = unit
        if (progress === undefined) return database.commit(unit)
        const position = `${addressOf(progress.stream, progress.group, progress.partition)} ${progress.finished}`
        if (under.has(position)) return 'duplicate'
        under.add(position)
        return database.commit(unit).finally(() => under.delete(position))
      },
    })
  }),
]

interface Openings {
  /** Changes the name of the service that is opened. */
  readonly service?: (service: string) => string
  /** Runs around an opening. */
  readonly around?: (open: () => Promise<RowsDatabase>) => Promise<RowsDatabase>
}

/** In-memory databases with the fault in every handle. */
export function faultyDatabase(
  planted: Pick<Fault<RowsDatabase>, 'plant'>,
  openings: Openings = {},
): Promise<DatabaseSubject> {
  return databaseSubject({
    driver: 'synchronous',
    async create() {
      const source = memoryDatabase({ db: new MemoryTable<true>() })
      const plant = planted.plant()
      const around = openings.around ?? ((open) => open())
      return {
        open: (service) =>
          around(async () => plant(await source.open(openings.service?.(service) ?? service))),
        insert(db: Rows, id) {
          if (db.has(id)) throw new Error(`there is a row ${id}`)
          db.set(id, true)
        },
        count: async (db: Rows, prefix) => db.entries().filter(([id]) => id.startsWith(prefix)).length,
        async remove() {},
      }
    },
  })
}
