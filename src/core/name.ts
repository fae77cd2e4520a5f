// Names of contexts, queues, streams and groups: one rule, so that a name works on every engine.
import { SpillwayError } from './errors.ts'

const allowed = /^[A-Za-z][A-Za-z0-9._-]{0,99}$/

/** Returns the name, or throws INVALID_NAME saying what the name is for. */
export function checkName(name: string, what: string): string {
  if (typeof name === 'string' && allowed.test(name)) return name
  throw new SpillwayError('INVALID_NAME', `${JSON.stringify(name)} cannot be the name of a ${what}.`)
}
