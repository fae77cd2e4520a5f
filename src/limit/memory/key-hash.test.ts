// SipHash-1-3 with 128 bits against its definition, and that against the published vectors.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyHash } from './key-hash.ts'

const mask = (1n << 64n) - 1n
const rotated = (x: bigint, by: bigint) => ((x << by) | (x >> (64n - by))) & mask

/** As the paper and the reference implementation define it, in whole numbers of 64 bits. */
function sipHash128(compress: number, finish: number, key: Uint8Array, data: Uint8Array): Buffer {
  const word = (bytes: Uint8Array, at: number) => Buffer.from(bytes).readBigUInt64LE(at)
  const [k0, k1] = [word(key, 0), word(key, 8)]
  const v = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn ^ 0xeen,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint]
  const round = () => {
    v[0] = (v[0] + v[1]) & mask
    v[2] = (v[2] + v[3]) & mask
    v[1] = rotated(v[1], 13n) ^ v[0]
    v[3] = rotated(v[3], 16n) ^ v[2]
    v[0] = rotated(v[0], 32n)
    v[2] = (v[2] + v[1]) & mask
    v[0] = (v[0] + v[3]) & mask
    v[1] = rotated(v[1], 17n) ^ v[2]
    v[3] = rotated(v[3], 21n) ^ v[0]
    v[2] = rotated(v[2], 32n)
  }
  const padded = Buffer.alloc(Math.floor(data.length / 8) * 8 + 8)
  padded.set(data)
  padded[padded.length - 1] = data.length & 0xff
  for (let at = 0; at < padded.length; at += 8) {
    const m = padded.readBigUInt64LE(at)
    v[3] ^= m
    for (let n = 0; n < compress; n++) round()
    v[0] ^= m
  }
  const out = Buffer.alloc(16)
  v[2] ^= 0xeen
  for (let n = 0; n < finish; n++) round()
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3], 0)
  v[1] ^= 0xddn
  for (let n = 0; n < finish; n++) round()
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3], 8)
  return out
}

const key = Uint8Array.from({ length: 16 }, (_, i) => i)
const input = (length: number) => Uint8Array.from({ length }, (_, i) => i)

test('the definition gives the published vectors of SipHash-2-4 and SipHash-1-3, 128 bits', () => {
  const hex = (rounds: number, length: number) =>
    sipHash128(rounds, rounds + (rounds === 1 ? 2 : 2), key, input(length)).toString('hex')
  expect([0, 1, 2].map((length) => hex(2, length))).toEqual([
    'a3817f04ba25a8e66df67214c7550293',
    'da87c1d86b99af44347659119b22fc45',
    '8177228da4a45dc7fca38bdef60affe4',
  ])
  expect(hex(1, 0)).toBe('e77ebcb22788a5befd62db6add303001')
})

function hashed(text: string): string {
  const hash = new KeyHash(new Uint32Array(Uint8Array.from([...key, ...key.toReversed()]).buffer))
  hash.of(text)
  return Buffer.from(Int32Array.of(hash.w0, hash.w1, hash.w2, hash.w3).buffer).toString('hex')
}

test('ours gives them too', () => {
  assert.equal(hashed(''), 'e77ebcb22788a5befd62db6add303001')
})

test('ours is the definition, for bytes and for any other text', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 70, size: 'max' }),
      fc.uint8Array({ maxLength: 70 }),
      (text, bytes) => {
        const latin = Buffer.from(bytes).toString('latin1')
        assert.equal(hashed(latin), sipHash128(1, 3, key, bytes).toString('hex'))
        const wide = `${text}\u0100`
        assert.equal(
          hashed(wide),
          sipHash128(1, 3, key.toReversed(), Buffer.from(wide, 'utf16le')).toString('hex'),
        )
      },
    ),
    { numRuns: 500 },
  )
  assert.equal(hashed('a'.repeat(300)), sipHash128(1, 3, key, Buffer.alloc(300, 'a')).toString('hex'))
})
