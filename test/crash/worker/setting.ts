// What every role starts from: the engine, the contexts, the database of a service, and a topology to run it in.
import {
  type Context,
  type Engine,
  type OnReport,
  type Running,
  run,
  type Service,
  topology,
} from '../../../src/index.ts'
import type { DatabaseSource } from '../../../src/ports/database.ts'
import { type Contexts, contexts, partitions } from '../contexts.ts'
import { type Effects, postgresEffects, sqliteEffects } from '../effects.ts'
import type { Random } from '../random.ts'
import { changed, plantInDatabase } from './faults.ts'
import type { WorkerSpec } from './spec.ts'

export interface Setting {
  readonly spec: WorkerSpec
  readonly engine: Engine
  readonly contexts: Contexts
  readonly random: Random
  readonly effects: Effects<unknown>
  readonly onReport: OnReport
}

/** What a role does until it is stopped. */
export interface Work {
  /** Sends nothing new; resolves when everything sent is acknowledged. */
  hush(): Promise<void>
  stop(): Promise<void>
}

/** How long a relay keeps its lock here: with its 10 s most of a run would be spent waiting for a killed one. */
const relayLockMs = 1_500

export function settingOf(spec: WorkerSpec, engine: Engine, random: Random, onReport: OnReport): Setting {
  const { database, folder, run } = spec
  const effects: Effects<unknown> = database ? postgresEffects(database, run) : sqliteEffects(folder)
  return { spec, engine, contexts: contexts(spec.run), random, effects, onReport }
}

/** The database of a service, with the planted fault if there is one. */
export function databaseOf(
  { spec, engine, effects }: Setting,
  service: string = spec.role,
): DatabaseSource<unknown> {
  const quick = changed(effects.database(service), ({ outbox }) => ({
    outbox: {
      producerId: outbox.producerId,
      lock: (holder) => outbox.lock(holder, relayLockMs),
      unlock: (holder) => outbox.unlock(holder),
      pending: () => outbox.pending(),
      take: (...args) => outbox.take(...args),
      ...(outbox.move ? { move: (...args) => outbox.move!(...args) } : {}),
      remove: (rows) => outbox.remove(rows),
      setAside: (row, reason) => outbox.setAside(row, reason),
      aside: (...args) => outbox.aside(...args),
      retry: (sequences) => outbox.retry(sequences),
      drop: (sequences) => outbox.drop(sequences),
      count: () => outbox.count(),
    },
  }))
  return plantInDatabase(quick, spec.plant, engine)
}

/** Runs one service, or none, in a topology that knows all contexts which the engine can carry. */
export function runAlone(setting: Setting, service?: Service<unknown>): Promise<Running> {
  const { engine, onReport } = setting
  const { shop, delivery, ...everything } = setting.contexts
  const outbox: readonly Context[] = [shop, delivery]
  const scene = outbox.some(({ name }) => name === service?.context.name) ? outbox : Object.values(everything)
  const others = scene.filter(
    ({ name, queues }) =>
      name !== service?.context.name && (engine.queue || Object.keys(queues).length === 0),
  )
  const whole = topology({
    contexts: service ? [service, ...others] : others,
    engine: engine.url,
    partitions,
  })
  return run(whole, { engine, only: service ? [service.context.name] : [], onReport })
}

/** Background loops that end when asked to. */
export function loops(
  count: number,
  loop: (index: number, ended: () => boolean) => Promise<void>,
): () => Promise<void> {
  let ended = false
  const all = Promise.all(Array.from({ length: count }, (_, index) => loop(index, () => ended)))
  return async () => {
    ended = true
    await all
  }
}
