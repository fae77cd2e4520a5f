// A part of src/call with one fault planted, as a change of its text: what compares the part with its model must find it.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface Mutant {
  readonly name: string
  /** Of the folder of the sources. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly replace: string
}

/** What `files[0]` exports, loaded beside the real one from copies of these files of a folder, one of them changed; all else is shared with the real one. */
export async function planted(
  mutant: Mutant,
  files: readonly string[],
  folderOfSources: 'src/call' | 'src/call/client' = 'src/call',
): Promise<unknown> {
  const sources = new URL(`../../${folderOfSources}/`, import.meta.url)
  const folder = mkdtempSync(join(tmpdir(), 'spillway-planted-'))
  try {
    for (const name of files) {
      let text = readFileSync(new URL(name, sources), 'utf8')
      if (name === mutant.file) {
        const places = text.split(mutant.find).length - 1
        assert.equal(places, 1, `${JSON.stringify(mutant.find)} stands ${places} times in ${name}`)
        text = text.replace(mutant.find, () => mutant.replace)
      }
      const absolute = text.replaceAll(/from '(\.[^']+)'/g, (statement, target: string) =>
        files.includes(target.slice(2)) ? statement : `from '${new URL(target, sources)}'`,
      )
      writeFileSync(join(folder, name), absolute)
    }
    return await import(pathToFileURL(join(folder, files[0]!)).href)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
