// The body of a request, up to a bound.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'

/** Resolves with the body as text; 'too large' as soon as it is known to be, with the rest of it thrown away as it comes; 'no text' when it is no UTF-8; 'cut' when it ended early. */
export function bodyOf(
  request: IncomingMessage,
  maxBytes: number,
): Promise<{ readonly text: string } | 'too large' | 'no text' | 'cut'> {
  // Its client went away before this: nothing of it is told any more.
  if (request.destroyed) return Promise.resolve('cut')
  const announced = request.headers['content-length']
  if (announced !== undefined && Number(announced) > maxBytes) {
    request.resume()
    return Promise.resolve('too large')
  }
  return new Promise((resolve) => {
    let first: Buffer | undefined
    let more: Buffer[] | undefined
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) {
        first = undefined
        more = undefined
        resolve('too large')
      } else if (first === undefined) first = chunk
      else {
        more ??= [first]
        more.push(chunk)
      }
    })
    request.on('end', () => {
      const body = more ? Buffer.concat(more, bytes) : first
      if (body === undefined) resolve({ text: '' })
      else resolve(isUtf8(body) ? { text: body.toString('utf8') } : 'no text')
    })
    // After the end this is too late to matter.
    request.on('close', () => resolve('cut'))
    request.on('error', () => resolve('cut'))
  })
}
