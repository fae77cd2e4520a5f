// What may be stored, and how large it may be: checked before anything of a call is written.
import { SpillwayError } from '../../core/errors.ts'

export const maxBodyBytes: number = 16 * 1024 * 1024

/** Room for lengths, id and key, in the bounds of what is under way. */
const besideBody = 100

/** Roughly the bytes of a record, for the bounds of what is under way. TOO_LARGE when its body exceeds the limit. */
export function sizeOf(id: string, key: string | undefined, body: string): number {
  // Callers without types: half of a call must not be written when its second half cannot be.
  if (typeof id !== 'string' || typeof body !== 'string' || (key !== undefined && typeof key !== 'string'))
    throw new SpillwayError('INVALID_OPTION', 'The id, the key and the body of a record are strings.', {
      engine: 'sqlite',
    })
  // A UTF-16 unit takes 3 bytes at most: only a body near the limit must be measured.
  if (body.length * 3 > maxBodyBytes) {
    const bytes = Buffer.byteLength(body)
    if (bytes > maxBodyBytes)
      throw new SpillwayError('TOO_LARGE', `A body has ${bytes} bytes; the limit is ${maxBodyBytes}.`, {
        engine: 'sqlite',
        details: { bytes, limit: maxBodyBytes },
      })
  }
  return body.length + besideBody
}
