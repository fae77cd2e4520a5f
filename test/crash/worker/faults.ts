// Faults that are planted to prove the proof: ports and databases wrapped so that they break a promise. The product has no
// switch for any of this. Most of them pause where they are wrong, and say so.
import { setTimeout as delay } from 'node:timers/promises'
import { numbered } from '../../../src/core/envelope.ts'
import { partitionOf } from '../../../src/core/partition.ts'
import type { CommitUnit, Database, DatabaseSource, OutboxMessage } from '../../../src/ports/database.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { ClaimedMessage, QueuePort, Settlement } from '../../../src/ports/queue.ts'
import type { StreamPort } from '../../../src/ports/stream.ts'
import { partitions } from '../contexts.ts'
import type { Word } from './spec.ts'

export const faults = [
  'fence-removed',
  'stale-ack',
  'commit-early',
  'outbox-outside',
  'dual-write',
  'moved-in-steps',
] as const
export type Fault = (typeof faults)[number]

export function isFault(word: string): word is Fault {
  return (faults as readonly string[]).includes(word)
}

const pauseMs = 120

/** Where the fault is wrong: told, so that a kill finds it also in a short run. */
async function gap(): Promise<void> {
  process.send?.('gap' satisfies Word)
  await delay(pauseMs)
}

/** The object with some of its members replaced: all others, also those that it will have one day, are its own. */
function replaced<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in changes) return changes[name as keyof T]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The engine with the fault, if it is one of engines. */
export function plantInEngine(engine: Engine, fault: Fault | undefined): Engine {
  if (fault !== 'stale-ack') return engine
  const { queue, stream } = engine
  return replaced(engine, {
    queue: queue && acceptStaleSettlements(queue),
    stream: stream && acceptStaleCommits(stream),
  })
}

/** The database with the fault, if it is one of databases. `engine` is where messages go that are sent past the outbox. */
export function plantInDatabase<Db>(
  source: DatabaseSource<Db>,
  fault: Fault | undefined,
  engine: Engine,
): DatabaseSource<Db> {
  if (fault === 'fence-removed') return changed(source, withoutFence)
  if (fault === 'commit-early') return changed(source, marksFirst)
  if (fault === 'outbox-outside') return changed(source, (database) => sendsAfterwards(database, engine))
  if (fault === 'moved-in-steps') return changed(source, (database) => movesInSteps(database, engine))
  return source
}

/** A database of which some methods are replaced. */
export function changed<Db>(
  source: DatabaseSource<Db>,
  change: (database: Database<Db>) => Partial<Database<Db>>,
): DatabaseSource<Db> {
  return {
    async open(service) {
      const database = await source.open(service)
      return replaced(database, change(database))
    },
  }
}

/** What the inbox or the generation refuses is done all the same. */
function withoutFence<Db>(database: Database<Db>): Partial<Database<Db>> {
  return {
    handled: async () => ({ ids: new Set(), prunedUpTo: undefined }),
    async commit(unit) {
      const outcome = await database.commit(unit)
      if (outcome !== 'committed') await database.commit({ ...unit, inbox: undefined, progress: undefined })
      // Between the commit and the settlement.
      if (unit.inbox) await gap()
      return 'committed'
    },
  }
}

/** Marks the message as handled, and has its effects afterwards. */
function marksFirst<Db>(database: Database<Db>): Partial<Database<Db>> {
  return {
    async commit({ effects, outbox, inbox, progress, timeoutMs }) {
      const marked = await database.commit({ inbox, progress, outbox: [], timeoutMs })
      if (marked !== 'committed') return marked
      await gap()
      return database.commit({ effects, outbox, timeoutMs })
    },
  }
}

/** Commits the effects, and sends the messages afterwards. */
function sendsAfterwards<Db>(database: Database<Db>, engine: Engine): Partial<Database<Db>> {
  return {
    async commit(unit: CommitUnit<Db>) {
      const outcome = await database.commit({ ...unit, outbox: [] })
      if (outcome !== 'committed' || unit.outbox.length === 0) return outcome
      await gap()
      await sendDirectly(engine, unit.outbox)
      return outcome
    },
  }
}

/** What is moved within one database is taken, appended and removed one after the other. */
function movesInSteps<Db>(database: Database<Db>, engine: Engine): Partial<Database<Db>> {
  const { outbox } = database
  return {
    outbox: replaced(outbox, {
      async move(holder, destination, limit) {
        if (!(await outbox.lock(holder, 1_000))) return undefined
        const rows = await outbox.take(holder, destination, limit)
        const numberedRows = rows.map((row) => ({
          ...row,
          body: numbered(row.body, outbox.producerId, row.sequence),
        }))
        await sendDirectly(engine, numberedRows)
        await gap()
        await outbox.remove(rows)
        return { rows: rows.length, more: rows.length === limit }
      },
    }),
  }
}

async function sendDirectly(engine: Engine, messages: readonly OutboxMessage[]): Promise<void> {
  for (const { destination, id, key, body } of messages)
    if (destination.kind === 'queue') await engine.queue!.send(destination.name, [{ id, key, body }])
    else {
      const partition = partitionOf(key ?? '', partitions)
      await engine.stream!.append(destination.name, [{ partition, key, body }])
    }
}

// What the queues of this process handed out: the probe's two handles share it, as one engine would.
const newest = new Map<string, string>()
const messageOf = new Map<string, string>()

/** A stale lease ends the lease that the message has now. */
function acceptStaleSettlements(port: QueuePort): QueuePort {
  const note = (claimed: ClaimedMessage[]) => {
    for (const { id, lease } of claimed) {
      newest.set(id, lease)
      messageOf.set(lease, id)
    }
    return claimed
  }
  const current = (lease: string) => newest.get(messageOf.get(lease) ?? '') ?? lease
  const accept = async (queue: string, settlement: Settlement) => {
    await port.settle(queue, [{ ...settlement, lease: current(settlement.lease) }])
  }
  return replaced(port, {
    claim: async (queue, options) => note(await port.claim(queue, options)),
    async settle(queue, settlements) {
      const results = await port.settle(queue, settlements)
      for (const [index, result] of results.entries())
        if (result === 'stale') await accept(queue, settlements[index]!)
      return results.map(() => 'settled')
    },
    async extend(queue, leases, leaseMs) {
      await port.extend(queue, leases.map(current), leaseMs)
      return leases.map(() => 'extended')
    },
  })
}

/** The position of a partition that is not the member's is taken for committed. */
function acceptStaleCommits(port: StreamPort): StreamPort {
  return replaced(port, {
    async join(stream, group, options) {
      const membership = await port.join(stream, group, options)
      return {
        async commit(positions) {
          await membership.commit(positions)
          return positions.map(() => 'committed')
        },
        leave: () => membership.leave(),
      }
    },
  })
}
