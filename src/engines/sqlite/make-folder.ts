// Makes a folder so that it outlasts a power failure.
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
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
    throw translate(thrown, folder)
  }
}
