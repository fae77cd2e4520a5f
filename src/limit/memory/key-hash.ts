// Keys as 128 bits: Chaskey under a key that this process drew (Mouha, Mennink, Van Herrewege, Watanabe, Preneel and Verbauwhede, "Chaskey: An Efficient
// MAC Algorithm for 32-bit Microcontrollers", 2014). It is made of sums and turns of 32 bits, at which JavaScript is quick.
import { randomFillSync } from 'node:crypto'

/** As it was published. */
const rounds = 8

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
    this.#narrow = withSubkeys(keys.subarray(0, 4))
    this.#wide = withSubkeys(keys.subarray(4, 8))
  }

  of(text: string): void {
    if (text === this.#text) return
    this.#text = text
    if (!this.#hash(text, this.#narrow, 8)) this.#hash(text, this.#wide, 16)
  }

  /** False when a character does not fit into its bits, and the words are of no use. */
  #hash(text: string, keys: Int32Array, bits: 8 | 16): boolean {
    const { length } = text
    const block = 128 / bits
    let a = keys[0]!
    let b = keys[1]!
    let c = keys[2]!
    let d = keys[3]!
    let seen = 0
    for (let at = 0; ; at += block) {
      let m0 = 0
      let m1 = 0
      let m2 = 0
      let m3 = 0
      if (bits === 8 && length - at >= 16) {
        const c0 = text.charCodeAt(at)
        const c1 = text.charCodeAt(at + 1)
        const c2 = text.charCodeAt(at + 2)
        const c3 = text.charCodeAt(at + 3)
        const c4 = text.charCodeAt(at + 4)
        const c5 = text.charCodeAt(at + 5)
        const c6 = text.charCodeAt(at + 6)
        const c7 = text.charCodeAt(at + 7)
        const c8 = text.charCodeAt(at + 8)
        const c9 = text.charCodeAt(at + 9)
        const ca = text.charCodeAt(at + 10)
        const cb = text.charCodeAt(at + 11)
        const cc = text.charCodeAt(at + 12)
        const cd = text.charCodeAt(at + 13)
        const ce = text.charCodeAt(at + 14)
        const cf = text.charCodeAt(at + 15)
        seen |= c0 | c1 | c2 | c3 | c4 | c5 | c6 | c7 | c8 | c9 | ca | cb | cc | cd | ce | cf
        m0 = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24)
        m1 = c4 | (c5 << 8) | (c6 << 16) | (c7 << 24)
        m2 = c8 | (c9 << 8) | (ca << 16) | (cb << 24)
        m3 = cc | (cd << 8) | (ce << 16) | (cf << 24)
      } else {
        const end = Math.min(at + block, length)
        for (let i = at, shift = 0; i < end; i++, shift += bits) {
          const code = text.charCodeAt(i)
          seen |= code
          // Shifts go by their last five bits: each is that within its own word.
          if (shift < 32) m0 |= code << shift
          else if (shift < 64) m1 |= code << shift
          else if (shift < 96) m2 |= code << shift
          else m3 |= code << shift
        }
      }
      // The last block, with a one behind its end where there is room for it, goes under a subkey, one for either case.
      const last = length - at <= block
      const subkey = length - at === block ? 4 : 8
      if (last) {
        if (subkey === 8) {
          const shift = (length - at) * bits
          if (shift < 32) m0 |= 1 << shift
          else if (shift < 64) m1 |= 1 << shift
          else if (shift < 96) m2 |= 1 << shift
          else m3 |= 1 << shift
        }
        m0 ^= keys[subkey]!
        m1 ^= keys[subkey + 1]!
        m2 ^= keys[subkey + 2]!
        m3 ^= keys[subkey + 3]!
      }
      a ^= m0
      b ^= m1
      c ^= m2
      d ^= m3
      for (let round = 0; round < rounds; round++) {
        a = (a + b) | 0
        b = ((b << 5) | (b >>> 27)) ^ a
        a = (a << 16) | (a >>> 16)
        c = (c + d) | 0
        d = ((d << 8) | (d >>> 24)) ^ c
        a = (a + d) | 0
        d = ((d << 13) | (d >>> 19)) ^ a
        c = (c + b) | 0
        b = ((b << 7) | (b >>> 25)) ^ c
        c = (c << 16) | (c >>> 16)
      }
      if (!last) continue
      this.w0 = a ^ keys[subkey]!
      this.w1 = b ^ keys[subkey + 1]!
      this.w2 = c ^ keys[subkey + 2]!
      this.w3 = d ^ keys[subkey + 3]!
      return bits === 16 || seen < 256
    }
  }
}

/** The key, twice it and four times it, in the field of 2^128. */
function withSubkeys(key: Uint32Array): Int32Array {
  const once = Int32Array.from(key)
  const twice = doubled(once)
  return Int32Array.of(...once, ...twice, ...doubled(twice))
}

function doubled(key: Int32Array): Int32Array {
  const carried = (at: number) => (at === 0 ? (key[3]! < 0 ? 0x87 : 0) : key[at - 1]! >>> 31)
  return key.map((word, at) => (word << 1) ^ carried(at))
}
