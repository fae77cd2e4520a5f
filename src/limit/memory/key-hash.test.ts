// The hash of keys against the definition of Chaskey, and that against the published vectors.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyHash } from './key-hash.ts'

const whole = (1n << 128n) - 1n

/** Little end first, as the paper reads bytes. */
function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n)
}

function permuted(block: bigint): bigint {
  const v = Uint32Array.from([0n, 32n, 64n, 96n], (shift) => Number((block >> shift) & 0xffffffffn))
  const turn = (i: number, by: number) => {
    v[i] = (v[i]! << by) | (v[i]! >>> (32 - by))
  }
  const add = (i: number, j: number) => {
    v[i] = v[i]! + v[j]!
  }
  const mix = (i: number, j: number) => {
    v[i] = v[i]! ^ v[j]!
  }
  for (let round = 0; round < 8; round++) {
    add(0, 1)
    add(2, 3)
    turn(1, 5)
    turn(3, 8)
    mix(1, 0)
    mix(3, 2)
    turn(0, 16)
    add(2, 1)
    add(0, 3)
    turn(1, 7)
    turn(3, 13)
    mix(1, 2)
    mix(3, 0)
    turn(2, 16)
  }
  return v.reduceRight((number, word) => (number << 32n) | BigInt(word), 0n)
}

/** As the paper defines it, in whole numbers of 128 bits. */
function chaskey(key: Uint8Array, data: Uint8Array): string {
  const double = (value: bigint) => ((value << 1n) & whole) ^ (value >> 127n === 1n ? 0x87n : 0n)
  const once = numberOf(key)
  const full = data.length > 0 && data.length % 16 === 0
  const subkey = full ? double(once) : double(double(once))
  const padded = full ? data : Uint8Array.of(...data, 1, ...new Uint8Array(15 - (data.length % 16)))
  let state = once
  for (let at = 0; at < padded.length - 16; at += 16)
    state = permuted(state ^ numberOf(padded.subarray(at, at + 16)))
  const tag = permuted(state ^ numberOf(padded.subarray(-16)) ^ subkey) ^ subkey
  return tag.toString(16).padStart(32, '0')
}

const key = new Uint8Array(Uint32Array.of(0x833d3433, 0x009f389f, 0x2398e64f, 0x417acf39).buffer)
const input = (length: number) => Uint8Array.from({ length }, (_, i) => i)

/** Words of the published vectors of so many bytes 0, 1, 2 …, the last word first. */
const vectors = new Map([
  [0, '1191970b2d1450b575ce87aa792e8fe5'],
  [1, 'c0bbdc184577bd8850e62c8913a9307b'],
  [15, 'bbc170dd192412eaefcc4de851b94da4'],
  [16, '49831cad81ca474ed66a1c7179271ca9'],
  [17, 'bc3959ca2d6cf8974e25d096048da968'],
  [63, '7fe9352ca488286b88136d8c9047fad7'],
])

test('the definition gives the published vectors', () => {
  expect(new Map([...vectors.keys()].map((length) => [length, chaskey(key, input(length))]))).toEqual(vectors)
})

/** Under one key for bytes, and its reverse for all else. */
function hashed(text: string): string {
  const hash = new KeyHash(new Uint32Array(Uint8Array.from([...key, ...key.toReversed()]).buffer))
  hash.of(text)
  return [hash.w3, hash.w2, hash.w1, hash.w0]
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join('')
}

test('ours gives them too', () => {
  for (const [length, vector] of vectors)
    assert.equal(hashed(Buffer.from(input(length)).toString('latin1')), vector)
})

test('ours is the definition, for bytes and for any other text', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 70, size: 'max' }),
      fc.uint8Array({ maxLength: 70 }),
      (text, bytes) => {
        const latin = Buffer.from(bytes).toString('latin1')
        assert.equal(hashed(latin), chaskey(key, bytes))
        const wide = `${text}\u0100`
        assert.equal(hashed(wide), chaskey(key.toReversed(), Buffer.from(wide, 'utf16le')))
      },
    ),
    { numRuns: 200 },
  )
  assert.equal(hashed('a'.repeat(300)), chaskey(key, Buffer.alloc(300, 'a')))
})
