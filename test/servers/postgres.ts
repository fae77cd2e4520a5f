/**
 * PostgreSQL twice: the oldest the system has, and the newest from npm, so that what we do with it holds on both.
 *
 * The npm package is asked for its programs only. Its class hooks SIGINT and uncaught exceptions of the whole process on
 * import, and waits for ever when told to stop a server that was killed.
 */
import { chownSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { unprivilegedAccount } from './account.ts'
import { launch } from './launch.ts'
import type { Launcher, StartOptions } from './launcher.ts'
import { findEmbedded, findSystem, type PostgresPrograms } from './postgres-programs.ts'
import { prepared } from './prepared.ts'
import { howToGet, run } from './programs.ts'
import type { Recipe } from './recipe.ts'

export interface PostgresOptions extends StartOptions {
  /** Put into the configuration, as in `{ fsync: 'off' }`. Otherwise the server's own defaults: it really syncs. */
  readonly settings?: Readonly<Record<string, string>>
  /** Put into its data folder, over what is there: `pg_hba.conf`, certificates. */
  readonly files?: Readonly<Record<string, string>>
}

const CREDENTIALS = { user: 'spillway', password: 'spillway', database: 'postgres' }

const system = findSystem()
const embedded = findEmbedded()

export const embeddedPostgres: Launcher<PostgresOptions> = postgres(
  `postgres-${embedded?.major ?? 18}`,
  embedded,
  '`npm install` with optional dependencies gets it',
)

export const systemPostgres: Launcher<PostgresOptions> = postgres(
  `postgres-${system?.major ?? 15}${system?.major === embedded?.major && system ? '-system' : ''}`,
  system,
  howToGet('postgres'),
)

function postgres(
  name: string,
  programs: PostgresPrograms | undefined,
  remedy: string,
): Launcher<PostgresOptions> {
  return {
    name,
    async missing() {
      if (programs === undefined) return `${name} is not installed: ${remedy}`
      try {
        await run(join(programs.bin, 'postgres'), ['--version'], unprivilegedAccount())
        return undefined
      } catch (error) {
        return `${name} cannot be run (${(error as Error).message}): ${remedy}`
      }
    },
    async start(options = {}) {
      if (programs === undefined) throw new Error(`${name} is not installed: ${remedy}`)
      return await launch(recipe(name, programs.bin, options), options)
    },
  }
}

function recipe(name: string, bin: string, { settings, files = {} }: PostgresOptions): Recipe {
  const account = unprivilegedAccount()
  return {
    name,
    account,
    // "Fast": sends the clients away. SIGTERM would wait for them to leave by themselves.
    stopSignal: 'SIGINT',
    url: ({ port }) =>
      `postgres://${CREDENTIALS.user}:${CREDENTIALS.password}@127.0.0.1:${port}/${CREDENTIALS.database}`,
    async prepare({ folder, data, port }) {
      const initdb = join(bin, 'initdb')
      const how = ['--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-sync']
      const what = [await run(initdb, ['--version']), initdb, account?.uid, CREDENTIALS, how]
      await prepared(data, name, what, async () => {
        const password = join(folder, 'password')
        writeFileSync(password, CREDENTIALS.password)
        const identity = [`--username=${CREDENTIALS.user}`, `--pwfile=${password}`]
        await run(initdb, ['--pgdata', data, ...identity, ...how], account)
      })
      const all = { ...settings, listen_addresses: '127.0.0.1', unix_socket_directories: '', port }
      const lines = Object.entries(all).map(([key, value]) => `${key} = '${value}'\n`)
      writeFileSync(join(data, 'postgresql.auto.conf'), lines.join(''))
      for (const [file, text] of Object.entries(files)) {
        const path = join(data, file)
        // A key that others may read is refused.
        writeFileSync(path, text, { mode: 0o600 })
        if (account !== undefined) chownSync(path, account.uid, account.gid)
      }
    },
    command: ({ data }) => [join(bin, 'postgres'), '-D', data],
    async probe({ port }) {
      const client = new pg.Client({
        ...CREDENTIALS,
        host: '127.0.0.1',
        port,
        connectionTimeoutMillis: 2_000,
      })
      client.on('error', () => {})
      try {
        await client.connect()
        const answer = await client.query<{ server_version: string }>('show server_version')
        return answer.rows[0]?.server_version ?? ''
      } finally {
        await client.end().catch(() => {})
      }
    },
    async sweep({ data }) {
      const segment = sharedMemory(data)
      if (segment !== undefined) await run('ipcrm', ['-m', segment]).catch(() => {})
    },
  }
}

/** The System V segment of a server that was killed: its next start would take it over, otherwise it stays until reboot. */
function sharedMemory(data: string): string | undefined {
  try {
    const keyAndId = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[6]
    return keyAndId?.trim().split(/\s+/)[1]
  } catch {
    return undefined
  }
}
