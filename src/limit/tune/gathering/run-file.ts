// A run: requests ordered by key and time in a temporary file, which has no name any more where the system allows that.
// For each key: length of the name in bytes (4 bytes), how many requests (8 bytes), the name, then time and cost of each (16 bytes).
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asError, SpillwayError } from '../../../core/errors.ts'
import type { Requests, Visitor } from './requests.ts'

const headBytes = 12
const pairBytes = 16
const bufferBytes = 1 << 18
/** How many requests are handed on at once. */
export const atOnce = 8_192

export class RunFile implements Requests {
  readonly #file: number
  readonly #folder: string
  #buffer: Buffer | undefined = Buffer.allocUnsafe(bufferBytes)
  #filled = 0
  keys = 0

  constructor() {
    this.#folder = onDisk(() => mkdtempSync(join(tmpdir(), 'spillway-tune-')))
    this.#file = onDisk(() => openSync(join(this.#folder, 'run'), 'w+'))
    try {
      rmSync(this.#folder, { recursive: true })
    } catch {
      // Where an open file cannot be removed it goes when it is closed.
    }
  }

  begin(key: string, count: number): void {
    const name = Buffer.from(key)
    this.#room(headBytes + name.length)
    this.#buffer!.writeUInt32LE(name.length, this.#filled)
    this.#buffer!.writeDoubleLE(count, this.#filled + 4)
    name.copy(this.#buffer!, this.#filled + headBytes)
    this.#filled += headBytes + name.length
    this.keys += 1
  }

  some(times: Float64Array, costs: Float64Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      this.#room(pairBytes)
      this.#buffer!.writeDoubleLE(times[index]!, this.#filled)
      this.#buffer!.writeDoubleLE(costs[index]!, this.#filled + 8)
      this.#filled += pairBytes
    }
  }

  end(): void {}

  /** Before it is read. */
  flush(): void {
    for (let from = 0; from < this.#filled; )
      from += onDisk(() => writeSync(this.#file, this.#buffer!, from, this.#filled - from))
    this.#filled = 0
    this.#buffer = undefined
  }

  reader(): RunReader {
    return new RunReader(this.#file)
  }

  each(visitor: Visitor): void {
    const reader = this.reader()
    const times = new Float64Array(atOnce)
    const costs = new Float64Array(atOnce)
    while (reader.next()) {
      visitor.begin(reader.key, reader.left)
      while (reader.left > 0) visitor.some(times, costs, 0, reader.fill(times, costs))
      visitor.end()
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #room(bytes: number): void {
    if (this.#filled + bytes <= bufferBytes) return
    const buffer = this.#buffer
    this.flush()
    this.#buffer = buffer
  }
}

/** Goes over a run from its beginning; several may read one file. */
export class RunReader {
  readonly #file: number
  readonly #buffer = Buffer.allocUnsafe(bufferBytes)
  #at = 0
  #filled = 0
  #position = 0
  key = ''
  /** Requests of this key that were not read yet. */
  left = 0

  constructor(file: number) {
    this.#file = file
  }

  /** Goes to the next key; false at the end. The requests of the one before must have been read. */
  next(): boolean {
    if (!this.#has(headBytes)) return false
    const nameBytes = this.#buffer.readUInt32LE(this.#at)
    this.left = this.#buffer.readDoubleLE(this.#at + 4)
    this.#at += headBytes
    this.#has(nameBytes)
    this.key = this.#buffer.toString('utf8', this.#at, this.#at + nameBytes)
    this.#at += nameBytes
    return true
  }

  /** Fills the arrays from their beginning, as far as they and the key go; returns how many. */
  fill(times: Float64Array, costs: Float64Array): number {
    const count = Math.min(times.length, this.left)
    for (let index = 0; index < count; index++) {
      this.#has(pairBytes)
      times[index] = this.#buffer.readDoubleLE(this.#at)
      costs[index] = this.#buffer.readDoubleLE(this.#at + 8)
      this.#at += pairBytes
    }
    this.left -= count
    return count
  }

  #has(bytes: number): boolean {
    if (this.#filled - this.#at >= bytes) return true
    this.#buffer.copyWithin(0, this.#at, this.#filled)
    this.#filled -= this.#at
    this.#at = 0
    while (this.#filled < bytes) {
      const read = onDisk(() =>
        readSync(this.#file, this.#buffer, this.#filled, bufferBytes - this.#filled, this.#position),
      )
      if (read === 0) return false
      this.#filled += read
      this.#position += read
    }
    return true
  }
}

function onDisk<Result>(act: () => Result): Result {
  try {
    return act()
  } catch (thrown) {
    const remedy = `Nothing was computed. Free space in ${tmpdir()}, or name another folder by TMPDIR.`
    throw new SpillwayError('STORE_FULL', `A temporary file failed: ${asError(thrown).message}.`, {
      remedy,
      cause: thrown,
    })
  }
}
