// A part of a table: an open-addressed array of places, each the 128 bits of a key's hash and the numbers of its bucket, side by side.
import type { Numbers } from '../../core/bucket/bucket.ts'
import type { KeyHash } from './key-hash.ts'

/** A tag takes as much as two numbers. All bits zero: the place is free. (One key of 2^128 has no place of its own.) */
const tagNumbers = 2

/** Of the place of a bucket of so many numbers. */
export function bytesOfPlace(size: number): number {
  return (tagNumbers + size) * Float64Array.BYTES_PER_ELEMENT
}

export class Segment {
  readonly numbers: Numbers
  readonly #words: Int32Array
  readonly #mask: number
  readonly #stride: number
  /** How many bits of the hash are the same for all keys in it, and which. */
  readonly depth: number
  readonly prefix: number
  /** Places that are not free. */
  used = 0
  /** From so many on it is too full to be quick. */
  readonly mostUsed: number

  /** `places` is a power of two. */
  constructor(places: number, size: number, depth: number, prefix: number) {
    this.#stride = tagNumbers + size
    this.numbers = new Float64Array(places * this.#stride)
    this.#words = new Int32Array(this.numbers.buffer)
    this.#mask = places - 1
    this.depth = depth
    this.prefix = prefix
    this.mostUsed = Math.floor(places * 0.8)
  }

  get places(): number {
    return this.#mask + 1
  }

  /** Where the bucket of this key stands in `numbers`; -1 for none. */
  find({ w0, w1, w2, w3 }: KeyHash): number {
    return this.#seek(w0, w1, w2, w3, false)
  }

  /** Makes a place for a key that has none; there has to be one. Its numbers are zeros. */
  add({ w0, w1, w2, w3 }: KeyHash): number {
    return this.#seek(w0, w1, w2, w3, true)
  }

  #seek(w0: number, w1: number, w2: number, w3: number, make: boolean): number {
    const words = this.#words
    const stride = this.#stride
    for (let place = w0 & this.#mask; ; place = (place + 1) & this.#mask) {
      const at = place * stride
      const word = at * 2
      const first = words[word]!
      if (first === w0 && words[word + 1] === w1 && words[word + 2] === w2 && words[word + 3] === w3) {
        return at + tagNumbers
      }
      if (first === 0 && words[word + 1] === 0 && words[word + 2] === 0 && words[word + 3] === 0) {
        if (!make) return -1
        words[word] = w0
        words[word + 1] = w1
        words[word + 2] = w2
        words[word + 3] = w3
        this.used += 1
        return at + tagNumbers
      }
    }
  }

  /** Calls with the place of each bucket. */
  each(visit: (at: number) => void): void {
    const stride = this.#stride
    const words = this.#words
    for (let at = 0; at < this.numbers.length; at += stride) {
      const word = at * 2
      if ((words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]!) !== 0)
        visit(at + tagNumbers)
    }
  }

  /** Moves the bucket that stands at `at` to another segment. Returns where it stands there. */
  moveTo(other: Segment, at: number, hash: KeyHash): number {
    this.hashAt(at, hash)
    const to = other.add(hash)
    for (let i = 0; i < this.#stride - tagNumbers; i++) other.numbers[to + i] = this.numbers[at + i]!
    return to
  }

  hashAt(at: number, hash: KeyHash): void {
    const word = (at - tagNumbers) * 2
    hash.w0 = this.#words[word]!
    hash.w1 = this.#words[word + 1]!
    hash.w2 = this.#words[word + 2]!
    hash.w3 = this.#words[word + 3]!
  }
}
