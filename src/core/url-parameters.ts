// What stands behind the ? of an engine's URL. What nobody knows is refused: it would be passed over, and what it was to say with it.
import { SpillwayError } from './errors.ts'

/** Throws INVALID_OPTION for a parameter that is not known, or given twice. `told`: those that are named then, where not all of them are ours. */
export function checkParameters(
  engine: string,
  query: URLSearchParams,
  known: readonly string[],
  told: readonly string[] = known,
): void {
  const names = [...query.keys()]
  const unknown = names.find((name) => !known.includes(name))
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (unknown !== undefined)
    throw wrong(engine, `has no parameter ${named(unknown, query)}; it has ${told.join(', ')}`)
  if (twice !== undefined) throw wrong(engine, `has the parameter ${named(twice, query)} twice`)
}

/** It may be the end of a password. */
function named(name: string, query: URLSearchParams): string {
  const isHarmless = /^\w{1,20}$/.test(name) && ![...query].flat().some((text) => text.includes('@'))
  return isHarmless ? `'${name}'` : 'of that name'
}

function wrong(engine: string, what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', `The url of the engine \`${engine}\` ${what}.`, { engine })
}
