// Faults of the outbox and of the relay's lock, planted in front of the in-memory database.
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { OutboxPort } from '../../../src/ports/database.ts'
import { committing, fault, type RowsDatabase } from './database.ts'
import { type Fault, override } from './fault.ts'

function outboxFault(
  what: string,
  fails: readonly string[],
  plant: () => (outbox: OutboxPort) => Partial<OutboxPort>,
): Fault<RowsDatabase> {
  return fault(what, fails, () => {
    const change = plant()
    return ({ outbox }) => ({ outbox: override(outbox, change(outbox)) })
  })
}

export const outboxFaults: readonly Fault<RowsDatabase>[] = [
  outboxFault('rows are taken from the end', ['database.outbox.order'], () => (outbox) => ({
    take: async (...args) => (await outbox.take(...args)).reverse(),
  })),
  fault('bodies are stored as JSON values, not as texts', ['database.outbox.bodies'], () =>
    committing((unit) => ({
      ...unit,
      outbox: unit.outbox.map((each) => ({ ...each, body: JSON.stringify(JSON.parse(each.body || 'null')) })),
    })),
  ),
  outboxFault('rows go when they are taken', ['database.outbox.stays'], () => (outbox) => ({
    async take(...args) {
      const rows = await outbox.take(...args)
      await outbox.remove(rows)
      return rows
    },
  })),
  outboxFault('the limit of take is passed over', ['database.outbox.limit'], () => (outbox) => ({
    take: (holder, destination, _limit, after) => outbox.take(holder, destination, 1_000, after),
  })),
  outboxFault(
    'what comes after a sequence is taken from the beginning',
    ['database.outbox.after'],
    () => (outbox) => ({
      take: (holder, destination, limit) => outbox.take(holder, destination, limit),
    }),
  ),
  outboxFault('what is put back is dropped', ['database.outbox.aside'], () => (outbox) => ({
    retry: (sequences) => outbox.drop(sequences),
  })),
  outboxFault('what is put back does not say so', ['database.outbox.aside'], () => (outbox) => ({
    take: async (...args) => (await outbox.take(...args)).map(({ retriedAt: _, ...row }) => row),
  })),
  outboxFault('everything says that it was put back', ['database.outbox.aside'], () => (outbox) => ({
    take: async (...args) => (await outbox.take(...args)).map((row) => ({ ...row, retriedAt: Date.now() })),
  })),
  outboxFault('what is dropped is put back', ['database.outbox.aside'], () => (outbox) => ({
    drop: (sequences) => outbox.retry(sequences),
  })),
  outboxFault('a destination is its name', ['database.outbox.destinations'], () => (outbox) => ({
    async take(holder, { name }, limit, after) {
      const queue = await outbox.take(holder, { kind: 'queue', name }, limit, after)
      return [...queue, ...(await outbox.take(holder, { kind: 'stream', name }, limit, after))]
    },
  })),
  outboxFault(
    'a destination is pending for each of its rows',
    ['database.outbox.destinations'],
    () => (outbox) => ({
      pending: async () => (await outbox.pending()).flatMap((destination) => [destination, destination]),
    }),
  ),
  outboxFault('remove forgets everything up to the row', ['database.outbox.remove'], () => {
    const taken = new Map<number, Parameters<OutboxPort['remove']>[0][number]>()
    return (outbox) => ({
      async take(...args) {
        const rows = await outbox.take(...args)
        for (const row of rows) taken.set(row.sequence, row)
        return rows
      },
      remove(rows) {
        const highest = Math.max(0, ...rows.map(({ sequence }) => sequence))
        return outbox.remove([...taken.values()].filter(({ sequence }) => sequence <= highest))
      },
    })
  }),
  outboxFault(
    'sequences begin anew when the outbox is empty',
    ['database.outbox.never-reused'],
    () => (outbox) => ({
      take: async (...args) =>
        (await outbox.take(...args)).map((row, index) => ({ ...row, sequence: index + 1 })),
    }),
  ),
  outboxFault('a row that is set aside is thrown away', ['database.outbox.set-aside'], () => (outbox) => ({
    setAside: (row) => outbox.remove([row]),
  })),
  outboxFault(
    'who removes what was taken removes what was set aside of it',
    ['database.outbox.set-aside'],
    () => (outbox) => ({
      async remove(rows) {
        await outbox.remove(rows)
        await outbox.drop(rows.map(({ sequence }) => sequence))
      },
    }),
  ),
  outboxFault('a row that is set aside stays in the way', ['database.outbox.set-aside'], () => () => ({
    async setAside() {},
  })),
  outboxFault('a row is lost between take and remove', ['database.outbox.relay'], () => (outbox) => ({
    async take(...args) {
      const rows = await outbox.take(...args)
      const lost = rows.filter(({ sequence }) => sequence % 17 === 0)
      await outbox.remove(lost)
      return rows.filter((row) => !lost.includes(row))
    },
  })),
  fault('every handle is a producer of its own', ['database.outbox.producer'], () => {
    let handles = 0
    return ({ outbox }) => ({ outbox: override(outbox, { producerId: `producer ${++handles}` }) })
  }),
]

export const lockFaults: readonly Fault<RowsDatabase>[] = [
  outboxFault(
    'everyone gets the lock',
    ['database.lock.exclusive', 'database.lock.race', 'database.lock.renewed'],
    () => () => ({
      lock: async () => true,
    }),
  ),
  outboxFault(
    'the lock does not end',
    ['database.lock.expires', 'database.lock.expired'],
    () => (outbox) => ({
      lock: (holder) => outbox.lock(holder, 3_600_000),
    }),
  ),
  outboxFault('the lock ends too early', ['database.lock.expires'], () => (outbox) => ({
    lock: (holder, leaseMs) => outbox.lock(holder, leaseMs / 2),
  })),
  outboxFault('renewing the lock does not move its end', ['database.lock.renewed'], () => {
    let held: string | undefined
    return (outbox) => ({
      async lock(holder, leaseMs) {
        if (held === holder) return true
        const got = await outbox.lock(holder, leaseMs)
        if (got) held = holder
        return got
      },
    })
  }),
  outboxFault('anyone unlocks', ['database.lock.unlock'], () => {
    let held = ''
    return (outbox) => ({
      async lock(holder, leaseMs) {
        const got = await outbox.lock(holder, leaseMs)
        if (got) held = holder
        return got
      },
      unlock: () => outbox.unlock(held),
    })
  }),
  outboxFault(
    'take does not ask for the lock',
    ['database.lock.needed', 'database.lock.unlock'],
    () => (outbox) => ({
      async take(holder, destination, limit) {
        await outbox.lock(holder, 60_000)
        return outbox.take(holder, destination, limit)
      },
    }),
  ),
  fault('calls after close are answered', ['database.close'], () => (database) => ({
    async handled(consumer, ids) {
      try {
        return await database.handled(consumer, ids)
      } catch (error) {
        if (isSpillwayError(error, 'CLOSED')) return { ids: new Set(), prunedUpTo: undefined }
        throw error
      }
    },
  })),
]
