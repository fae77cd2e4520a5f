// The bytes of a record, in the file and between the threads. A batch is records one after the other, so that batches
// are merged by copying and a record is found by walking over the lengths.
//
//   u32 length of the body · u32 length of the key plus 1, or 0 without a key · u32 length of the id
//   id · key · body                                                                              (UTF-8, little endian)
//
// The id of a message that was redriven has a NUL behind it, which no id contains, and when that was.

import { damaged } from './native-error.ts'

export const headerBytes = 12
/** The id of a record of a stream is empty, or this. */
export const tombstoneId = 't'
const nul = '\0'

/** What a record takes at most: a UTF-16 unit becomes 3 bytes at worst. */
export function roomFor(id: string, key: string | undefined, body: string): number {
  return headerBytes + 3 * (id.length + (key?.length ?? 0) + body.length)
}

/** Writes a record and returns where it ends. The caller saw to the room. */
export function writeRecord(
  into: Buffer,
  at: number,
  id: string,
  key: string | undefined,
  body: string,
): number {
  let end = at + headerBytes
  const idBytes = id === '' ? 0 : into.write(id, end)
  end += idBytes
  const keyBytes = key === undefined || key === '' ? 0 : into.write(key, end)
  end += keyBytes
  const bodyBytes = body === '' ? 0 : into.write(body, end)
  into.writeUInt32LE(bodyBytes, at)
  into.writeUInt32LE(key === undefined ? 0 : keyBytes + 1, at + 4)
  into.writeUInt32LE(idBytes, at + 8)
  return end + bodyBytes
}

/** Reads records one after the other. Reused for all records of a batch: it makes no object for each. */
export class RecordReader {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  start(bytes: Uint8Array): void {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
  }

  /** Calls back with the next record and returns what that returns. */
  next<T>(
    make: (
      id: string,
      key: string | undefined,
      body: string,
      bodyBytes: number,
      redrivenAt: number | undefined,
    ) => T,
  ): T {
    const bytes = this.#bytes
    const bodyBytes = bytes.readUInt32LE(this.#at)
    const keyField = bytes.readUInt32LE(this.#at + 4)
    const idBytes = bytes.readUInt32LE(this.#at + 8)
    const idAt = this.#at + headerBytes
    const keyAt = idAt + idBytes
    const bodyAt = keyField === 0 ? keyAt : keyAt + keyField - 1
    this.#at = bodyAt + bodyBytes
    const id = idBytes === 0 ? '' : bytes.toString('utf8', idAt, keyAt)
    const idEnd = id.indexOf(nul)
    return make(
      idEnd < 0 ? id : id.slice(0, idEnd),
      keyField === 0 ? undefined : bytes.toString('utf8', keyAt, bodyAt),
      bytes.toString('utf8', bodyAt, this.#at),
      bodyBytes,
      idEnd < 0 ? undefined : Number(id.slice(idEnd + 1)),
    )
  }
}

/** Calls back with the id and the key of each of the records of a batch, without looking at the bodies. */
export function eachKey(
  data: Uint8Array,
  see: (id: string, key: string | undefined, at: number) => void,
): void {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const bodyBytes = bytes.readUInt32LE(at)
    const keyField = bytes.readUInt32LE(at + 4)
    const keyAt = at + headerBytes + bytes.readUInt32LE(at + 8)
    const bodyAt = keyField === 0 ? keyAt : keyAt + keyField - 1
    see(
      bytes.toString('utf8', at + headerBytes, keyAt),
      keyField === 0 ? undefined : bytes.toString('utf8', keyAt, bodyAt),
      index,
    )
    at = bodyAt + bodyBytes
  }
}

/** The id of a record. */
export function idOf(record: Uint8Array): string {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  const id = bytes.toString('utf8', headerBytes, headerBytes + bytes.readUInt32LE(8))
  const end = id.indexOf(nul)
  return end < 0 ? id : id.slice(0, end)
}

/** The record of a message that is redriven. */
export function redriven(record: Uint8Array, at: number): Uint8Array {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  const id = Buffer.from(`${idOf(record)}${nul}${at}`)
  const header = Buffer.from(bytes.subarray(0, headerBytes))
  header.writeUInt32LE(id.length, 8)
  return Buffer.concat([header, id, bytes.subarray(headerBytes + bytes.readUInt32LE(8))])
}

/** The key of a record; null without one. */
export function keyOf(record: Uint8Array): string | null {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  const field = bytes.readUInt32LE(4)
  if (field === 0) return null
  const at = headerBytes + bytes.readUInt32LE(8)
  return bytes.toString('utf8', at, at + field - 1)
}

/** Where each of the records starts, and at the end where the last one stops. */
export function offsetsOf(data: Uint8Array, count: number): Uint32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const offsets = new Uint32Array(count + 1)
  let at = 0
  for (let i = 0; i < count; i++) {
    offsets[i] = at
    if (at + headerBytes > data.length) throw notWhole(count)
    const keyField = view.getUint32(at + 4, true)
    at +=
      headerBytes +
      view.getUint32(at, true) +
      (keyField === 0 ? 0 : keyField - 1) +
      view.getUint32(at + 8, true)
  }
  if (at !== data.length) throw notWhole(count)
  offsets[count] = at
  return offsets
}

function notWhole(count: number): Error {
  return damaged(`a batch of ${count} records does not end with the last of them`)
}
