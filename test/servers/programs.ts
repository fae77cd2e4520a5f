/** Where server programs are looked for, and how a short-lived one is run. */
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import type { Account } from './account.ts'

/** The folder that `scripts/get-servers.ts` fills; SPILLWAY_SERVERS names another. */
export const cacheFolder: string = resolve(
  process.env.SPILLWAY_SERVERS ?? join(import.meta.dirname, '../../.cache/servers'),
)

/** How a missing server is to be had, for the sentence that says it is missing. */
export function howToGet(part: string): string {
  return `\`node scripts/get-servers.ts --only ${part}\` gets it`
}

/** The first executable of that name in the folders given, then on PATH. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...folders, ...path].map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Why a program cannot be used, and how to get it; `undefined` when it runs with the argument that asks it for its version. */
export async function whyMissing(
  name: string,
  program: string | undefined,
  version: string,
  absent = 'is not here',
): Promise<string | undefined> {
  if (program === undefined) return `${name} ${absent}: ${howToGet(name)}`
  return await run(program, [version]).then(
    () => undefined,
    (error: Error) => `${name} cannot be run (${error.message}): ${howToGet(name)}`,
  )
}

/** Runs a program to its end and resolves to what it printed, on either stream. Rejects with the same when it fails. */
export function run(program: string, args: readonly string[], account?: Account): Promise<string> {
  return new Promise((done, fail) => {
    const options = { ...account, cwd: '/', timeout: 60_000, env: { ...process.env, LC_ALL: 'C' } }
    execFile(program, args, options, (error, stdout, stderr) => {
      const printed = `${stdout}${stderr}`.trim()
      if (error === null) return done(printed)
      fail(new Error(`${program} ${args[0] ?? ''} failed: ${printed || error.message}`, { cause: error }))
    })
  })
}
