// The embedded engine: SQLite files in a folder, several processes of one machine may share it.
import { join, resolve } from 'node:path'
import { SpillwayError } from '../../core/errors.ts'
import type { Durability, Engine, EngineOptions } from '../../ports/engine.ts'
import { durabilityOf } from './durability.ts'
import { SqliteLimit } from './limit/limit.ts'
import { makeFolder } from './make-folder.ts'
import { SqliteQueue } from './queue.ts'
import { checkMs, longestTimerMs, outOfRange } from './range.ts'
import { defaultBounds, Storage } from './storage.ts'
import { SqliteStream } from './stream.ts'

export interface SqliteOptions extends EngineOptions {
  /** The folder; it is created when it does not exist. It must be on a local disk: WAL does not work over a network. */
  readonly path: string
  /** 'off' leaves commits to the operating system: for tests, and for what may be lost with the machine. Default 'full'. */
  readonly synchronous?: 'full' | 'off'
  /** How long a write waits for the lock of another process before it fails with ENGINE_UNAVAILABLE. Default 5,000. */
  readonly busyTimeoutMs?: number
  /** How often streams are looked at for what they need not keep any longer. Default 10,000. */
  readonly retentionEveryMs?: number
}

/** How often buckets that say no more than fresh ones are looked for. */
const sweepEveryMs = 10_000

/** Opens the engine. Errors: STORE_CORRUPT, STORE_FROM_FUTURE, DURABILITY, ENGINE_UNAVAILABLE, ENGINE_FAILED. */
export async function sqlite(options: SqliteOptions): Promise<Engine> {
  const folder = resolve(options.path)
  const { retentionEveryMs = 10_000 } = options
  checkMs(retentionEveryMs, 1, 'retentionEveryMs')
  if (retentionEveryMs > longestTimerMs)
    throw outOfRange(retentionEveryMs, `milliseconds up to ${longestTimerMs}`, 'retentionEveryMs')
  makeFolder(folder)
  // The thread reports only once these exist: its first report is the one that opens it.
  let queue: SqliteQueue | undefined
  let stream: SqliteStream | undefined
  const { storage, opened } = await Storage.open(
    {
      path: join(folder, 'spillway.db'),
      wakeFolder: join(folder, 'wake'),
      synchronous: options.synchronous ?? 'full',
      busyTimeoutMs: options.busyTimeoutMs ?? 5000,
      retentionEveryMs,
    },
    defaultBounds,
    {
      wake: (wake) => {
        queue?.wake(wake?.queues)
        stream?.wake(wake?.streams)
      },
      notices: (notices) => stream?.notice(notices),
      failed: (error) => stream?.fail(error),
    },
  )
  const durability = durabilityOf(opened)
  if (options.strict === true && durability.level !== 'power-loss') {
    await storage.close()
    throw new SpillwayError('DURABILITY', `${folder}: ${durability.weaknesses.join('; ')}.`, {
      engine: 'sqlite',
      details: { weaknesses: durability.weaknesses },
    })
  }
  queue = new SqliteQueue(storage)
  stream = new SqliteStream(storage)
  const limit = new SqliteLimit({
    path: join(folder, 'limits.db'),
    synchronous: options.synchronous === 'off' ? 'off' : 'normal',
    busyTimeoutMs: options.busyTimeoutMs ?? 5000,
    sweepEveryMs,
  })
  return new SqliteEngine(options.path, durability, storage, { queue, stream, limit })
}

class SqliteEngine implements Engine {
  readonly name = 'sqlite'
  readonly url: string
  readonly durability: Durability
  readonly queue: SqliteQueue
  readonly stream: SqliteStream
  readonly limit: SqliteLimit
  readonly #storage: Storage
  #closed: Promise<void> | undefined

  constructor(
    path: string,
    durability: Durability,
    storage: Storage,
    ports: { readonly queue: SqliteQueue; readonly stream: SqliteStream; readonly limit: SqliteLimit },
  ) {
    this.url = `sqlite:${path}`
    this.durability = durability
    this.queue = ports.queue
    this.stream = ports.stream
    this.limit = ports.limit
    this.#storage = storage
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.queue.close()
      await Promise.all([this.stream.close(), this.limit.close()])
      await this.#storage.close()
    })()
    return this.#closed
  }
}
