// The key of a client's address: the same for every notation of it, and for all addresses that one client may choose among.
import { SpillwayError } from '../../core/errors.ts'
import { checkOptions, type OptionNames } from '../../core/known-options.ts'
import { type Bits, isV4, keep, textOf } from './bits.ts'
import { nat64 } from './nat64.ts'
import { readAddress } from './read.ts'

export interface AddressOptions {
  /** So many bits of an IPv6 address count, 48 to 128. A client has at least a /64 and can use all of it. Default 64. */
  readonly prefix6?: number
  /** So many bits of an IPv4 address count, 8 to 32. Default 32. */
  readonly prefix4?: number
  /** Prefixes of translators (NAT64, RFC 6052) beside the well-known 64:ff9b::/96, such as '64:ff9b:1::/48'. */
  readonly nat64?: readonly string[]
}

const options: OptionNames<AddressOptions> = { prefix6: true, prefix4: true, nat64: true }

/**
 * The options, checked once, as a function from an address to its key. Throws INVALID_OPTION for what cannot work; what it
 * returns never throws, and gives undefined for what is no address.
 */
export function addressKey(given: AddressOptions = {}): (text: string | undefined) => string | undefined {
  checkOptions('address', given, options)
  const prefix6 = wholePrefix('prefix6', given.prefix6 ?? 64, 48, 128)
  const prefix4 = wholePrefix('prefix4', given.prefix4 ?? 32, 8, 32)
  const translated = nat64(given.nat64)
  return (text) => {
    const bits = readAddress(text)
    return bits === undefined ? undefined : keyOf(translated(bits), prefix4, prefix6)
  }
}

const standard = addressKey()

/**
 * The key of a client's address: `203.0.113.7`, `2001:db8:1:2::/64`. An IPv4 address has one key, also when it comes mapped
 * into IPv6 or through NAT64; ports, brackets and zones do not count. Undefined for what is no address: strictly read, so
 * that nothing is an address here and another one elsewhere. Never throws for any text; INVALID_OPTION for options that cannot work.
 */
export function canonicalAddress(text: string | undefined, given?: AddressOptions): string | undefined {
  return given === undefined ? standard(text) : addressKey(given)(text)
}

function keyOf(bits: Bits, prefix4: number, prefix6: number): string {
  const [length, whole] = isV4(bits) ? [prefix4, 32] : [prefix6, 128]
  if (length === whole) return textOf(bits)
  return `${textOf(keep(bits, length + 128 - whole))}/${length}`
}

function wholePrefix(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new SpillwayError(
    'INVALID_OPTION',
    `address.${name} is ${value}; it takes a whole number of bits from ${least} to ${most}.`,
  )
}
