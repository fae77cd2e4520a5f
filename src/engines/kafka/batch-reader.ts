// Record batches, format version 2, on the way in: a cursor over the bytes of one fetched partition that decodes a
// record when it is asked for, so that what is read ahead costs its bytes and no more.
import type { Buffer } from 'node:buffer'
import type { StreamRecord } from '../../ports/stream.ts'
import { tombstoneHeader } from './batch-writer.ts'
import type { Client } from './client.ts'
import { Fault } from './errors.ts'

/** What the library gives for reading: checksum, and the decompression of an algorithm by its number in a batch. */
export interface Codecs {
  crc32c(bytes: Uint8Array): number
  decompress(algorithm: number, bytes: Buffer): Buffer
}

export function codecsOf(client: Client): Codecs {
  return {
    crc32c: client.crc32c,
    decompress: (algorithm, bytes) => {
      const known = client.compressionsAlgorithmsByBitmask[algorithm]
      if (known === undefined)
        throw new Fault(
          'UNSUPPORTED_COMPRESSION_TYPE',
          `a batch is compressed in an unknown way (${algorithm})`,
        )
      return known.decompressSync(bytes)
    },
  }
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

const batchHead = 61

export class RecordCursor {
  /** The next record; undefined at the end. */
  head: StreamRecord | undefined
  /** The bytes of its body. */
  headBytes = 0
  /** The position after all batches passed so far: when there is no `head`, where to go on. */
  next: number
  readonly #partition: number
  readonly #from: number
  readonly #bytes: Buffer
  readonly #codecs: Codecs
  readonly #aborted: AbortedTransaction[]
  readonly #abortedNow = new Set<bigint>()
  #at = 0
  #records: Buffer
  #recordAt = 0
  #left = 0
  #base = 0
  #time = 0
  #timeIsOfBatch = false
  #textBytes = 0

  /** `from`: records below it, which the first batch may hold, are passed over. */
  constructor(
    bytes: Buffer,
    partition: number,
    from: number,
    next: number,
    aborted: readonly AbortedTransaction[],
    codecs: Codecs,
  ) {
    this.#bytes = bytes
    this.#records = bytes
    this.#partition = partition
    this.#from = from
    this.next = next
    this.#aborted = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
    this.#codecs = codecs
    this.advance()
  }

  /** What it keeps in memory: what was fetched, and the batch under way as it was before it was compressed. */
  get size(): number {
    return this.#bytes.length + (this.#records === this.#bytes ? 0 : this.#records.length)
  }

  /** Passes over `head` to the next record. Throws for a batch that cannot be read, without passing over it. */
  advance(): void {
    this.head = undefined
    for (;;) {
      while (this.#left > 0) {
        this.#left--
        if (this.#readRecord()) return
      }
      if (!this.#openBatch()) return
    }
  }

  #openBatch(): boolean {
    const bytes = this.#bytes
    const start = this.#at
    if (bytes.length - start < batchHead) return false
    const end = start + 12 + bytes.readInt32BE(start + 8)
    if (end > bytes.length) return false
    const base = readPosition(bytes, start)
    if (bytes[start + 16] !== 2)
      throw new Fault('UNSUPPORTED_FOR_MESSAGE_FORMAT', `the batch at ${base} has an old format`)
    if (this.#codecs.crc32c(bytes.subarray(start + 21, end)) !== bytes.readUInt32BE(start + 17))
      throw new Fault('CORRUPT_MESSAGE', `the batch at ${base} does not match its checksum`)
    const attributes = bytes.readInt16BE(start + 21)
    const next = base + bytes.readInt32BE(start + 23) + 1
    const control = (attributes & 0x20) !== 0
    const transactional = (attributes & 0x10) !== 0
    const aborted = transactional && this.#isAborted(bytes.readBigInt64BE(start + 43), control, next)
    const algorithm = attributes & 0x07
    const skipped = aborted || control
    if (!skipped && algorithm !== 0) {
      this.#records = this.#decompress(algorithm, bytes.subarray(start + batchHead, end), base)
      this.#recordAt = 0
    } else {
      this.#records = bytes
      this.#recordAt = start + batchHead
    }
    // Only now: a batch that could not be read is not passed.
    this.#at = end
    this.next = next
    if (skipped) return true
    this.#base = base
    this.#timeIsOfBatch = (attributes & 0x08) !== 0
    this.#time = readPosition(bytes, start + (this.#timeIsOfBatch ? 35 : 27))
    this.#left = bytes.readInt32BE(start + 57)
    return true
  }

  #decompress(algorithm: number, bytes: Buffer, base: number): Buffer {
    try {
      return this.#codecs.decompress(algorithm, bytes)
    } catch (thrown) {
      if (thrown instanceof Fault) throw thrown
      throw new Fault('CORRUPT_MESSAGE', `the batch at ${base} cannot be decompressed: ${thrown}`, thrown)
    }
  }

  /** Keeps account of the aborted transactions around this batch; a control batch ends that of its producer. */
  #isAborted(producerId: bigint, control: boolean, next: number): boolean {
    for (let first = this.#aborted[0]; first && first.firstOffset < next; first = this.#aborted[0]) {
      this.#abortedNow.add(first.producerId)
      this.#aborted.shift()
    }
    if (control) this.#abortedNow.delete(producerId)
    return this.#abortedNow.has(producerId)
  }

  #readRecord(): boolean {
    const length = this.#varint()
    const end = this.#recordAt + length
    this.#recordAt++ // attributes, of which there are none yet
    const timeDelta = this.#varlong()
    const position = this.#base + this.#varint()
    if (position < this.#from) {
      this.#recordAt = end
      return false
    }
    const key = this.#text()
    const body = this.#text() ?? this.#tombstone()
    this.headBytes = this.#textBytes
    this.#recordAt = end
    this.head = {
      partition: this.#partition,
      position,
      key,
      body,
      appendedAt: this.#timeIsOfBatch ? this.#time : this.#time + timeDelta,
      version: undefined,
    }
    return true
  }

  /** The event of a record without a value stands in a header; one of another program has none. */
  #tombstone(): string {
    for (let left = this.#varint(); left > 0; left--) {
      const name = this.#text()
      const value = this.#text()
      if (name === tombstoneHeader) return value ?? ''
    }
    this.#textBytes = 0
    return ''
  }

  #text(): string | undefined {
    const length = this.#varint()
    this.#textBytes = Math.max(length, 0)
    if (length < 0) return undefined
    const start = this.#recordAt
    this.#recordAt = start + length
    return this.#records.toString('utf8', start, start + length)
  }

  #varint(): number {
    const bytes = this.#records
    let byte = bytes[this.#recordAt++]!
    let value = byte & 0x7f
    for (let shift = 7; byte > 0x7f; shift += 7) {
      byte = bytes[this.#recordAt++]!
      value |= (byte & 0x7f) << shift
    }
    return (value >>> 1) ^ -(value & 1)
  }

  /** Time deltas may be wider than 32 bits; as numbers they are exact. */
  #varlong(): number {
    const bytes = this.#records
    let value = 0
    let scale = 1
    let byte: number
    do {
      byte = bytes[this.#recordAt++]!
      value += (byte & 0x7f) * scale
      scale *= 128
    } while (byte > 0x7f)
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}

function readPosition(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
}
