// Finds and loads the topology of a project.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SpillwayError } from '../core/errors.ts'
import type { Topology } from '../topology/topology.ts'

const names = ['spillway.config.ts', 'spillway.config.js', 'spillway.config.mjs']

/** Loads the default export of the given file, or of the first of `spillway.config.{ts,js,mjs}` in this folder. */
export async function loadTopology(path?: string): Promise<Topology> {
  const found = path ?? names.find((name) => existsSync(name))
  if (found === undefined || !existsSync(found))
    throw new SpillwayError('CONFIGURATION', `There is no ${path ?? names[0]} in ${process.cwd()}.`)
  const module = (await import(pathToFileURL(resolve(found)).href)) as { default?: Partial<Topology> }
  if (module.default?.kind !== 'topology')
    throw new SpillwayError(
      'CONFIGURATION',
      `${found} does not export a topology by default; write export default topology({ … }).`,
    )
  return module.default as Topology
}
