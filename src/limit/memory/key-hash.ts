// Keys as 128 bits: SipHash-1-3 under a key that this process drew (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
import { randomFillSync } from 'node:crypto'

/**
 * Hashes one text after the other; the last one's 128 bits stand in `w0` to `w3`. A text of characters up to U+00FF is hashed as these bytes, any
 * other as its UTF-16 code units, little end first, under another key: so no two texts are the same bytes.
 */
export class KeyHash {
  w0 = 0
  w1 = 0
  w2 = 0
  w3 = 0
  /** What the words are of: rules by the same key follow one another. */
  #text: string | undefined
  readonly #narrow: Uint32Array
  readonly #wide: Uint32Array

  /** Two keys of 128 bits; drawn where none are given. */
  constructor(keys: Uint32Array = randomFillSync(new Uint32Array(8))) {
    this.#narrow = keys.slice(0, 4)
    this.#wide = keys.slice(4, 8)
  }

  of(text: string): void {
    if (text === this.#text) return
    this.#text = text
    if (!this.#hash(text, this.#narrow, 8, 8)) this.#hash(text, this.#wide, 4, 16)
  }

  /** False when a character does not fit into its bits. `perBlock` characters are a block of 64 bits. */
  #hash(text: string, key: Uint32Array, perBlock: 8 | 4, bits: 8 | 16): boolean {
    const length = text.length
    const blocks = Math.floor(length / perBlock)
    const half = perBlock >> 1
    // Each v is two halves, the low one first. The constants are those of SipHash; 0xee makes it the one with 128 bits.
    let a0 = key[0]! ^ 0x70736575
    let a1 = key[1]! ^ 0x736f6d65
    let b0 = key[2]! ^ 0x6e646f6d ^ 0xee
    let b1 = key[3]! ^ 0x646f7261
    let c0 = key[0]! ^ 0x6e657261
    let c1 = key[1]! ^ 0x6c796765
    let d0 = key[2]! ^ 0x79746573
    let d1 = key[3]! ^ 0x74656462
    let seen = 0
    // The blocks, the last one with the length, and three rounds for each half of the hash.
    const last = blocks + 6
    for (let step = 0; step <= last; step++) {
      let m0 = 0
      let m1 = 0
      if (step <= blocks) {
        const from = step * perBlock
        const to = step === blocks ? length : from + perBlock
        const middle = from + half
        const end0 = to < middle ? to : middle
        for (let at = from, shift = 0; at < end0; at++, shift += bits) {
          const code = text.charCodeAt(at)
          seen |= code
          m0 |= code << shift
        }
        for (let at = middle, shift = 0; at < to; at++, shift += bits) {
          const code = text.charCodeAt(at)
          seen |= code
          m1 |= code << shift
        }
        if (step === blocks) m1 |= (length * (bits >> 3)) << 24
        d0 ^= m0
        d1 ^= m1
      }
      let low = (a0 >>> 0) + (b0 >>> 0)
      a1 = (a1 + b1 + (low > 0xffffffff ? 1 : 0)) | 0
      a0 = low | 0
      let high = (b1 << 13) | (b0 >>> 19)
      b0 = ((b0 << 13) | (b1 >>> 19)) ^ a0
      b1 = high ^ a1
      high = a0
      a0 = a1
      a1 = high
      low = (c0 >>> 0) + (d0 >>> 0)
      c1 = (c1 + d1 + (low > 0xffffffff ? 1 : 0)) | 0
      c0 = low | 0
      high = (d1 << 16) | (d0 >>> 16)
      d0 = ((d0 << 16) | (d1 >>> 16)) ^ c0
      d1 = high ^ c1
      low = (a0 >>> 0) + (d0 >>> 0)
      a1 = (a1 + d1 + (low > 0xffffffff ? 1 : 0)) | 0
      a0 = low | 0
      high = (d1 << 21) | (d0 >>> 11)
      d0 = ((d0 << 21) | (d1 >>> 11)) ^ a0
      d1 = high ^ a1
      low = (c0 >>> 0) + (b0 >>> 0)
      c1 = (c1 + b1 + (low > 0xffffffff ? 1 : 0)) | 0
      c0 = low | 0
      high = (b1 << 17) | (b0 >>> 15)
      b0 = ((b0 << 17) | (b1 >>> 15)) ^ c0
      b1 = high ^ c1
      high = c0
      c0 = c1
      c1 = high
      if (step <= blocks) {
        a0 ^= m0
        a1 ^= m1
        if (step === blocks) c0 ^= 0xee
      } else if (step === last - 3) {
        this.w0 = a0 ^ b0 ^ c0 ^ d0
        this.w1 = a1 ^ b1 ^ c1 ^ d1
        b0 ^= 0xdd
      }
    }
    this.w2 = a0 ^ b0 ^ c0 ^ d0
    this.w3 = a1 ^ b1 ^ c1 ^ d1
    return seen < 1 << bits
  }
}
