// kafka://host:port,host:port — with user:password@ in front for SASL/PLAIN.
import { SpillwayError } from '../../core/errors.ts'
import type { Address } from './link.ts'

export interface KafkaUrl {
  readonly seeds: readonly Address[]
  /** Without credentials. */
  readonly shown: string
  readonly credentials:
    | { readonly mechanism: 'PLAIN'; readonly username: string; readonly password: string }
    | undefined
}

const defaultPort = 9092

export function parseUrl(url: string): KafkaUrl {
  const parts = /^kafka:\/\/(?:([^@/]*)@)?([^@/?#]+)\/?$/.exec(url)
  const seeds = parts?.[2]?.split(',').map(parseAddress) ?? []
  const login = /^([^:]*):?(.*)$/
    .exec(parts?.[1] ?? '')!
    .slice(1)
    .map(decoded)
  if (parts === null || seeds.length === 0 || seeds.includes(undefined) || login.includes(undefined))
    throw new SpillwayError(
      'INVALID_OPTION',
      'A Kafka URL is written kafka://host:port or kafka://host:port,host:port, with user:password@ in front for SASL (percent-encoded).',
      { engine: 'kafka' },
    )
  const [username, password] = login
  return {
    seeds: seeds as Address[],
    shown: `kafka://${parts[2]}`,
    credentials: username ? { mechanism: 'PLAIN', username, password: password ?? '' } : undefined,
  }
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
