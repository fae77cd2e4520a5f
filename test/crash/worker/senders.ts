// Those who send: to a queue with retries under one id, directly to a stream without any, and through an outbox.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError, service } from '../../../src/index.ts'
import { Queue } from '../../../src/queue/queue.ts'
import { Stream } from '../../../src/stream/stream.ts'
import { numbered, partitions } from '../contexts.ts'
import { Journal, readSends } from '../journal.ts'
import { databaseOf, loops, runAlone, type Setting, type Work } from './setting.ts'

const keys = 6

/** The names of the keys that this process, and no other, sends. */
function keysOf(setting: Setting): string[] {
  return Array.from({ length: keys }, (_, index) => `${setting.spec.name}.${index}`)
}

/**
 * Sends jobs, some at a time. A send that was not acknowledged, in this process or in one that was killed, is
 * repeated with its id until it is.
 */
export async function sendJobs(setting: Setting): Promise<Work> {
  const { spec, engine, contexts, random } = setting
  const queue = new Queue(contexts.intake.queues.jobs, engine.queue!, engine.name)
  await engine.queue!.declare([queue.name])
  const before = readSends(spec.folder, spec.name)
  const journal = new Journal(spec.folder, spec.name)
  const send = async (key: string, number: number): Promise<void> => {
    const message = numbered(key, number)
    journal.intend(key, number)
    for (;;) {
      try {
        await queue.send(message, { id: message.id })
        return journal.acknowledge(key, number)
      } catch (thrown) {
        await orThrow(setting, thrown)
      }
    }
  }
  const names = keysOf(setting)
  const hush = loops(keys, async (index, ended) => {
    const key = names[index]!
    const mine = before.filter((entry) => entry.key === key)
    for (const { number, acknowledged } of mine) if (!acknowledged) await send(key, number)
    let number = mine.reduce((highest, entry) => Math.max(highest, entry.number), 0)
    while (!ended()) {
      await send(key, ++number)
      await delay(random.between(20, 80))
    }
  })
  return { hush, stop: async () => journal.close() }
}

/** Appends events directly, each key one by one. What fails is never tried again: the stream would have it twice. */
export async function appendReadings(setting: Setting): Promise<Work> {
  const { spec, engine, contexts, random } = setting
  const contract = contexts.meter.events.read
  const declared = await engine.stream!.declare({ name: contract.stream, partitions })
  const stream = new Stream(contract, declared.partitions, engine.stream!, engine.name)
  const before = readSends(spec.folder, spec.name)
  const journal = new Journal(spec.folder, spec.name)
  const names = keysOf(setting)
  const hush = loops(keys, async (index, ended) => {
    const key = names[index]!
    let number = before.reduce((highest, entry) => Math.max(highest, entry.key === key ? entry.number : 0), 0)
    while (!ended()) {
      const message = numbered(key, ++number)
      journal.intend(key, number)
      try {
        await stream.append(message, { id: message.id })
        journal.acknowledge(key, number)
      } catch (thrown) {
        await orThrow(setting, thrown)
      }
      await delay(random.between(20, 80))
    }
  })
  return { hush, stop: async () => journal.close() }
}

/** Places orders: a row and an event in one transaction. What is in the database after a failure was committed. */
export async function placeOrders(setting: Setting): Promise<Work> {
  const { spec, contexts, random, effects } = setting
  const orders = service(contexts.orders, { database: databaseOf(setting) })
  const running = await runAlone(setting, orders)
  const place = running.service(orders)
  const journal = new Journal(spec.folder, spec.name)
  const names = keysOf(setting)
  const hush = loops(keys, async (index, ended) => {
    const key = names[index]!
    while (!ended()) {
      let number: number
      try {
        number = 1 + (await effects.highest(place.database!.db, 'placed', key))
      } catch (thrown) {
        // Our own query, on a server that may be the one that is struck.
        if (!spec.database) throw thrown
        await delay(100)
        continue
      }
      const message = numbered(key, number)
      journal.intend(key, number)
      try {
        await place.transaction((tx) => {
          tx.publish(contexts.orders.events.placed, message, { id: message.id })
          return effects.record(tx.db, 'placed', message)
        })
        journal.acknowledge(key, number)
      } catch (thrown) {
        // Effects throw what their driver throws.
        if (spec.database && !isSpillwayError(thrown)) await delay(100)
        else await orThrow(setting, thrown)
      }
      await delay(random.between(20, 80))
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

/** A failure that may pass is reported and waited out; any other ends the process, and the run. */
async function orThrow({ spec, onReport }: Setting, thrown: unknown): Promise<void> {
  if (!isSpillwayError(thrown) || !thrown.retryable) throw thrown
  onReport({ from: spec.name, error: thrown })
  await delay(100)
}
