// Who asked, when proxies stand between: what a header says is believed as far as it was written by proxies that one knows by
// their addresses. Never by a number of hops, which holds only while nobody comes by a shorter way.
import { SpillwayError } from '../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../core/known-options.ts'
import { type Bits, textOf } from './bits.ts'
import { type LastEntry, lastForwarded, lastForwardedFor } from './forwarded.ts'
import { nat64 } from './nat64.ts'
import { rangesOf } from './ranges.ts'
import { readAddress } from './read.ts'

/** What is looked at of a request: those of node:http and node:http2 fit, and with them Express's and the raw ones of Fastify. */
export interface AddressedRequest {
  readonly socket: {
    readonly remoteAddress?: string | undefined
    readonly localAddress?: string | undefined
    readonly destroyed?: boolean | undefined
  }
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

export type ForwardedHeader = 'x-forwarded-for' | 'forwarded'

export interface TrustedProxyOptions {
  /** The header that the proxies write, and the only one that is read. Default 'x-forwarded-for'; 'forwarded' is that of RFC 7239. */
  readonly header?: ForwardedHeader
  /** The longest row of trusted proxies; behind a longer one the client is unknown. 1 to 1000, default 32. */
  readonly maxProxies?: number
  /** As in `AddressOptions`. */
  readonly nat64?: readonly string[]
}

const names: OptionNames<TrustedProxyOptions> = { header: true, maxProxies: true, nat64: true }
const readers: Readonly<Record<ForwardedHeader, LastEntry>> = {
  'x-forwarded-for': lastForwardedFor,
  forwarded: lastForwarded,
}

/**
 * A function from a request to the address of its client, as a whole and in one notation (`canonicalAddress` makes the key of it).
 *
 * It is the peer's own. When that is a trusted proxy, the header is walked from its right: trusted proxies are passed over, and
 * the first address that is none of them is the client's. When all of them are, it is the leftmost: a proxy asked by itself.
 * An entry that is no address ends the walk, and the client is unknown: `undefined`, never the proxy's address, which all
 * its clients would share, and never what stands further left, which anybody may have written.
 *
 * `proxies` are ranges ('10.0.0.0/8'), single addresses, and 'unix': who comes by a unix socket, which has no address.
 * An empty list trusts nobody. Throws INVALID_OPTION for what is no range, with what to write; what is returned never throws.
 */
export function trustedProxies(
  proxies: readonly string[],
  options: TrustedProxyOptions = {},
): (request: AddressedRequest) => string | undefined {
  checkOptions('trustedProxies', options, names)
  const { header = 'x-forwarded-for', maxProxies = 32 } = options
  checkWalk(header, maxProxies)
  const unix = Array.isArray(proxies) && proxies.includes('unix')
  const trusts = rangesOf(unix ? proxies.filter((each) => each !== 'unix') : proxies, 'trustedProxies')
  const lastEntry = readers[header]
  const translated = nat64(options.nat64)
  const addressOf = (text: string | undefined): Bits | undefined => {
    const bits = readAddress(text)
    return bits === undefined ? undefined : translated(bits)
  }

  return (request) => {
    const peer = addressOf(request.socket?.remoteAddress)
    if (peer === undefined ? !(unix && isUnix(request.socket)) : !trusts(peer)) return peer && textOf(peer)
    const written = joined(request.headers?.[header])
    let client = peer
    let end = written.length
    for (let passed = 0; end >= 0; passed++) {
      // An empty header is none.
      if (passed === 0 && written.trim() === '') break
      if (passed === maxProxies) return undefined
      const { start, node } = lastEntry(written, end)
      client = addressOf(node)
      if (client === undefined || !trusts(client)) break
      end = start - 1
    }
    return client && textOf(client)
  }
}

/** A header that came in several lines is one, in their order. */
function joined(lines: string | readonly string[] | undefined): string {
  if (typeof lines === 'string') return lines
  return Array.isArray(lines) ? lines.join(',') : ''
}

/** A socket of TCP whose peer has gone has no remote address either: but it has a local one, or is destroyed. */
function isUnix(socket: AddressedRequest['socket'] | undefined): boolean {
  return (
    socket?.destroyed === false && socket.remoteAddress === undefined && socket.localAddress === undefined
  )
}

function checkWalk(header: string, maxProxies: number): void {
  if (!Object.hasOwn(readers, header))
    throw new SpillwayError(
      'INVALID_OPTION',
      `trustedProxies.header is ${JSON.stringify(header)}; it takes 'x-forwarded-for' or 'forwarded', the one that your proxies write.`,
    )
  if (!Number.isInteger(maxProxies) || maxProxies < 1 || maxProxies > 1000)
    throw new SpillwayError(
      'INVALID_OPTION',
      `trustedProxies.maxProxies is ${maxProxies}; it takes a whole number from 1 to 1,000.`,
    )
}
