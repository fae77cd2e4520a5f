// redis://host:port/number, rediss:// with TLS — with user:password@ in front, several hosts of a cluster, and what else a connection takes after a ?.
import { SpillwayError } from '../../core/errors.ts'
import { type TlsFiles, tlsOfUrl } from '../../core/tls.ts'
import { checkParameters } from '../../core/url-parameters.ts'

export interface RedisUrl {
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: number
  readonly tls: boolean | TlsFiles
  readonly prefix: string | undefined
  readonly timeoutMs: number | undefined
  /** Without credentials. */
  readonly shown: string
}

const parameters = ['ca', 'cert', 'key', 'prefix', 'timeoutMs'] as const
const shape = /^(rediss?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/(\d{0,5}))?(?:\?([^#]*))?$/

export function parseUrl(url: string): RedisUrl {
  const [, scheme, login, hosts, number = '', query] = shape.exec(url) ?? []
  const addresses = hosts?.split(',').map(parseAddress) ?? []
  if (hosts === undefined || addresses.includes(undefined))
    throw wrong(
      'A Redis URL is written redis://host:port, rediss://host:port for TLS, redis://host:port,host:port for a cluster; with user:password@ in front (percent-encoded), and /number for a database behind.',
    )
  const [user, ...rest] = (login ?? '').split(':').map(decoded)
  const search = new URLSearchParams(query ?? '')
  checkParameters('redis', search, parameters)
  const { prefix, timeoutMs, ...files }: Partial<Record<(typeof parameters)[number], string>> =
    Object.fromEntries(search)
  if (scheme === 'redis' && Object.keys(files).length > 0)
    throw wrong(`${Object.keys(files).join(', ')} in a Redis URL are for TLS: write rediss://.`)
  return {
    hosts: addresses as RedisUrl['hosts'],
    user: user || undefined,
    password: rest.length > 0 ? rest.join(':') : undefined,
    database: Number(number),
    tls: scheme === 'rediss' ? (tlsOfUrl('redis', files) ?? true) : false,
    prefix,
    timeoutMs: timeoutMs === undefined ? undefined : Number(timeoutMs),
    shown: `${scheme}://${hosts}${number === '' ? '' : `/${number}`}`,
  }
}

function parseAddress(text: string): RedisUrl['hosts'][number] | undefined {
  const parts = /^(\[[0-9a-fA-F:]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/.exec(text)
  const port = Number(parts?.[2] ?? 6379)
  if (parts === null || port < 1 || port > 65_535) return undefined
  return { host: parts[1]!.replace(/^\[|\]$/g, ''), port }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('The credentials in a Redis URL are percent-encoded.')
  }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'redis' })
}
