import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clientAddresses } from '../../../scripts/client-addresses.ts'
import { SpillwayError } from '../../core/errors.ts'
import { type AddressOptions, addressKey, canonicalAddress } from './canonical.ts'

/** An address in a random notation, and its 128 bits as text: the model knows nothing else, and has no code in common. */
interface Written {
  readonly bits: string
  readonly text: string
}

function bitsOf(groups: readonly number[]): string {
  return groups.map((group) => group.toString(2).padStart(16, '0')).join('')
}

/** Zeros, and what separates a mapped or translated address from its neighbours, are likely. */
const group = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(0xffff, 0x64, 0xff9b, 1, 0x2001, 0xdb8) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
)
const anyGroups = fc.array(group, { minLength: 8, maxLength: 8 })
const low = fc.tuple(group, group)
const groups = fc.oneof(
  anyGroups,
  low.map((pair) => [0, 0, 0, 0, 0, 0xffff, ...pair]),
  low.map((pair) => [0x64, 0xff9b, 0, 0, 0, 0, ...pair]),
)

/** What one of the notations is made of; numbers choose among what the address allows. */
const shape = fc.record({
  widths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 8 }),
  upper: fc.boolean(),
  run: fc.nat(40),
  dotted: fc.boolean(),
  decimal: fc.boolean(),
  zone: fc.constantFrom('', '', '%eth0', '%eth0.100', '%1', '%25en1', '%a:b'),
  port: fc.constantFrom('', ':0', ':80', ':65535', ':_p'),
  brackets: fc.boolean(),
})
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never

/** Leading zeros, letters, where `::` stands, dotted decimal at the end, zone, brackets, port. */
function write(of: readonly number[], how: Shape): Written {
  const bits = bitsOf(of)
  const quad = [of[6]! >> 8, of[6]! & 255, of[7]! >> 8, of[7]! & 255].join('.')
  if (how.decimal && bits.startsWith(mappedBits)) return { bits, text: `${quad}${how.port}` }
  const parts = of.map((each, index) => each.toString(16).padStart(how.widths[index]!, '0'))
  if (how.dotted) parts.splice(6, 2, quad)
  const runs = runsOf(how.dotted ? of.slice(0, 6) : of)
  const run = runs[how.run % (runs.length + 1)]
  const text =
    run === undefined
      ? parts.join(':')
      : `${parts.slice(0, run[0]).join(':')}::${parts.slice(run[1]).join(':')}`
  const zoned = `${how.upper ? text.toUpperCase() : text}${how.zone}`
  return { bits, text: how.brackets ? `[${zoned}]${how.port}` : zoned }
}

/** Each run of zeros that `::` may stand for. */
function runsOf(of: readonly number[]): readonly (readonly [number, number])[] {
  return of.flatMap((_, from) =>
    of
      .slice(from)
      .flatMap((__, more) =>
        of.slice(from, from + more + 1).every((each) => each === 0) ? [[from, from + more + 1] as const] : [],
      ),
  )
}
const mappedBits = bitsOf([0, 0, 0, 0, 0, 0xffff])
const translatedBits = bitsOf([0x64, 0xff9b, 0, 0, 0, 0])

/** Two addresses that differ in one bit, or, at 128, in none, each in a notation of its own. */
const pair = fc
  .tuple(groups, fc.integer({ min: 0, max: 128 }), shape, shape)
  .map(([one, at, how, otherwise]) => {
    const other = one.map((each, index) => (index === at >> 4 ? each ^ (0x8000 >> (at & 15)) : each))
    return [write(one, how), write(other, otherwise)] as const
  })

function same(a: string, b: string, { prefix6 = 64, prefix4 = 32 }: AddressOptions): boolean {
  const client = (bits: string) =>
    bits.startsWith(mappedBits) || bits.startsWith(translatedBits)
      ? `v4 ${bits.slice(96, 96 + prefix4)}`
      : `v6 ${bits.slice(0, prefix6)}`
  return client(a) === client(b)
}

const options = fc.record({
  prefix6: fc.integer({ min: 48, max: 128 }),
  prefix4: fc.integer({ min: 8, max: 32 }),
})

describe('the published vectors', () => {
  for (const { title, rows } of clientAddresses.keys)
    test.each(rows)(`${title}: $input is $key ($from)`, (row) => {
      const { input, key, from, note, ...given } = row
      expect(canonicalAddress(input, given)).toBe(key ?? undefined)
      // A key is an address or range that is its own key: stored keys may be asked for again.
      if (key !== null && !key.includes('/')) expect(canonicalAddress(key, given)).toBe(key)
    })
})

test('two notations have one key just when their addresses share the bits that count', () => {
  fc.assert(
    fc.property(pair, options, ([a, b], given) => {
      const [one, other] = [canonicalAddress(a.text, given), canonicalAddress(b.text, given)]
      expect(one, a.text).toBeTypeOf('string')
      expect(one === other, `${a.text} ${b.text}`).toBe(same(a.bits, b.bits, given))
    }),
    { numRuns: 3000 },
  )
})

test('nothing throws, and what is no address has no key', () => {
  const key = addressKey({ nat64: ['2001:db8:122::/48'] })
  const likely = fc.string({ unit: fc.constantFrom(...'0123456789abcfF:.%[]/_ x'), maxLength: 50 })
  fc.assert(
    fc.property(fc.oneof(likely, fc.string({ unit: 'binary', maxLength: 200 })), (text) => {
      const found = key(text)
      if (found !== undefined) expect(found).toMatch(/^(?:\d+\.){3}\d+$|^[0-9a-f:]*::\/64$/)
    }),
    { numRuns: 5000 },
  )
  for (const odd of [undefined, null, 7, {}, [], ['1.2.3.4'], Symbol('x'), 'x'.repeat(1_000_000)])
    expect(key(odd as string)).toBeUndefined()
})

test.each<[AddressOptions | Record<string, unknown>, RegExp]>([
  [{ prefix6: 47 }, /prefix6 is 47.*48 to 128/],
  [{ prefix6: 64.5 }, /prefix6 is 64.5/],
  [{ prefix4: 0 }, /prefix4 is 0.*8 to 32/],
  [{ prefix: 64 }, /no option `prefix`.*`prefix6`|no option `prefix`.*`prefix4`/],
  [{ nat64: '64:ff9b:1::/48' }, /nat64 takes a list/],
  [{ nat64: ['64:ff9b:1::/50'] }, /'64:ff9b:1::\/50' is no prefix of a translator.*32, 40, 48, 56, 64 or 96/],
  [{ nat64: ['10.0.0.0/8'] }, /no prefix of a translator/],
  [{ nat64: ['64:ff9b:1::1/48'] }, /Write '64:ff9b:1::\/48'/],
])('refuses the options %j', (given, message) => {
  const refused = () => addressKey(given as AddressOptions)
  expect(refused).toThrow(SpillwayError)
  expect(refused).toThrow(message)
})
