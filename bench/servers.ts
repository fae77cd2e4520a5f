// The places where systems are measured: servers from the launchers of the tests, and an empty folder.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  embeddedPostgres,
  kafka,
  type Launcher,
  nats,
  type RunningServer,
  redis,
  systemPostgres,
} from '../test/servers/index.ts'
import type { PlaceName } from './systems/system.ts'

export interface Place {
  /** The server's URL, or the folder. */
  readonly url: string
  /** As the server itself says; undefined for the folder. */
  readonly version: string | undefined
}

export interface Places extends AsyncDisposable {
  readonly found: ReadonlyMap<PlaceName, Place>
  /** Why there is none, in a sentence. */
  readonly missing: ReadonlyMap<PlaceName, string>
}

interface Recipe {
  readonly launchers: readonly Launcher[]
  start(launcher: Launcher): Promise<RunningServer>
}

/** Settings are the servers' own, except for how they sync: that is said in each system's durability. */
function recipes(postgresMajor: string | undefined): Readonly<Record<Exclude<PlaceName, 'folder'>, Recipe>> {
  const all = [embeddedPostgres, systemPostgres]
  const wanted = all.filter(
    ({ name }) => postgresMajor === undefined || name.startsWith(`postgres-${postgresMajor}`),
  )
  return {
    'redis-always': { launchers: [redis], start: () => redis.start({ persistence: 'always' }) },
    'redis-none': { launchers: [redis], start: () => redis.start({ persistence: 'none' }) },
    postgres: { launchers: wanted, start: (launcher) => launcher.start() },
    'nats-always': { launchers: [nats], start: () => nats.start({ sync: 'always' }) },
    'nats-interval': { launchers: [nats], start: () => nats.start({ sync: 'interval' }) },
    // Otherwise a broker answers before its disk has anything.
    kafka: {
      launchers: [kafka],
      start: () => kafka.start({ compiled: true, settings: { 'log.flush.interval.messages': '1' } }),
    },
  }
}

/** Starts what is asked for; what cannot be had is named with the reason. */
export async function startPlaces(
  names: ReadonlySet<PlaceName>,
  options: { readonly postgresMajor?: string | undefined } = {},
): Promise<Places> {
  const found = new Map<PlaceName, Place>()
  const missing = new Map<PlaceName, string>()
  const servers: RunningServer[] = []
  const byName = recipes(options.postgresMajor)
  const start = async (name: Exclude<PlaceName, 'folder'>) => {
    const { launchers, start: startOne } = byName[name]
    const reasons =
      launchers.length === 0 ? [`there is no launcher for PostgreSQL ${options.postgresMajor}`] : []
    for (const launcher of launchers) {
      const reason = await launcher.missing()
      if (reason !== undefined) {
        reasons.push(reason)
        continue
      }
      try {
        const server = await startOne(launcher)
        servers.push(server)
        found.set(name, { url: server.url, version: server.version })
        return
      } catch (thrown) {
        reasons.push(`it did not start (${(thrown as Error).message.split('\n')[0]})`)
      }
    }
    missing.set(name, reasons.join('; '))
  }
  const folder = names.has('folder') ? mkdtempSync(join(tmpdir(), 'spillway-bench-')) : undefined
  if (folder !== undefined) found.set('folder', { url: folder, version: undefined })
  const remove = () => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', remove)
  // Otherwise a signal ends us without that. The servers have guards of their own.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  await Promise.all([...names].filter((name) => name !== 'folder').map(start))
  return {
    found,
    missing,
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.stop()))
      remove()
    },
  }
}
