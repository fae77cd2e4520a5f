// Whether a text is too long in bytes, which most texts need not be measured for.

/** The bytes of a text in UTF-8 where they are more than `limit`; undefined where it fits. */
export function bytesAbove(text: string, limit: number): number | undefined {
  // A UTF-16 unit makes at most three bytes: counting is needed only near the limit.
  if (text.length * 3 <= limit) return undefined
  const bytes = Buffer.byteLength(text)
  return bytes > limit ? bytes : undefined
}
