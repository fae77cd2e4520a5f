// The body of a request, up to a bound.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'

/** What the bodies of all calls under way may take together. */
export class BodyRoom {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** A part of it, for one call. */
  hold(): HeldRoom {
    let held = 0
    return {
      take: (bytes) => {
        if (bytes > this.#left) return false
        this.#left -= bytes
        held += bytes
        return true
      },
      release: () => {
        this.#left += held
        held = 0
      },
    }
  }
}

export interface HeldRoom {
  /** False where there is no more. */
  take(bytes: number): boolean
  /** Gives all of it back: when nothing of the body is needed any more. */
  release(): void
}

/** Resolves with the body as text; 'too large' as soon as it is known to be, with the rest of it thrown away as it comes; 'no room' likewise; 'no text' when it is no UTF-8; 'cut' when it ended early. */
export function bodyOf(
  request: IncomingMessage,
  maxBytes: number,
  room?: HeldRoom,
): Promise<{ readonly text: string } | 'too large' | 'no room' | 'no text' | 'cut'> {
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
    let refused = false
    const refuse = (why: 'too large' | 'no room') => {
      refused = true
      first = undefined
      more = undefined
      room?.release()
      resolve(why)
    }
    request.on('data', (chunk: Buffer) => {
      if (refused) return
      bytes += chunk.length
      if (bytes > maxBytes) refuse('too large')
      else if (room?.take(chunk.length) === false) refuse('no room')
      else if (first === undefined) first = chunk
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
