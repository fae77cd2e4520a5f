// Finds and loads the topology of a project.
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { asError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import type { Topology } from '../topology/topology.ts'

const names = ['spillway.config.ts', 'spillway.config.js', 'spillway.config.mjs']

/** Loads the default export of the given file, or of the first of `spillway.config.{ts,js,mjs}` in this folder. */
export async function loadTopology(path?: string): Promise<Topology> {
  const found = (path === undefined ? names : [path]).find(isFile)
  if (found === undefined)
    throw new SpillwayError('CONFIGURATION', `There is no ${path ?? names[0]} in ${process.cwd()}.`)
  const { default: exported } = await load(found)
  if ((exported as Partial<Topology> | null | undefined)?.kind === 'topology') return exported as Topology
  throw new SpillwayError(
    'CONFIGURATION',
    `${found} does not export a topology by default; write export default topology({ … }).`,
  )
}

/** What the file's own code throws, or what is wrong with its text, is the cause. */
async function load(file: string): Promise<{ readonly default?: unknown }> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as { readonly default?: unknown }
  } catch (thrown) {
    if (isSpillwayError(thrown)) throw thrown
    const why = asError(thrown).message
    throw new SpillwayError('CONFIGURATION', `${file} could not be loaded: ${why}.`, { cause: thrown })
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}
