// Whether a server is one that Spillway can work with.
import { SpillwayError } from '../../core/errors.ts'
import type { PgLink, PgResult } from './client.ts'

const oldest = 15

interface Found {
  readonly number: number
  readonly version: string
  readonly standby: boolean
  readonly isolation: string
  /** 'on' in recovery too. */
  readonly read_only: string
  readonly encoding: string
}

/** The second stores what it is given. */
const encodings: ReadonlySet<string> = new Set(['UTF8', 'SQL_ASCII'])

/**
 * ENGINE_TOO_OLD; ENGINE_UNAVAILABLE where nothing can be written; CONFIGURATION for sessions that would read from the past,
 * and for an encoding that does not have every character.
 */
export async function checkServer(link: PgLink): Promise<void> {
  const result = (await link.query(`select current_setting('server_version_num')::int as number,
    current_setting('server_version') as version, pg_is_in_recovery() as standby,
    current_setting('default_transaction_isolation') as isolation, current_setting('transaction_read_only') as read_only,
    current_setting('server_encoding') as encoding`)) as PgResult<Found>
  const { number, version, standby, isolation, read_only, encoding } = result.rows[0]!
  const details = { engine: 'postgres' }
  if (number < oldest * 10_000)
    throw new SpillwayError(
      'ENGINE_TOO_OLD',
      `The server is PostgreSQL ${version}; Spillway works with ${oldest} and later.`,
      details,
    )
  if (standby)
    throw new SpillwayError(
      'ENGINE_UNAVAILABLE',
      'The server is a standby in recovery, which takes no writes; connect to the primary.',
      details,
    )
  if (read_only === 'on')
    throw new SpillwayError(
      'ENGINE_UNAVAILABLE',
      'Sessions begin with default_transaction_read_only = on: set it off for this user or database.',
      details,
    )
  if (!encodings.has(encoding))
    throw new SpillwayError(
      'CONFIGURATION',
      `The database has the encoding ${encoding}, which cannot store every message: make one with the encoding UTF8.`,
      details,
    )
  if (isolation !== 'read committed')
    throw new SpillwayError(
      'CONFIGURATION',
      `Sessions begin with default_transaction_isolation = '${isolation}'; Spillway's locks need 'read committed': set it for this user or database.`,
      details,
    )
}
