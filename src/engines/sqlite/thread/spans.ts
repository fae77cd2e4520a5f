// The bytes of spans, put together into rows.
import { type Spans, spanWidth } from '../wire.ts'

/** Above this a row is closed: large enough to make a row's own cost small, small enough to be read for one message. */
export const rowBytes: number = 512 * 1024

export type Slabs = ReadonlyMap<number, Uint8Array>

/** Calls back with rows: the bytes (valid until the callback returns) and the number of records in them. */
export function forEachRow(
  spans: Spans,
  slabs: Slabs,
  write: (data: Uint8Array, count: number) => void,
): void {
  let from = 0
  while (from < spans.length) {
    let to = from
    let bytes = 0
    let count = 0
    do {
      bytes += spans[to + 2]!
      count += spans[to + 3]!
      to += spanWidth
    } while (to < spans.length && bytes + spans[to + 2]! <= rowBytes)
    write(bytesOf(spans, from, to, bytes, slabs), count)
    from = to
  }
}

let scratch = new Uint8Array(0)

function bytesOf(spans: Spans, from: number, to: number, bytes: number, slabs: Slabs): Uint8Array {
  if (to - from === spanWidth) return spanAt(spans, from, slabs)
  if (scratch.length < bytes) scratch = new Uint8Array(rowBytes)
  let at = 0
  for (let i = from; i < to; i += spanWidth) {
    const span = spanAt(spans, i, slabs)
    scratch.set(span, at)
    at += span.length
  }
  return scratch.subarray(0, bytes)
}

export function spanAt(spans: Spans, at: number, slabs: Slabs): Uint8Array {
  const start = spans[at + 1]!
  return slabs.get(spans[at]!)!.subarray(start, start + spans[at + 2]!)
}

/** All records in one piece of memory of their own, which is handed over to the caller's thread instead of copied. */
export function joined(bytes: number, pieces: readonly Uint8Array[]): Uint8Array {
  const memory = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    memory.set(piece, at)
    at += piece.length
  }
  return memory
}
