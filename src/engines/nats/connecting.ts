// What a connection is made with: the URL and the options in the words of the client library.
import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { Authenticator, NodeConnectionOptions } from '@nats-io/transport-node'
import { SpillwayError } from '../../core/errors.ts'
import { contentOf, readTls, type TlsFiles, tlsOfUrl } from '../../core/tls.ts'
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
  /** `true`: as Node trusts; or files or texts in PEM; `false`: never. Default: as Node trusts, when the server asks for it. */
  readonly tls?: boolean | NatsTls
  /** By which name the server knows this program. Default 'spillway'. */
  readonly name?: string
}

export interface NatsTls extends TlsFiles {
  /** Speak TLS before the server has spoken; it has to be set to that too. */
  readonly handshakeFirst?: boolean
}

/** What the options say comes before what the URL says. */
export function connecting(client: Client, url: NatsUrl, options: ConnectingOptions): NodeConnectionOptions {
  const authenticators = identities(client, url, options)
  if (authenticators.length > 1) throw wrong('More than one way to log in is given; give one.')
  const tls = tlsOf(url, options.tls)
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
  if (creds !== undefined) given.push(client.credsAuthenticator(Buffer.from(textOf('creds', creds))))
  if (nkey !== undefined) given.push(client.nkeyAuthenticator(Buffer.from(textOf('nkey', nkey).trim())))
  return given
}

/** A seed is one line; everything else of this kind is a file, or has several. */
function textOf(what: string, given: string): string {
  return /^\s*S[A-Z0-9]{40,}\s*$/.test(given) ? given : contentOf('nats', what, given)
}

function tlsOf(
  url: NatsUrl,
  option: boolean | NatsTls | undefined,
): NodeConnectionOptions['tls'] | undefined {
  const asked = option ?? tlsOfUrl('nats', url.parameters)
  if (asked === false) return null
  const read = readTls('nats', asked)
  if (read === undefined) return undefined
  const first = typeof asked === 'object' && 'handshakeFirst' in asked && asked.handshakeFirst
  const tls = { checkServerIdentity: identityOf(url), ...read, ...(first ? { handshakeFirst: true } : {}) }
  // What its type leaves out goes to node:tls all the same.
  return tls as NodeConnectionOptions['tls']
}

/**
 * Servers that are reached by number have no name to compare, and the client library would have them be called 'localhost': the
 * certificate has to be for one of the numbers in the URL.
 */
function identityOf({ servers }: NatsUrl): typeof checkServerIdentity {
  const hosts = servers.map((server) => new URL(`nats://${server}`).hostname.replace(/^\[|\]$/g, ''))
  const numbers = hosts.filter((host) => isIP(host) !== 0)
  return (host, certificate) => {
    if (host !== 'localhost' || hosts.includes('localhost') || numbers.length === 0)
      return checkServerIdentity(host, certificate)
    const refusals = numbers.map((number) => checkServerIdentity(number, certificate))
    return refusals.includes(undefined) ? undefined : refusals[0]
  }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'nats' })
}
