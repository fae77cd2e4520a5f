// nats://host:port,host:port — with user:password@ or token@ in front, and what else a connection takes after a ?.
import { SpillwayError } from '../../core/errors.ts'
import { checkParameters } from '../../core/url-parameters.ts'

export interface NatsUrl {
  readonly servers: readonly string[]
  /** Without credentials. */
  readonly shown: string
  readonly user: string | undefined
  readonly password: string | undefined
  readonly token: string | undefined
  readonly parameters: Readonly<Partial<Record<Parameter, string>>>
}

const parameters = [
  'tls',
  'ca',
  'cert',
  'key',
  'creds',
  'nkey',
  'monitor',
  'domain',
  'prefix',
  'replicas',
] as const
type Parameter = (typeof parameters)[number]

const shape = /^nats:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/
const address = /^(?:\[[0-9a-fA-F:]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/

export function parseUrl(url: string): NatsUrl {
  const parts = shape.exec(url)
  const servers = parts?.[2]?.split(',') ?? []
  if (parts === null || !servers.every(isAddress))
    throw wrong('A NATS URL is written nats://host:port or nats://host:port,host:port.')
  const [first, ...rest] = (parts[1] ?? '').split(':').map(decode)
  if (!first && rest.some((part) => part !== ''))
    throw wrong('A password stands in the NATS URL, and no user in front of it.')
  const query = new URLSearchParams(parts[3] ?? '')
  checkParameters('nats', query, parameters)
  return {
    servers,
    shown: `nats://${parts[2]}`,
    user: first && rest.length > 0 ? first : undefined,
    password: first && rest.length > 0 ? rest.join(':') : undefined,
    token: first && rest.length === 0 ? first : undefined,
    parameters: Object.fromEntries(query),
  }
}

function isAddress(text: string): boolean {
  const parts = address.exec(text)
  const port = Number(parts?.[1] ?? 4222)
  return parts !== null && port >= 1 && port <= 65_535
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('The credentials in a NATS URL are percent-encoded.')
  }
}

function wrong(what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', what, { engine: 'nats' })
}
