// The buckets of one rule in memory, by the hashes of their keys: no key is kept, there is no timer, and no step of it takes long.
import type { StoredAlgorithm } from '../../core/bucket/algorithm.ts'
import type { Bucket, Numbers } from '../../core/bucket/bucket.ts'
import { KeyHash } from './key-hash.ts'
import { Segment } from './segment.ts'

/** A segment that has more is split: what is moved at once stays short. */
const largestSegment = 4_096
/** When the table is full, each new key looks through one segment for idle buckets; after all of them, not again before this. */
const restUs = 100_000

/**
 * Grows by extendible hashing (Fagin, Nievergelt, Pippenger and Strong, 1979): a directory leads by the first bits of a hash to a segment; one that
 * is full is freed of idle buckets first, and split when too many are left. When there are `maxKeys`, keys that have no bucket share one.
 */
export class Table {
  /** Where the key that was last looked for has its bucket, or would begin. */
  numbers: Numbers
  at = 0
  /** Whether it goes by the bucket that keys share for which there is no room. */
  shared = false
  /** How many requests did. */
  overflowed = 0

  readonly #bucket: Bucket<StoredAlgorithm>
  readonly #size: number
  readonly #maxKeys: number
  /** The bucket of those for which there is no room; zeros until then. A new key begins with what was taken from it: it may have been its own. */
  readonly #overflow: Numbers
  #algorithm: () => StoredAlgorithm
  readonly #held: boolean
  readonly #moving = new KeyHash(new Uint32Array(8))
  #directory: Segment[]
  /** How many bits of a hash the directory looks at. */
  #depth = 0
  #used = 0
  #hand = 0
  #restsUntilUs = 0

  /** `algorithm` is asked when a bucket is looked at for being idle. */
  constructor(bucket: Bucket<StoredAlgorithm>, algorithm: () => StoredAlgorithm, maxKeys: number) {
    this.#bucket = bucket
    this.#algorithm = algorithm
    this.#held = algorithm().kind === 'concurrency'
    this.#maxKeys = maxKeys
    this.#size = bucket.size(algorithm())
    this.#overflow = new Float64Array(this.#size)
    this.#directory = [new Segment(8, this.#size, 0, 0)]
    this.numbers = this.#overflow
  }

  /** For the same rule, declared again. */
  goBy(algorithm: () => StoredAlgorithm): void {
    this.#algorithm = algorithm
  }

  /** Places that are taken, by buckets that may be idle. */
  get used(): number {
    return this.#used
  }

  /** Looks for a key. Changes no bucket. True when it has one. */
  find(hash: KeyHash, nowUs: number): boolean {
    const segment = this.#segmentOf(hash)
    this.at = segment.find(hash)
    this.shared = false
    if (this.at >= 0) {
      this.numbers = segment.numbers
      return true
    }
    this.numbers = this.#overflow
    this.at = 0
    if (this.#used >= this.#maxKeys) this.#sweep(nowUs)
    // What is held is given back where it was taken: nobody begins with it, so nobody leaves before all of it is back.
    this.shared = this.#used >= this.#maxKeys || (this.#held && this.#overflow[0] !== 0)
    return false
  }

  /** After `find` found none: makes the bucket, unless there is no room for it. */
  add(hash: KeyHash, nowUs: number): void {
    if (this.shared) {
      this.overflowed += 1
      return
    }
    let segment = this.#segmentOf(hash)
    while (segment.used >= segment.mostUsed) segment = this.#makeRoom(segment, hash, nowUs)
    this.at = segment.add(hash)
    this.numbers = segment.numbers
    this.#used += 1
    if (this.overflowed > 0 && !this.#held) segment.numbers.set(this.#overflow, this.at)
  }

  /** Goes by the bucket that keys share: to give back what was taken there. */
  findShared(): void {
    this.numbers = this.#overflow
    this.at = 0
  }

  /** All buckets that are not idle, one after the other: `numbers` and `at` lead to it. */
  each(nowUs: number, visit: (hash: KeyHash) => void): void {
    const hash = new KeyHash(new Uint32Array(8))
    for (const segment of new Set(this.#directory))
      segment.each((at) => {
        if (this.#bucket.isIdle(segment.numbers, at, this.#algorithm(), nowUs)) return
        this.numbers = segment.numbers
        this.at = at
        segment.hashAt(at, hash)
        visit(hash)
      })
  }

  #segmentOf({ w1 }: KeyHash): Segment {
    return this.#directory[this.#depth === 0 ? 0 : w1 >>> (32 - this.#depth)]!
  }

  /** One step in the search for buckets that are idle. */
  #sweep(nowUs: number): void {
    if (nowUs < this.#restsUntilUs) return
    const segment = this.#directory[this.#hand % this.#directory.length]!
    this.#replace(segment, nowUs, segment.places)
    this.#hand += 1
    if (this.#hand % this.#directory.length === 0) this.#restsUntilUs = nowUs + restUs
  }

  /** Returns the segment that the key now belongs to. */
  #makeRoom(segment: Segment, hash: KeyHash, nowUs: number): Segment {
    const algorithm = this.#algorithm()
    let busy = 0
    segment.each((at) => {
      if (!this.#bucket.isIdle(segment.numbers, at, algorithm, nowUs)) busy += 1
    })
    if (busy <= segment.mostUsed * 0.75) this.#replace(segment, nowUs, segment.places)
    else if (segment.places < largestSegment) this.#replace(segment, nowUs, segment.places * 2)
    else this.#split(segment, nowUs)
    return this.#segmentOf(hash)
  }

  #replace(segment: Segment, nowUs: number, places: number): void {
    this.#fill(segment, nowUs, [new Segment(places, this.#size, segment.depth, segment.prefix)])
  }

  #split(segment: Segment, nowUs: number): void {
    if (segment.depth === this.#depth) {
      this.#directory = this.#directory.flatMap((each) => [each, each])
      this.#depth += 1
    }
    const half = (bit: 0 | 1) =>
      new Segment(largestSegment, this.#size, segment.depth + 1, segment.prefix * 2 + bit)
    this.#fill(segment, nowUs, [half(0), half(1)])
  }

  /** Puts one or two in the place of a segment, with those of its buckets that are not idle. */
  #fill(segment: Segment, nowUs: number, into: readonly [Segment] | readonly [Segment, Segment]): void {
    const algorithm = this.#algorithm()
    const [zero, one = zero] = into
    const hash = this.#moving
    segment.each((at) => {
      if (this.#bucket.isIdle(segment.numbers, at, algorithm, nowUs)) return
      segment.hashAt(at, hash)
      segment.moveTo(((hash.w1 << segment.depth) & 0x80000000) === 0 ? zero : one, at, hash)
    })
    this.#used -= segment.used
    for (const each of into) this.#used += each.used
    for (const each of into) {
      const entries = 2 ** (this.#depth - each.depth)
      this.#directory.fill(each, each.prefix * entries, (each.prefix + 1) * entries)
    }
  }
}
