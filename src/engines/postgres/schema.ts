// Names of PostgreSQL schemas, and how they are written in statements.
import { createHash } from 'node:crypto'
import { SpillwayError } from '../../core/errors.ts'

/** PostgreSQL cuts identifiers silently after this many bytes. */
const maxIdentifier = 63

/** Returns the name, or throws INVALID_OPTION. */
export function checkSchema(schema: string, maxLength: number = maxIdentifier): string {
  if (/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(schema) && schema.length <= maxLength && !/^pg_/i.test(schema))
    return schema
  throw new SpillwayError(
    'INVALID_OPTION',
    `schema is ${JSON.stringify(schema)}; it takes letters, digits, dot, dash and underscore, starting with a letter, up to ${maxLength} characters and not with pg_.`,
    { engine: 'postgres' },
  )
}

/** The name when it is short enough; else its beginning and a digest, so that two long names stay apart. */
export function shorten(name: string): string {
  if (name.length <= maxIdentifier) return name
  return `${name.slice(0, 46)}_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

/** A checked name as an identifier. */
export function quote(schema: string): string {
  return `"${schema}"`
}
