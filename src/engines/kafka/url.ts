// kafka://host:port,host:port — with user:password@ in front for SASL, and how to log in and TLS behind a ?.
import { SpillwayError } from '../../core/errors.ts'
import { type TlsFiles, tlsOfUrl } from '../../core/tls.ts'
import { checkParameters } from '../../core/url-parameters.ts'
import type { Address } from './link.ts'

export interface KafkaUrl {
  readonly seeds: readonly Address[]
  /** Without credentials. */
  readonly shown: string
  readonly credentials: Credentials | undefined
  readonly tls: boolean | TlsFiles | undefined
}

export interface Credentials {
  readonly mechanism: Mechanism
  readonly username: string
  readonly password: string
}

export const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
export type Mechanism = (typeof mechanisms)[number]

const parameters = ['sasl', 'tls', 'ca', 'cert', 'key'] as const
type Parameters = Readonly<Partial<Record<(typeof parameters)[number], string>>>

const defaultPort = 9092

export function parseUrl(url: string): KafkaUrl {
  const parts = /^kafka:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/.exec(url)
  const seeds = parts?.[2]?.split(',').map(parseAddress) ?? []
  const login = /^([^:]*):?(.*)$/s
    .exec(parts?.[1] ?? '')!
    .slice(1)
    .map(decoded)
  if (parts === null || seeds.length === 0 || seeds.includes(undefined) || login.includes(undefined))
    throw wrong(
      'A Kafka URL is written kafka://host:port or kafka://host:port,host:port, with user:password@ in front for SASL (percent-encoded).',
    )
  const query = new URLSearchParams(parts[3] ?? '')
  checkParameters('kafka', query, parameters)
  const given: Parameters = Object.fromEntries(query)
  const [username, password] = login
  if (!username && password) throw wrong('A password stands in the Kafka URL, and no user in front of it.')
  if (given.sasl !== undefined && !username)
    throw wrong('sasl in a Kafka URL says how user:password@ in front of it are meant; there are none.')
  return {
    seeds: seeds as Address[],
    shown: `kafka://${parts[2]}`,
    credentials: username
      ? { mechanism: mechanismOf(given.sasl ?? 'PLAIN'), username, password: password ?? '' }
      : undefined,
    tls: tlsOfUrl('kafka', given),
  }
}

/** Throws INVALID_OPTION for one that there is not. */
export function mechanismOf(name: string): Mechanism {
  const found = mechanisms.find((mechanism) => mechanism === name.toUpperCase())
  if (found !== undefined) return found
  throw wrong(`sasl is ${mechanisms.join(', ')}.`)
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'kafka' })
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function parseAddress(text: string): Address | undefined {
  const parts = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text.trim())
  const port = Number(parts?.[2] ?? defaultPort)
  if (parts === null || port < 1 || port > 65_535) return undefined
  return { host: parts[1]!.replace(/^\[|\]$/g, ''), port }
}
