import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clientAddresses } from '../../../scripts/client-addresses.ts'
import { SpillwayError } from '../../core/errors.ts'
import { type Bits, isV4, keep, mapped, textOf } from './bits.ts'
import { addressRanges } from './ranges.ts'

test.each(clientAddresses.ranges)('$range ($from)', ({ range, has, hasNot }) => {
  const within = addressRanges([range])
  for (const text of has) expect(within(text), text).toBe(true)
  for (const text of hasNot) expect(within(text), text).toBe(false)
  expect(within(undefined)).toBe(false)
})

test.each(clientAddresses.refused)('refuses $range and says what to write', ({ range, write }) => {
  const refused = () => addressRanges([range])
  expect(refused).toThrow(SpillwayError)
  for (const each of write) expect(refused).toThrow(each)
  // Advice that is refused in its turn would be none.
  for (const advised of write.join(' ').matchAll(/'([^']+)'/g))
    expect(addressRanges([advised[1]!])('192.0.2.255')).toBe(false)
})

/** Close to one another, so that ranges lie in ranges, and to where IPv4 is mapped. */
const near = fc.tuple(
  fc.constantFrom(0, 0x2001_0db8),
  fc.constantFrom(0, 1),
  fc.constantFrom(0, 0xfffe, 0xffff, 0x1_0000),
  fc.oneof(fc.nat(7), fc.constantFrom(0x0a00_0000, 0x0a00_0001, 0xffff_ffff)),
)
const address = fc.oneof(
  near,
  fc.constantFrom(0, 1, 0x0a00_0000, 0x0a01_0000, 0x0aff_ffff).map((quad): Bits => mapped(quad)),
)
const range = fc.tuple(address, fc.integer({ min: 1, max: 128 })).map(([bits, length]) => {
  const v4 = isV4(bits) && length > 96
  const start = keep(bits, length)
  // What is cut to less than the mapped prefix is IPv6, and written so.
  return v4
    ? { text: `${textOf(start)}/${length - 96}`, bits: start, length, v4 }
    : { text: `${textOf(start)}/${length}`, bits: start, length, v4 }
})

test('an address is in one of many ranges just when it is in one of them by its bits', () => {
  const binary = (bits: Bits) => bits.map((word) => word.toString(2).padStart(32, '0')).join('')
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), fc.array(address), (ranges, addresses) => {
      // Which an IPv4 range of all would be, and what a cut left of one.
      const allowed = ranges.filter(({ bits, length, v4 }) => v4 || !(isV4(bits) && length >= 96))
      const within = addressRanges(allowed.map(({ text }) => text))
      for (const each of addresses) {
        const expected = allowed.some(
          ({ bits, length, v4 }) =>
            v4 === isV4(each) && binary(each).slice(0, length) === binary(bits).slice(0, length),
        )
        expect(within(textOf(each)), textOf(each)).toBe(expected)
      }
    }),
    { numRuns: 2000 },
  )
})

test.each<{ given: unknown }>([true, 1, '10.0.0.0/8', [true], [2], [null]].map((given) => ({ given })))(
  'refuses $given',
  ({ given }) => {
    expect(() => addressRanges(given as string[])).toThrow(SpillwayError)
  },
)
