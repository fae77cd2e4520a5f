// Faults of going back and of parking, planted in front of the in-memory database.
import type { PartitionOfGroup, Progress } from '../../../src/ports/database.ts'
import { committing, fault, type RowsDatabase } from './database.ts'
import type { Fault } from './fault.ts'

const addressOf = ({ stream, group, partition }: PartitionOfGroup) => `${stream} ${group} ${partition}`

/** Progress that finishes nothing and moves nothing. */
const standstill = ({ stream, group, partition }: PartitionOfGroup, generation: number): Progress => {
  return { stream, group, partition, generation, finished: undefined, low: 0, sequences: {} }
}

export const rewindFaults: readonly Fault<RowsDatabase>[] = [
  fault('only the order is marked as done', ['database.rewind'], () => (database) => ({
    rewind: (order) => database.commit({ progress: order, outbox: [], timeoutMs: 1_000 }),
  })),
  fault('going back skips forward', ['database.rewind.never-forward'], () => (database) => ({
    async rewind(order, to) {
      const outcome = await database.rewind(order, to)
      const progress = { ...standstill(to, to.generation + 1), low: to.position }
      await database.commit({ progress, outbox: [], timeoutMs: 1_000 })
      return outcome
    },
  })),
  fault('the low that is told is passed over', ['database.rewind.first'], () => (database) => ({
    rewind: (order, to) => database.rewind(order, { ...to, low: to.position }),
  })),
  fault('the generation is not raised', ['database.rewind.fences'], () => {
    const raised = new Map<string, number>()
    const current = <T extends PartitionOfGroup & { readonly generation: number }>(of: T): T => ({
      ...of,
      generation: of.generation + (raised.get(addressOf(of)) ?? 0),
    })
    return (database) => ({
      commit: ({ progress, ...unit }) =>
        database.commit({ ...unit, progress: progress && current(progress) }),
      async rewind(order, to) {
        const outcome = await database.rewind(current(order), current(to))
        if (outcome === 'committed') raised.set(addressOf(to), (raised.get(addressOf(to)) ?? 0) + 1)
        return outcome
      },
    })
  }),
  fault('an order is carried out whenever it comes', ['database.rewind.once'], () => (database) => ({
    rewind: (order, to) => database.rewind({ ...order, finished: undefined }, to),
  })),
  fault('everybody goes back', ['database.rewind.apart'], () => {
    const known = new Map<string, PartitionOfGroup>()
    return (database) => ({
      acquire(stream, group, partition) {
        const of = { stream, group, partition }
        known.set(addressOf(of), of)
        return database.acquire(stream, group, partition)
      },
      async rewind(order, to) {
        const outcome = await database.rewind(order, to)
        for (const of of known.values()) {
          if (addressOf(of) === addressOf(to) || addressOf(of) === addressOf(order)) continue
          const { generation } = await database.acquire(of.stream, of.group, of.partition)
          const own = await database.acquire(`${of.stream} order`, of.group, of.partition)
          const done = standstill({ ...of, stream: `${of.stream} order` }, own.generation)
          await database.rewind(done, { ...to, ...of, generation })
        }
        return outcome
      },
    })
  }),
  fault('what is parked stays when a partition goes back', ['database.rewind.parked'], () => (database) => ({
    async rewind(order, to) {
      const parked = await database.parking.list(to, { limit: 1_000 })
      const outcome = await database.rewind(order, to)
      const progress = standstill(to, to.generation + 1)
      for (const park of parked) await database.commit({ progress, park, outbox: [], timeoutMs: 1_000 })
      return outcome
    },
  })),
]

export const parkingFaults: readonly Fault<RowsDatabase>[] = [
  fault('the reason is cut', ['database.park'], () =>
    committing(({ park, ...unit }) => ({
      ...unit,
      park: park && { ...park, reason: park.reason.slice(0, 5) },
    })),
  ),
  fault('keys are passed over when it is listed', ['database.park.list'], () => (database) => ({
    parking: {
      ...database.parking,
      list: (of, { key: _, ...options }) => database.parking.list(of, options),
    },
  })),
  fault('all partitions have one parking', ['database.park.apart'], () => (database) => ({
    parking: {
      summary: (of) => database.parking.summary({ ...of, partition: 0 }),
      list: (of, options) => database.parking.list({ ...of, partition: 0 }, options),
    },
  })),
  fault('an event is parked although its unit failed', ['database.park.with-failure'], () => (database) => ({
    async commit(unit) {
      try {
        return await database.commit(unit)
      } catch (error) {
        const { progress, park, outbox, timeoutMs } = unit
        if (park) await database.commit({ progress, park, outbox, timeoutMs })
        throw error
      }
    },
  })),
  fault('what was said first of a parked event stays', ['database.park.again'], () => {
    const said = new Set<string>()
    return (database) => ({
      commit({ park, ...unit }) {
        const address = park && unit.progress && `${addressOf(unit.progress)} ${park.position}`
        if (address === undefined || said.has(address)) return database.commit(unit)
        said.add(address)
        return database.commit({ ...unit, park })
      },
    })
  }),
  fault('what was handled stays parked', ['database.unpark'], () =>
    committing(({ unpark: _, ...unit }) => unit),
  ),
  fault('a unit with effects parks nothing', ['database.park.with-effects'], () =>
    committing(({ park, ...unit }) => (unit.effects ? unit : { ...unit, park })),
  ),
]
