// What a connection is made with: the URL and the options in the words of the client library.
import { existsSync, readFileSync } from 'node:fs'
import type { Authenticator, NodeConnectionOptions } from '@nats-io/transport-node'
import { SpillwayError } from '../../core/errors.ts'
import type { Client } from './client.ts'
import type { NatsUrl } from './url.ts'

export interface ConnectingOptions {
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** A file with the credentials of a user, as `nsc` writes it, or its text. */
  readonly creds?: string
  /** A file with the seed of an NKey, or the seed. */
  readonly nkey?: string
  /** `true`: as the system trusts. Files or texts in PEM. Default: when the server asks for it. */
  readonly tls?: boolean | TlsFiles
  /** By which name the server knows this program. Default 'spillway'. */
  readonly name?: string
}

export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Speak TLS before the server has spoken; it has to be set to that too. */
  readonly handshakeFirst?: boolean
}

/** What the options say comes before what the URL says. */
export function connecting(client: Client, url: NatsUrl, options: ConnectingOptions): NodeConnectionOptions {
  const { parameters } = url
  const authenticators = identities(client, url, options)
  if (authenticators.length > 1) throw wrong('More than one way to log in is given; give one.')
  const tls = tlsOf(options.tls, parameters)
  return {
    servers: [...url.servers],
    name: options.name ?? 'spillway',
    ...(authenticators[0] === undefined ? {} : { authenticator: authenticators[0] }),
    ...(tls === undefined ? {} : { tls }),
  }
}

function identities(client: Client, url: NatsUrl, options: ConnectingOptions): Authenticator[] {
  const given: Authenticator[] = []
  const user = options.user ?? url.user
  const token = options.token ?? url.token
  const creds = options.creds ?? url.parameters.creds
  const nkey = options.nkey ?? url.parameters.nkey
  if (user !== undefined)
    given.push(client.usernamePasswordAuthenticator(user, options.password ?? url.password ?? ''))
  if (token !== undefined) given.push(client.tokenAuthenticator(token))
  if (creds !== undefined) given.push(client.credsAuthenticator(Buffer.from(content(creds, 'creds'))))
  if (nkey !== undefined) given.push(client.nkeyAuthenticator(Buffer.from(content(nkey, 'nkey').trim())))
  return given
}

function tlsOf(
  option: boolean | TlsFiles | undefined,
  parameters: NatsUrl['parameters'],
): NodeConnectionOptions['tls'] | undefined {
  const asked = option ?? (parameters.tls === undefined ? undefined : parameters.tls !== 'false')
  const files: TlsFiles = typeof asked === 'object' ? asked : parameters
  const { ca, cert, key } = files
  if (asked === false) return null
  if (asked === undefined && ca === undefined && cert === undefined) return undefined
  return {
    ...(ca === undefined ? {} : { ca: content(ca, 'ca') }),
    ...(cert === undefined ? {} : { cert: content(cert, 'cert') }),
    ...(key === undefined ? {} : { key: content(key, 'key') }),
    ...(files.handshakeFirst ? { handshakeFirst: true } : {}),
  }
}

/** A file's content, or the text itself when it is no file. */
function content(text: string, what: string): string {
  if (text.includes('\n') || /^S[A-Z0-9]{40,}$/.test(text)) return text
  if (!existsSync(text)) throw wrong(`${what} names the file '${text}', which is not there.`)
  return readFileSync(text, 'utf8')
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'nats' })
}
