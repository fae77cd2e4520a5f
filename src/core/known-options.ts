// Callers without types: an option that there is not would be passed over in silence, and what it was to prevent would happen.
import { describe, SpillwayError } from './errors.ts'

/** Every option of a kind, by name: the compiler sees to it that none is left out. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>

/** Throws INVALID_OPTION for an option that is not among the known ones, with the one that was probably meant. Undefined is none. */
export function checkOptions<Options extends object>(
  what: string,
  given: Options | undefined,
  known: OptionNames<Options>,
): void {
  if (given === undefined) return
  if (typeof given !== 'object' || given === null)
    throw new SpillwayError('INVALID_OPTION', `${what}: ${describe(given)} is no object with options.`)
  // For every message that is sent with options: nothing is made here.
  for (const name of Object.keys(given) as (keyof Options & string)[])
    if (known[name] !== true && given[name] !== undefined) throw unknown(what, name, Object.keys(known))
}

/** Throws INVALID_OPTION for what cannot be called, or is the handler and its options the wrong way round. */
export function checkHandler(what: string, handler: unknown): void {
  if (typeof handler === 'function') return
  throw new SpillwayError('INVALID_OPTION', `${what}: its handler is ${describe(handler)}, and no function.`)
}

function unknown(what: string, name: string, known: readonly string[]): SpillwayError {
  const meant = nearestName(name, known)
  const hint = meant === undefined ? '' : ` Did you mean \`${meant}\`?`
  return new SpillwayError(
    'INVALID_OPTION',
    `${what} has no option \`${name}\`.${hint} There ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}.`,
  )
}

/** What is written alike: in other letters, longer or shorter, or with a few letters wrong. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const sought = plain(name)
  const most = Math.ceil(sought.length / 2.5)
  const [best] = known
    .map((each) => ({ each, steps: within(sought, plain(each)) ? 0 : distance(sought, plain(each)) }))
    .filter(({ steps }) => steps <= most)
    .sort((a, b) => a.steps - b.steps)
  return best?.each
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '')
}

function within(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  return short.length > 2 && long.includes(short)
}

/** How many letters are to be put in, taken out or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const now = [row]
    for (let column = 1; column <= b.length; column++)
      now[column] = Math.min(
        now[column - 1]! + 1,
        before[column]! + 1,
        before[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1),
      )
    before = now
  }
  return before[b.length]!
}
