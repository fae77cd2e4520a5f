// Where the processes of `spillway up` can be asked by who started them: a socket each, named for the process, in a folder that nobody else may enter.
import { lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asError } from '../../core/errors.ts'

/** What fits into the address of a socket on every system. */
const longestPath = 95

export interface FoundProcess {
  readonly name: string
  readonly path: string
}

/** The folder of this user. */
function folder(): string {
  return join(process.env.XDG_RUNTIME_DIR || tmpdir(), `spillway-${process.getuid?.() ?? ''}`)
}

/** The socket of the process with this id. */
export function controlPath(pid: string): string {
  return join(folder(), `${pid}.sock`)
}

/** A place for the socket of this process, in a folder that is made; or why there is none. */
export function ownControl():
  | { readonly path: string; readonly ifPossible: true }
  | { readonly problem: string } {
  if (process.platform === 'win32') return { problem: 'there are no such sockets on Windows' }
  const path = controlPath(String(process.pid))
  if (Buffer.byteLength(path) > longestPath) return { problem: `${path} is too long for a socket` }
  try {
    mkdirSync(folder(), { mode: 0o700, recursive: true })
  } catch (thrown) {
    return { problem: asError(thrown).message }
  }
  return isPrivate() ? { path, ifPossible: true } : { problem: `${folder()} is open to other users` }
}

/** The sockets that are there, also of processes that ended without closing theirs. */
export function knownProcesses(): FoundProcess[] {
  let names: string[]
  try {
    names = isPrivate() ? readdirSync(folder()) : []
  } catch {
    return []
  }
  return names
    .filter((name) => /^\d+\.sock$/.test(name))
    .map((name) => name.slice(0, -'.sock'.length))
    .sort((a, b) => Number(a) - Number(b))
    .map((name) => ({ name, path: controlPath(name) }))
}

/** Anybody may have made a folder of that name where all may write. */
function isPrivate(): boolean {
  const found = lstatSync(folder())
  return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0
}
