/**
 * Storage as a server wants it at its first start, made once for all tests: the program that makes it takes seconds of the processor, for what
 * is the same each time. Kept beside the servers in `.cache/`, as a copy that nobody starts.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './programs.ts'

const shelf = join(import.meta.dirname, '../../.cache/storage')

/** Fills the empty `folder`: by `make`, or with a copy of what that made before for the same `what`, which is all that it depends on. */
export async function prepared(
  folder: string,
  name: string,
  what: readonly unknown[],
  make: () => Promise<unknown>,
): Promise<void> {
  // Who owns the files matters to PostgreSQL, and copies keep it.
  const key = createHash('sha256').update(JSON.stringify([process.getuid?.(), ...what]))
  const kept = join(shelf, `${name}-${key.digest('hex').slice(0, 16)}`)
  if (existsSync(kept)) {
    await run('cp', ['-Rp', `${kept}/.`, folder])
    return
  }
  await make()
  mkdirSync(shelf, { recursive: true })
  const copy = mkdtempSync(`${kept}-`)
  try {
    await run('cp', ['-Rp', `${folder}/.`, copy])
    renameSync(copy, kept)
  } catch (thrown) {
    rmSync(copy, { recursive: true })
    // Somebody else made it at the same time.
    if (!existsSync(kept)) throw thrown
  }
}
