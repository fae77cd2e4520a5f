// IPv4 behind a translator (RFC 6052): many clients share the translator's prefix, so each is known by the IPv4 address in it.
import { SpillwayError } from '../../core/errors.ts'
import { type Bits, isV4, mapped } from './bits.ts'
import { contains, type Range, rangeText, readRange } from './cidr.ts'

const wellKnown: Range = readRange('64:ff9b::/96', 'nat64')
/** RFC 6052, section 2.2: where the four bytes stand for each length. The byte at 8 is never one of them. */
const places: Readonly<Record<number, readonly [number, number, number, number]>> = {
  32: [4, 5, 6, 7],
  40: [5, 6, 7, 9],
  48: [6, 7, 9, 10],
  56: [7, 9, 10, 11],
  64: [9, 10, 11, 12],
  96: [12, 13, 14, 15],
}

/** Gives an address that a translator made as the IPv4 address in it, and any other as it is. Throws INVALID_OPTION for a prefix that can be none. */
export function nat64(prefixes: readonly string[] = []): (bits: Bits) => Bits {
  if (!Array.isArray(prefixes))
    throw new SpillwayError('INVALID_OPTION', "nat64 takes a list of prefixes, such as ['64:ff9b:1::/48'].")
  // Where one lies in another the longer one is the translator's own.
  const ranges = [wellKnown, ...prefixes.map(readPrefix)].sort((a, b) => b.length - a.length)
  return (bits) => {
    if (isV4(bits)) return bits
    for (const range of ranges) if (contains(range, bits)) return embedded(bits, places[range.length]!)
    return bits
  }
}

/** What stands behind the address is passed over, as section 2.2 asks: nobody makes keys of it. */
function embedded(bits: Bits, [a, b, c, d]: readonly [number, number, number, number]): Bits {
  return mapped(((byte(bits, a) << 24) | (byte(bits, b) << 16) | (byte(bits, c) << 8) | byte(bits, d)) >>> 0)
}

function byte(bits: Bits, index: number): number {
  return (bits[index >> 2]! >>> (24 - 8 * (index & 3))) & 255
}

function readPrefix(text: string): Range {
  const range = readRange(text, 'nat64')
  if (!range.v4 && places[range.length] !== undefined) return range
  throw new SpillwayError(
    'INVALID_OPTION',
    `nat64: '${rangeText(range)}' is no prefix of a translator. It has 32, 40, 48, 56, 64 or 96 bits of IPv6 (RFC 6052): write the one that the translator is set to.`,
  )
}
