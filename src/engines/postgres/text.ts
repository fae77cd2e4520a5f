// What PostgreSQL's text cannot carry, refused before it can fail a statement that carries other callers' rows too.
import { bytesAbove } from '../../core/byte-length.ts'
import { SpillwayError } from '../../core/errors.ts'

/** The largest body; the server would take up to 1 GB, but every reader must hold a few. */
export const maxBodyBytes: number = 16 * 2 ** 20

/** Throws TOO_LARGE or INVALID_DATA for what cannot be stored as it is. */
export function checkRow(
  row: { readonly key?: string | undefined; readonly body: string },
  id?: string,
): void {
  const bytes = bytesAbove(row.body, maxBodyBytes)
  if (bytes !== undefined)
    throw new SpillwayError(
      'TOO_LARGE',
      `A message has ${bytes} bytes; the engine 'postgres' takes up to ${maxBodyBytes}.`,
      { engine: 'postgres', details: { limit: maxBodyBytes } },
    )
  checkText(row.body, 'A body')
  if (row.key !== undefined) checkText(row.key, 'A key')
  if (id !== undefined) checkText(id, 'A message id')
}

export function checkText(text: string, what: string): void {
  if (!text.includes('\0') && text.isWellFormed()) return
  throw new SpillwayError(
    'INVALID_DATA',
    `${what} contains the character U+0000 or half a surrogate pair, which PostgreSQL cannot store.`,
    { engine: 'postgres' },
  )
}

/** Text for people, made storable: what cannot be stored is replaced, what is too long cut. */
export function legible(text: string, maxLength = 4000): string {
  return text.slice(0, maxLength).replaceAll('\0', '\u{fffd}').toWellFormed()
}
