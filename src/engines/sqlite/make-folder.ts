// Makes a folder so that it outlasts a power failure.
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { asError, SpillwayError } from '../../core/errors.ts'
import { translate } from './native-error.ts'

/** The entry of a new folder must be on the disk too, or its file could be lost with it. */
export function makeFolder(folder: string): void {
  try {
    const first = mkdirSync(folder, { recursive: true })
    if (first === undefined || process.platform === 'win32') return
    for (let made = folder; made.length >= first.length; made = dirname(made)) {
      const parent = openSync(dirname(made), 'r')
      try {
        fsyncSync(parent)
      } finally {
        closeSync(parent)
      }
    }
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === undefined || !cannotBe.has(code)) throw translate(thrown, folder)
    throw new SpillwayError(
      'INVALID_OPTION',
      `${JSON.stringify(folder)} cannot be the folder of a database: ${asError(thrown).message}.`,
      { engine: 'sqlite', cause: thrown },
    )
  }
}

/** There is a file in the way, we may not write there, or it is no path at all. */
const cannotBe: ReadonlySet<string> = new Set([
  'EACCES',
  'EEXIST',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOTDIR',
  'EPERM',
  'EROFS',
  'ERR_INVALID_ARG_VALUE',
])
