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
  readonly #narrow: Int32Array
  readonly #wide: Int32Array

  /** Two keys of 128 bits; drawn where none are given. */
  constructor(keys: Uint32Array = randomFillSync(new Uint32Array(8))) {
    this.#narrow = Int32Array.from(keys.subarray(0, 4))
    this.#wide = Int32Array.from(keys.subarray(4, 8))
  }

  of(text: string): void {
    if (text === this.#text) return
    this.#text = text
    if (!this.#hash(text, this.#narrow, true)) this.#hash(text, this.#wide, false)
  }

  /** False when a character does not fit into a byte, and the words are of no use. */
  #hash(text: string, key: Int32Array, narrow: boolean): boolean {
    const length = text.length
    const blocks = narrow ? length >>> 3 : length >>> 2
    const [k0, k1, k2, k3] = [key[0]!, key[1]!, key[2]!, key[3]!]
    // Each v is two halves, the low one first. The constants are those of SipHash; 0xee makes it the one with 128 bits.
    let a0 = k0 ^ 0x70736575
    let a1 = k1 ^ 0x736f6d65
    let b0 = k2 ^ 0x6e646f6d ^ 0xee
    let b1 = k3 ^ 0x646f7261
    let c0 = k0 ^ 0x6e657261
    let c1 = k1 ^ 0x6c796765
    let d0 = k2 ^ 0x79746573
    let d1 = k3 ^ 0x74656462
    let seen = 0
    // The blocks, the last one with the length, and three rounds for each half of the hash.
    for (let step = 0; step <= blocks + 6; step++) {
      let m0 = 0
      let m1 = 0
      if (step < blocks) {
        if (narrow) {
          const at = step << 3
          const [p, q, r, s] = [
            text.charCodeAt(at),
            text.charCodeAt(at + 1),
            text.charCodeAt(at + 2),
            text.charCodeAt(at + 3),
          ]
          const [t, u, v, w] = [
            text.charCodeAt(at + 4),
            text.charCodeAt(at + 5),
            text.charCodeAt(at + 6),
            text.charCodeAt(at + 7),
          ]
          seen |= p | q | r | s | t | u | v | w
          m0 = p | (q << 8) | (r << 16) | (s << 24)
          m1 = t | (u << 8) | (v << 16) | (w << 24)
        } else {
          const at = step << 2
          m0 = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)
          m1 = text.charCodeAt(at + 2) | (text.charCodeAt(at + 3) << 16)
        }
      } else if (step === blocks) {
        const bits = narrow ? 8 : 16
        for (let at = narrow ? blocks << 3 : blocks << 2, shift = 0; at < length; at++, shift += bits) {
          const code = text.charCodeAt(at)
          seen |= code
          if (shift < 32) m0 |= code << shift
          else m1 |= code << (shift - 32)
        }
        m1 |= (narrow ? length : length << 1) << 24
      }
      d0 ^= m0
      d1 ^= m1
      // A SipRound; sums carry from the low halves to the high ones. (Numbers, not branches: nobody can predict a carry. It halves the time.)
      a0 = (a0 + b0) | 0
      a1 = (a1 + b1 + Number(a0 >>> 0 < b0 >>> 0)) | 0
      let high = (b1 << 13) | (b0 >>> 19)
      b0 = ((b0 << 13) | (b1 >>> 19)) ^ a0
      b1 = high ^ a1
      high = a0
      a0 = a1
      a1 = high
      c0 = (c0 + d0) | 0
      c1 = (c1 + d1 + Number(c0 >>> 0 < d0 >>> 0)) | 0
      high = (d1 << 16) | (d0 >>> 16)
      d0 = ((d0 << 16) | (d1 >>> 16)) ^ c0
      d1 = high ^ c1
      a0 = (a0 + d0) | 0
      a1 = (a1 + d1 + Number(a0 >>> 0 < d0 >>> 0)) | 0
      high = (d1 << 21) | (d0 >>> 11)
      d0 = ((d0 << 21) | (d1 >>> 11)) ^ a0
      d1 = high ^ a1
      c0 = (c0 + b0) | 0
      c1 = (c1 + b1 + Number(c0 >>> 0 < b0 >>> 0)) | 0
      high = (b1 << 17) | (b0 >>> 15)
      b0 = ((b0 << 17) | (b1 >>> 15)) ^ c0
      b1 = high ^ c1
      high = c0
      c0 = c1
      c1 = high
      a0 ^= m0
      a1 ^= m1
      if (step === blocks) c0 ^= 0xee
      else if (step === blocks + 3) {
        this.w0 = a0 ^ b0 ^ c0 ^ d0
        this.w1 = a1 ^ b1 ^ c1 ^ d1
        b0 ^= 0xdd
      }
    }
    this.w2 = a0 ^ b0 ^ c0 ^ d0
    this.w3 = a1 ^ b1 ^ c1 ^ d1
    return !narrow || seen < 256
  }
}
