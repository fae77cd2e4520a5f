// TLS and what engines need for it, the same for all that are reached over a network: what a caller may say, read and checked before
// anything is connected to; and what went wrong with it, in words that tell what to do.
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls'
import { asError, SpillwayError } from './errors.ts'

/** Files, or their content in PEM. */
export interface TlsFiles {
  /** The certificate of the authority that vouches for the server. Default: those that Node trusts. */
  readonly ca?: string | Buffer
  /** The certificate of this program, for servers that ask for one, and its key. */
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  /** Of the key. */
  readonly passphrase?: string
  /** The name that the server's certificate must have, where that is not the host of the URL: behind a tunnel or a proxy. */
  readonly serverName?: string
}

/** In the words of node:tls. */
export interface SecureOptions {
  ca?: string
  cert?: string
  key?: string
  passphrase?: string
  servername?: string
  checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined
}

/** `true`: as Node trusts. Undefined when nothing is said, and when TLS is not wanted. Throws INVALID_OPTION. */
export function readTls(engine: string, tls: boolean | TlsFiles | undefined): SecureOptions | undefined {
  if (tls === undefined || tls === false) return undefined
  if (tls === true) return {}
  const { passphrase, serverName } = tls
  const read: SecureOptions = {
    ...(tls.ca === undefined ? {} : { ca: pem(engine, 'ca', tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: pem(engine, 'cert', tls.cert) }),
    ...(tls.key === undefined ? {} : { key: pem(engine, 'key', tls.key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
  if ((read.cert === undefined) !== (read.key === undefined))
    throw wrong(engine, 'Of a client certificate both have to be given, `cert` and `key`.')
  try {
    createSecureContext(read)
  } catch (thrown) {
    throw wrong(engine, `The certificate and its key cannot be used: ${asError(thrown).message}.`, thrown)
  }
  if (serverName === undefined) return read
  return {
    ...read,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate),
  }
}

/** What the parameters of a URL say of TLS: undefined when nothing. */
export function tlsOfUrl(
  engine: string,
  { tls, ca, cert, key }: Readonly<Partial<Record<'tls' | 'ca' | 'cert' | 'key', string>>>,
): boolean | TlsFiles | undefined {
  if (tls !== undefined && tls !== 'true' && tls !== 'false')
    throw wrong(engine, 'tls in the url is true or false.')
  if (tls === 'false') return false
  if (ca === undefined && cert === undefined && key === undefined) return tls === undefined ? undefined : true
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}

/** The content of a file, or the text itself where it is none. What may be a secret is not repeated. */
export function contentOf(engine: string, what: string, given: string | Buffer): string {
  if (typeof given !== 'string' || given.includes('\n')) return given.toString()
  const secret = /BEGIN|[A-Za-z0-9+=_-]{40}/.test(given)
  if (!existsSync(given))
    throw wrong(
      engine,
      secret
        ? `${what} names no file, and is no text of several lines either.`
        : `${what} names the file '${given}', which is not there.`,
    )
  try {
    return readFileSync(given, 'utf8')
  } catch (thrown) {
    throw wrong(engine, `${what} cannot be read: ${asError(thrown).message}.`, thrown)
  }
}

function pem(engine: string, what: string, given: string | Buffer): string {
  const text = contentOf(engine, what, given)
  if (text.includes('-----BEGIN ')) return text
  throw wrong(engine, `${what} is not in PEM: it does not have '-----BEGIN' in it.`)
}

function wrong(engine: string, what: string, cause?: unknown): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine, ...(cause === undefined ? {} : { cause }) })
}

/** How one says it to an engine. */
export interface TlsWords {
  /** Whom to trust, as in '`?ca=…` in the url or `tls: { ca }`'. */
  readonly ca: string
  readonly clientCertificate: string
  readonly on: string
  readonly off: string
}

export interface TlsTrouble {
  readonly what: string
  readonly remedy: string
  /** It may pass without anything being changed here. */
  readonly passing: boolean
}

const untrusted: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
])
const untimely: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'CRL_HAS_EXPIRED'])

/** What an error of connecting, or one of its causes, says of TLS; undefined when it is none of TLS. */
export function tlsTrouble(thrown: unknown, words: TlsWords): TlsTrouble | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    const found = troubleOf(error as TlsError, words)
    if (found !== undefined) return found
  }
  return undefined
}

/** What Node adds to an error about a name. */
interface TlsError extends Error {
  readonly code?: unknown
  readonly host?: string
  readonly cert?: { readonly subjectaltname?: string }
}

function troubleOf(error: TlsError, words: TlsWords): TlsTrouble | undefined {
  const { message } = error
  const code = typeof error.code === 'string' ? error.code : ''
  if (untrusted.has(code))
    return {
      what: `nobody whom this program trusts vouches for the certificate of the server (${code})`,
      remedy: `If it is the right server, say who does: the certificate of its authority, as ${words.ca}.`,
      passing: false,
    }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return {
      what: `the certificate of the server is for ${error.cert?.subjectaltname ?? 'other names'}, and not for ${error.host ?? 'this one'}`,
      remedy: 'Connect by a name that stands in it, or give the server one that has this name.',
      passing: false,
    }
  if (untimely.has(code))
    return {
      what: `the certificate of the server is not valid at this time (${code})`,
      remedy: 'Renew it, or set the clock right.',
      passing: true,
    }
  if (
    /ALERT_(CERTIFICATE|BAD_CERT|UNKNOWN_CA|HANDSHAKE_FAIL|UNSUPPORTED_CERT|ACCESS_DENIED|DECRYPT_ERROR)/.test(
      code,
    )
  )
    return {
      what: `the server does not accept the certificate of this program, or that it has none (${code})`,
      remedy: `Give one that it trusts, as ${words.clientCertificate}.`,
      passing: false,
    }
  if (
    /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|INVALID_RECORD_TYPE|UNEXPECTED_MESSAGE|RECORD_LAYER_FAILURE)/.test(
      code,
    ) ||
    (code === 'ECONNRESET' && message.includes('before secure TLS connection'))
  )
    return {
      what: `the server does not speak TLS there, or ended it at once (${code})`,
      remedy: `Check the port; if the server has no TLS, ${words.off}.`,
      // So do servers that are being stopped.
      passing: code === 'ECONNRESET',
    }
  if (code.startsWith('ERR_SSL_'))
    return { what: `TLS failed: ${message}`, remedy: 'Check what the server is set to.', passing: false }
  return undefined
}
