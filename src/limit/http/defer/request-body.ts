// The body of a request that is deferred, as text: from its stream, or what a parser has made of it.

/** Where a body comes from. */
export interface BodySource {
  /** A parser was there before: what it made, or will make. */
  readonly parsed?: unknown
  readonly stream?: AsyncIterable<Uint8Array> | undefined
}

/** Undefined for one of more than `maxBytes`; 'cut' for one whose client left; 'no text' for one that is no UTF-8. */
export async function textOf(
  { parsed, stream }: BodySource,
  maxBytes: number,
): Promise<string | { readonly wrong: 'too large' | 'cut' | 'no text' }> {
  if (parsed !== undefined) {
    const made = await parsed
    if (made instanceof Uint8Array) return made.length > maxBytes ? { wrong: 'too large' } : decoded(made)
    const text = typeof made === 'string' ? made : JSON.stringify(made)
    return Buffer.byteLength(text) > maxBytes ? { wrong: 'too large' } : text
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of stream ?? []) {
      bytes += chunk.length
      // What comes after is not kept, but taken: a connection that is cut here would cut its answer too.
      if (bytes <= maxBytes) chunks.push(chunk)
      else if (bytes > 64 * maxBytes) return { wrong: 'too large' }
    }
  } catch {
    return { wrong: 'cut' }
  }
  return bytes > maxBytes ? { wrong: 'too large' } : decoded(Buffer.concat(chunks))
}

function decoded(bytes: Uint8Array): string | { readonly wrong: 'no text' } {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { wrong: 'no text' }
  }
}
