// Many ranges of addresses as one question: is it in any of them? Allow-lists ask it, and who trusts proxies.

import { SpillwayError } from '../../core/errors.ts'
import { checkOptions } from '../../core/known-options.ts'
import { type Bits, compare, isV4 } from './bits.ts'
import { contains, type Range, readRange } from './cidr.ts'
import { insteadOf } from './cidr-advice.ts'
import { nat64 } from './nat64.ts'
import { readAddress } from './read.ts'

export interface RangesOptions {
  /** As in `AddressOptions`: an IPv4 address that came through a translator is in the ranges that it is in by itself. */
  readonly nat64?: readonly string[]
}

/**
 * Whether an address is in one of the ranges, however it is written: it is read as `canonicalAddress` reads it. What is no
 * address is in none. Throws INVALID_OPTION for a range that is not well written, with what to write instead.
 */
export function addressRanges(
  ranges: readonly string[],
  options: RangesOptions = {},
): (text: string | undefined) => boolean {
  checkOptions('addressRanges', options, { nat64: true })
  const within = rangesOf(ranges, 'addressRanges')
  const translated = nat64(options.nat64)
  return (text) => {
    const bits = readAddress(text)
    return bits !== undefined && within(translated(bits))
  }
}

/** An address, with or without a length: among other texts it is taken for a range. */
export function isRangeLike(text: string): boolean {
  return readAddress(text.replace(/\/\d+$/, '')) !== undefined
}

/** `what` names the option in a refusal. */
export function rangesOf(texts: readonly string[], what: string): (bits: Bits) => boolean {
  if (!Array.isArray(texts))
    throw new SpillwayError('INVALID_OPTION', `${what} takes a list of ranges. ${insteadOf(texts)}`)
  const ranges = texts.map((text) => readRange(text, what))
  const [v4, v6] = [apart(ranges.filter((range) => range.v4)), apart(ranges.filter((range) => !range.v4))]
  return (bits) => {
    const range = lastFrom(isV4(bits) ? v4 : v6, bits)
    return range !== undefined && contains(range, bits)
  }
}

/** Sorted, and without those that lie in another: two ranges are apart, or one is in the other. */
function apart(ranges: readonly Range[]): readonly Range[] {
  const kept: Range[] = []
  for (const range of ranges.toSorted((a, b) => compare(a.bits, b.bits) || a.length - b.length)) {
    const last = kept.at(-1)
    if (last === undefined || !contains(last, range.bits)) kept.push(range)
  }
  return kept
}

/** The last range that does not begin behind the address. */
function lastFrom(ranges: readonly Range[], bits: Bits): Range | undefined {
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compare(ranges[middle]!.bits, bits) <= 0) low = middle + 1
    else high = middle
  }
  return ranges[low - 1]
}
