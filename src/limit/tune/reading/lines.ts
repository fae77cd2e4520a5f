// The lines of a log, plain or gzipped, from a file or the standard input, one after the other and never more than a piece of it at once.
import { createReadStream } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { asError, isSpillwayError, SpillwayError } from '../../../core/errors.ts'

/** Longer lines are handed on as undefined, and are not kept. */
const longestLine = 1 << 20
const pieceBytes = 1 << 18
const newline = 0x0a

export interface Source {
  /** For people. */
  readonly name: string
  /** Bytes, as they lie on the disk; undefined where nobody knows beforehand. */
  readonly size: number | undefined
  open(): Readable
}

/** Throws INVALID_OPTION for what is no file that can be read. */
export async function fileSource(path: string): Promise<Source> {
  try {
    // Not opened: a pipe that is let go again has lost who writes into it.
    const facts = await stat(path)
    await access(path, constants.R_OK)
    if (facts.isDirectory()) throw new Error('it is a folder')
    // A pipe has no size.
    const size = facts.isFile() ? facts.size : undefined
    return { name: path, size, open: () => createReadStream(path, { highWaterMark: pieceBytes }) }
  } catch (thrown) {
    throw new SpillwayError('INVALID_OPTION', `The log ${path} cannot be read: ${asError(thrown).message}.`, {
      cause: thrown,
    })
  }
}

/** `take` gets each line without its end, or undefined for one that is too long; `progress` how many bytes of the file were read. */
export async function eachLine(
  source: Source,
  take: (line: string | undefined) => void,
  progress: (bytes: number) => void,
): Promise<void> {
  const splitter = new Splitter(take)
  let unpacked: Readable | undefined
  let read = 0
  const counted = async function* (input: AsyncIterable<Buffer>) {
    for await (const piece of input) {
      read += piece.length
      yield piece
    }
  }
  try {
    const input = await withFirstBytes(source.open())
    unpacked = input.gzipped ? unpack(counted(input.pieces)) : undefined
    for await (const piece of unpacked ?? counted(input.pieces)) {
      splitter.add(piece as Buffer)
      progress(read)
    }
    splitter.end()
  } catch (thrown) {
    // What `take` found wrong says itself what it is.
    if (isSpillwayError(thrown)) throw thrown
    throw new SpillwayError(
      'INVALID_DATA',
      `${source.name} cannot be read to its end: ${asError(thrown).message}.`,
      {
        remedy:
          'Nothing was computed. A log that is still being packed, or was cut off, must be whole first.',
        cause: thrown,
      },
    )
  } finally {
    unpacked?.destroy()
  }
}

function unpack(pieces: AsyncIterable<Buffer>): Readable {
  // What goes wrong on the way destroys the end of it, where it is read.
  return pipeline(Readable.from(pieces), createGunzip({ chunkSize: pieceBytes }), () => {})
}

/** The first two bytes of gzip are 1f 8b. */
async function withFirstBytes(input: Readable) {
  const pieces = input[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const first: Buffer[] = []
  let length = 0
  while (length < 2) {
    const next = await pieces.next()
    if (next.done) break
    first.push(next.value)
    length += next.value.length
  }
  const head = Buffer.concat(first)
  async function* all() {
    if (head.length > 0) yield head
    yield* { [Symbol.asyncIterator]: () => pieces }
  }
  return { gzipped: head[0] === 0x1f && head[1] === 0x8b, pieces: all() }
}

class Splitter {
  readonly #take: (line: string | undefined) => void
  /** The beginning of a line whose end has not come. */
  #begun: Buffer[] = []
  #length = 0
  #tooLong = false
  #first = true

  constructor(take: (line: string | undefined) => void) {
    this.#take = take
  }

  add(piece: Buffer): void {
    const last = piece.lastIndexOf(newline)
    if (last < 0) {
      this.#keep(piece)
      return
    }
    const end = piece.indexOf(newline)
    this.#keep(piece.subarray(0, end))
    this.#endLine()
    if (last > end) {
      // All whole lines at once: a line ends between two letters in UTF-8.
      const text = piece.toString('utf8', end + 1, last + 1)
      for (let from = 0; from < text.length; ) {
        const to = text.indexOf('\n', from)
        this.#take(text.slice(from, text[to - 1] === '\r' && to > from ? to - 1 : to))
        from = to + 1
      }
    }
    this.#keep(piece.subarray(last + 1))
  }

  end(): void {
    if (this.#length > 0) this.#endLine()
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length
    if (this.#length > longestLine) {
      this.#tooLong = true
      this.#begun = []
    } else if (piece.length > 0) this.#begun.push(piece)
  }

  #endLine(): void {
    if (this.#tooLong) this.#take(undefined)
    else {
      const text = Buffer.concat(this.#begun).toString()
      const start = this.#first && text.startsWith('\ufeff') ? 1 : 0
      this.#take(text.slice(start, text.endsWith('\r') ? -1 : undefined))
    }
    this.#first = false
    this.#begun = []
    this.#length = 0
    this.#tooLong = false
  }
}
