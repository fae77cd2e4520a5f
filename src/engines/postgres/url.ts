// postgres://user:password@host:port/database — and behind a ? what is for us, and what is for the client library.
import { SpillwayError } from '../../core/errors.ts'
import { checkParameters } from '../../core/url-parameters.ts'

export interface PostgresUrl {
  /** For the client library: without what is for us. */
  readonly url: string
  /** Without password and parameters. */
  readonly shown: string
  readonly schema: string | undefined
  readonly listen: boolean | undefined
}

const ours = ['schema', 'listen'] as const

/** What `pg` heeds in a URL, and what libpq does: a URL is given to both. */
const theirs = [
  ...['host', 'hostaddr', 'port', 'dbname', 'database', 'db', 'user', 'password', 'passfile', 'service'],
  ...['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'sslnegotiation', 'sslcertmode'],
  ...['sslcrl', 'sslcrldir', 'sslsni', 'sslcompression', 'sslkeylogfile', 'uselibpqcompat', 'requiressl'],
  ...['ssl_min_protocol_version', 'ssl_max_protocol_version', 'min_protocol_version', 'max_protocol_version'],
  ...[
    'require_auth',
    'channel_binding',
    'requirepeer',
    'gssencmode',
    'krbsrvname',
    'gsslib',
    'gssdelegation',
  ],
  ...[
    'application_name',
    'fallback_application_name',
    'client_encoding',
    'encoding',
    'options',
    'replication',
  ],
  ...['connect_timeout', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'],
  ...['query_timeout', 'keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count'],
  ...['tcp_user_timeout', 'target_session_attrs', 'load_balance_hosts', 'binary'],
]

/** Throws INVALID_OPTION, without repeating what may be a secret. */
export function parseUrl(given: string): PostgresUrl {
  const [, tail = '', query = ''] = /^postgres(?:ql)?:\/\/[^/?#]*([^?#]*)(.*)$/s.exec(given) ?? []
  if (/^postgres(ql)?:\/\/([^@/?#]*@)?[^@/?#]*,/.test(given))
    throw wrong('names several hosts, and pg takes one: write a name that leads to the primary')
  if (!/^postgres(ql)?:\/\//.test(given) || !URL.canParse(given))
    throw wrong('is no address of the form postgres://user:password@host:port/database')
  const parsed = new URL(given)
  // What belongs to a password would be taken for a port, a database or a parameter, and be shown.
  if (`${tail}${query}`.includes('@') || parsed.hash !== '' || !isDecodable(parsed))
    throw wrong(
      'has characters that are written otherwise in a user or a password: %40 for @, %23 for #, %2F for /, %3F for ?, %25 for %',
    )
  const { searchParams, protocol, username, host, pathname } = parsed
  checkParameters('postgres', searchParams, [...ours, ...theirs], [...ours, 'and those of pg: sslmode, …'])
  const [schema, listen] = ours.map((name) => searchParams.get(name) ?? undefined)
  if (listen !== undefined && listen !== 'true' && listen !== 'false')
    throw wrong('says of listen neither true nor false')
  for (const name of ours) searchParams.delete(name)
  return {
    url: schema === undefined && listen === undefined ? given : parsed.href,
    shown: `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`,
    schema,
    listen: listen === undefined ? undefined : listen === 'true',
  }
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', `The url of the engine \`postgres\` ${what}.`, {
    engine: 'postgres',
  })
}
