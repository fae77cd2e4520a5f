import { isIP } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Bits, isV4, textOf } from './bits.ts'
import { readAddress } from './read.ts'

const v4 = fc.ipV4()
const v6 = fc.ipV6()
/** An address with a few characters put in, taken out or changed: most are just no address any more. */
const broken = fc
  .tuple(
    fc.oneof(v4, v6),
    fc.array(
      fc.tuple(fc.nat(45), fc.constantFrom(0, 1), fc.constantFrom('', '0', ':', '.', 'f', '::', '1', 'g')),
      { maxLength: 2 },
    ),
  )
  .map(([text, changes]) =>
    changes.reduce((now, [at, cut, put]) => now.slice(0, at) + put + now.slice(at + cut), text),
  )

test('reads as addresses what the runtime reads as addresses, and nothing else', () => {
  fc.assert(
    fc.property(broken, (text) => {
      // One colon is the port of an IPv4 address, which the runtime does not read.
      fc.pre(!/^[^:]*:[^:]*$/.test(text))
      expect(readAddress(text) !== undefined, text).toBe(isIP(text) !== 0)
    }),
    { numRuns: 5000 },
  )
})

test('prints as the URL standard does, which follows RFC 5952', () => {
  const word = fc.oneof(fc.constantFrom(0, 1, 0x1_0000, 0xffff), fc.nat(0xffff_ffff))
  fc.assert(
    fc.property(fc.tuple(word, word, word, word), (bits: Bits) => {
      fc.pre(!isV4(bits))
      const text = textOf(bits)
      expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`)
      expect(readAddress(text)).toEqual(bits)
    }),
    { numRuns: 3000 },
  )
})
