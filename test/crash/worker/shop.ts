// The scene of the outbox: a business that places orders in transactions of its own, of which some are undone; a process that does
// nothing but relay; and a delivery that has one effect for each event and each parcel.
import { setTimeout as delay } from 'node:timers/promises'
import { seal } from '../../../src/core/envelope.ts'
import { partitionOf } from '../../../src/core/partition.ts'
import { isSpillwayError, service } from '../../../src/index.ts'
import { type Numbered, numbered, partitions } from '../contexts.ts'
import { Journal } from '../journal.ts'
import { effect, nothing, options, work } from './services.ts'
import { databaseOf, loops, runAlone, type Setting, type Work } from './setting.ts'

/** All processes of the business place orders of these: whoever wants to count on waits for who counts. */
const keys = ['a', 'b', 'c', 'd', 'e', 'f']
const undone = 0.2

/** Their number is given inside the transaction, so the order of a key is the order in which its transactions were committed. */
export async function business(setting: Setting): Promise<Work> {
  const { spec, contexts, random, effects } = setting
  const { placed } = contexts.shop.events
  const shop = service(contexts.shop, { database: databaseOf(setting, 'shop') })
  const running = await runAlone(setting, shop)
  const journal = new Journal(spec.folder, spec.name)
  const hush = loops(keys.length, async (index, ended) => {
    const key = keys[index]!
    while (!ended()) {
      const undoes = random.chance(undone)
      try {
        await running.service(shop).transaction((tx) =>
          after(effects.next(tx.db, key), (number) => {
            const order = undoes ? undo(journal, key, number, random.next()) : numbered(key, number)
            if (spec.plant === 'dual-write') void sendPastTransaction(setting, order)
            else tx.publish(placed, order, { id: order.id })
            tx.send(contexts.delivery.queues.parcels, order, { id: order.id })
            return after(effects.record(tx.db, 'placed', order), () => {
              if (undoes) throw new Planned()
            })
          }),
        )
      } catch (thrown) {
        // Which of them went through is in the database, and nowhere else.
        if (!(thrown instanceof Planned) && isSpillwayError(thrown) && !thrown.retryable) throw thrown
        if (!(thrown instanceof Planned)) await delay(100)
      }
      await delay(random.between(5, 60))
    }
  })
  return {
    hush,
    async stop() {
      await running.stop()
      journal.close()
    },
  }
}

/** What a program does that has no outbox, at the worst moment. */
async function sendPastTransaction({ engine, contexts }: Setting, order: Numbered): Promise<void> {
  const { placed } = contexts.shop.events
  const { key, body } = await seal(placed, order, { id: order.id })
  await engine.stream!.append(placed.stream, [{ partition: partitionOf(order.key, partitions), key, body }])
}

class Planned extends Error {}

/** The journal has it before anything of it can leave. */
function undo(journal: Journal, key: string, number: number, salt: number): Numbered {
  const order = { id: `${key}-${number}-${salt}`, key, number }
  journal.undo(key, order.id)
  return order
}

/** One database is synchronous, the other one is not. */
function after<T>(value: T | Promise<T>, then: (value: T) => unknown): unknown {
  return value instanceof Promise ? value.then(then) : then(value)
}

/** A service of the business that has nothing to do but to relay. */
export function relay(setting: Setting): Promise<Work> {
  return work(setting, service(setting.contexts.shop, { database: databaseOf(setting, 'shop') }))
}

export function delivery(setting: Setting): Promise<Work> {
  const { shop, delivery } = setting.contexts
  return work(
    setting,
    service(delivery, options(setting))
      .on(shop.events.placed, effect(setting, 'placed', nothing))
      .work(delivery.queues.parcels, effect(setting, 'parcels', nothing)),
  )
}
