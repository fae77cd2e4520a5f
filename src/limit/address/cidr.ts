// A range of addresses in the notation of RFC 4632 and RFC 4291: checked to the bit, since what is trusted or let off by
// mistake is noticed by nobody.
import { SpillwayError } from '../../core/errors.ts'
import { alike, type Bits, compare, isV4, keep, textOf } from './bits.ts'
import { insteadOf } from './cidr-advice.ts'
import { readPlain } from './read.ts'

/** All addresses that share the first `length` of 128 bits. Of IPv4 that is 96 more than what its notation says. */
export interface Range {
  readonly bits: Bits
  readonly length: number
  readonly v4: boolean
}

/** Throws INVALID_OPTION with what to write instead. An address without a length is the range of itself. `what` names the option. */
export function readRange(text: unknown, what: string): Range {
  const range = typeof text === 'string' ? parse(text) : undefined
  if (range === undefined) throw refusal(what, text, insteadOf(text))
  const bits = keep(range.bits, range.length)
  if (range.length - (range.v4 ? 96 : 0) === 0)
    throw refusal(what, text, 'It is every address there is. List the ranges that are meant.')
  if (compare(bits, range.bits) !== 0)
    throw refusal(
      what,
      text,
      `Bits are set behind its length. Write '${rangeText({ ...range, bits })}', or '${textOf(range.bits)}' for one address.`,
    )
  return range
}

/** By the bits alone. An IPv4 address is in no range of IPv6, also where that has the mapped one in it: who asks keeps them apart. */
export function contains(range: Range, bits: Bits): boolean {
  return alike(bits, range.bits, range.length)
}

export function rangeText({ bits, length, v4 }: Range): string {
  return `${textOf(bits)}/${v4 ? length - 96 : length}`
}

function parse(text: string): Range | undefined {
  if (text.length > 60) return undefined
  const slash = text.indexOf('/')
  const bits = readPlain(text, 0, slash < 0 ? text.length : slash)
  if (bits === undefined) return undefined
  const dotted = !text.includes(':')
  const digits = slash < 0 ? (dotted ? '32' : '128') : text.slice(slash + 1)
  if (!/^(?:0|[1-9]\d{0,2})$/.test(digits)) return undefined
  const length = Number(digits) + (dotted ? 96 : 0)
  return length <= 128 ? { bits, length, v4: length >= 96 && isV4(bits) } : undefined
}

function refusal(what: string, text: unknown, advice: string): SpillwayError {
  const shown = typeof text === 'string' ? `'${text.slice(0, 80)}'` : String(text)
  return new SpillwayError('INVALID_OPTION', `${what}: ${shown} is no range of addresses. ${advice}`)
}
