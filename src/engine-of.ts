// The one place that opens an engine from a URL. Engines are loaded when they are asked for, so that nobody carries the
// weight of those that they do not use.
import { SpillwayError } from './core/errors.ts'
import { nodeTooOld } from './core/node-version.ts'
import type { DatabaseSource } from './ports/database.ts'
import type { Engine, EngineOptions } from './ports/engine.ts'

type Opener = (url: string, options: EngineOptions) => Promise<Engine>

const openers: Readonly<Record<string, Opener>> = {
  sqlite: async (url, options) => {
    const { sqlite } = await import('./engines/sqlite/engine.ts')
    const [path = '', query] = url.slice('sqlite:'.length).split(/\?(.*)/s)
    if (query !== undefined)
      throw new SpillwayError(
        'INVALID_OPTION',
        'The url of the engine `sqlite` has no parameters: it is the path of a folder, without a question mark in it.',
        { engine: 'sqlite' },
      )
    return sqlite({ ...options, path })
  },
  postgres: async (url, options) => {
    const { postgres } = await import('./engines/postgres/engine.ts')
    return postgres({ ...options, url })
  },
  kafka: async (url, options) => {
    const { kafka } = await import('./engines/kafka/engine.ts')
    return kafka({ ...options, url })
  },
  nats: async (url, options) => {
    const { nats } = await import('./engines/nats/engine.ts')
    return nats({ ...options, url })
  },
  redis: async (url, options) => {
    const { redis } = await import('./engines/redis/engine.ts')
    return redis({ ...options, url })
  },
}
const aliases: Readonly<Record<string, string>> = { postgresql: 'postgres', rediss: 'redis' }

/**
 * Opens the engine that a URL names: `sqlite:./folder`, `postgres://…`, `kafka://…`, `nats://…`, `redis://…`. Throws INVALID_OPTION for a URL
 * that names none, CLIENT_MISSING, ENGINE_UNAVAILABLE, ENGINE_TOO_OLD, STORE_CORRUPT, STORE_FROM_FUTURE, DURABILITY.
 */
export async function openEngine(url: string, options: EngineOptions = {}): Promise<Engine> {
  const tooOld = nodeTooOld()
  if (tooOld !== undefined)
    throw new SpillwayError('CONFIGURATION', tooOld, { remedy: 'Nothing was opened. Install a newer Node.' })
  const [, scheme = '', rest = ''] = (typeof url === 'string' && /^([a-z]+):(.*)$/s.exec(url)) || []
  const opener = openers[aliases[scheme] ?? scheme]
  if (opener && rest !== '') return opener(url, options)
  const known = [
    'sqlite:./folder',
    'postgres://user@host/database',
    'kafka://host:9092',
    'nats://host:4222',
    'redis://host:6379',
  ].join(', ')
  throw new SpillwayError('INVALID_OPTION', `${shown(url)} names no engine: write ${known}.`)
}

/** The databases of services, for those who look after them: `postgres://…`, or the path of an SQLite file. Throws as `openEngine` does. */
export async function databaseAt(where: string): Promise<DatabaseSource<unknown>> {
  if (/^postgres(ql)?:/.test(where)) {
    const { postgresDatabase } = await import('./engines/postgres/database.ts')
    return postgresDatabase({ url: where })
  }
  const { sqliteDatabase } = await import('./engines/sqlite/database.ts')
  return sqliteDatabase(where.replace(/^sqlite:/, ''))
}

/** Without a password that may stand in it. */
function shown(url: unknown): string {
  return typeof url === 'string'
    ? JSON.stringify(url.replace(/^([a-z]+:\/\/)?.*@/s, '$1…@').replace(/\?.*/s, '?…'))
    : `The type ${typeof url}`
}
