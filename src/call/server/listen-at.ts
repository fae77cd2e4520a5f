// Where to listen, from its URL.
import { describe, SpillwayError } from '../../core/errors.ts'

export interface ListenAt {
  readonly host: string
  readonly port: number
  /** As it stands in a URL. */
  readonly shown: string
  readonly isLoopback: boolean
}

/** Throws CONFIGURATION for what is no `http://host:port`. */
export function listenAt(listen: string): ListenAt {
  const url = typeof listen === 'string' && URL.canParse(listen) ? new URL(listen) : undefined
  if (url?.protocol !== 'http:' || url.pathname !== '/' || url.search || url.hash || url.username)
    throw new SpillwayError(
      'CONFIGURATION',
      `listen is ${describe(listen)}; it takes 'http://host:port' and nothing more, as 'http://127.0.0.1:7000' (port 0: any that is free). TLS ends in front of it.`,
    )
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return {
    host,
    port: url.port === '' ? 80 : Number(url.port),
    shown: url.hostname,
    isLoopback: host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host),
  }
}
