// The largest body, and how it is checked without measuring every one.
import { SpillwayError } from '../../core/errors.ts'

export const maxBodyBytes: number = 16 * 1024 * 1024

/** Roughly the bytes of a body, for the bounds of what is under way. TOO_LARGE when it exceeds the limit. */
export function sizeOf(body: string): number {
  // A UTF-16 unit takes 3 bytes at most: only a body near the limit must be measured.
  if (body.length * 3 > maxBodyBytes) {
    const bytes = Buffer.byteLength(body)
    if (bytes > maxBodyBytes)
      throw new SpillwayError('TOO_LARGE', `A body has ${bytes} bytes; the limit is ${maxBodyBytes}.`, {
        engine: 'sqlite',
        details: { bytes, limit: maxBodyBytes },
      })
  }
  return body.length
}
